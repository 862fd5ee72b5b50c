// SPDX-License-Identifier: Apache-2.0
#include "postgres/parameter.h"

#include "postgres/big_endian.h"

namespace hoplock::postgres {

// An array on the wire: dimensions, whether there are NULLs, the element's type; of the one dimension its size and first index; then each
// element with its length before it, -1 for NULL. An empty array has no dimension.
namespace {
constexpr std::size_t nulls_at = 4;
}

std::uint32_t Parameter::array_type(std::uint32_t element) {
  switch (element) {
    case boolean_type:
      return 1000;
    case bytea_type:
      return 1001;
    case bigint_type:
      return 1016;
    default:
      return 1009;  // text[]
  }
}

void Parameter::append_integer(std::int64_t value) { append_big_endian(octets_, value); }

void Parameter::begin_array(std::uint32_t element, std::size_t size) {
  append_big_endian(octets_, std::int32_t{size == 0 ? 0 : 1});
  append_big_endian(octets_, std::int32_t{0});
  append_big_endian(octets_, element);
  if (size == 0) return;
  append_big_endian(octets_, static_cast<std::int32_t>(size));
  append_big_endian(octets_, std::int32_t{1});
}

std::size_t Parameter::begin_element() {
  append_big_endian(octets_, std::int32_t{0});
  return octets_.size();
}

void Parameter::end_element(std::size_t at) {
  std::string length;
  append_big_endian(length, static_cast<std::int32_t>(octets_.size() - at));
  octets_.replace(at - length.size(), length.size(), length);
}

void Parameter::put_null_element() {
  octets_[nulls_at + 3] = 1;
  append_big_endian(octets_, std::int32_t{-1});
}

}  // namespace hoplock::postgres
