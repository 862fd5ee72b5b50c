// SPDX-License-Identifier: Apache-2.0
#include "postgres/errors.h"

#include <algorithm>
#include <boost/system/error_category.hpp>
#include <iterator>

namespace hoplock::postgres {
namespace {

constexpr int base = 36;
constexpr std::size_t sqlstate_length = 5;

int digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'Z' ? c - 'A' + 10 : -1; }

// A number above 0 for five digits and capitals; 0 for anything else.
int number_of(std::string_view state) {
  if (state.size() != sqlstate_length) return 0;
  int value = 0;
  for (const char c : state) {
    if (digit(c) < 0) return 0;
    value = value * base + digit(c);
  }
  return value;
}

std::string text_of(int value) {
  std::string text(sqlstate_length, '0');
  for (auto at = text.rbegin(); at != text.rend(); ++at, value /= base)
    *at = static_cast<char>(value % base < 10 ? '0' + value % base : 'A' + value % base - 10);
  return text;
}

struct Meaning {
  std::string_view begins;
  errc::errc_t code;
};
// The first that fits.
constexpr Meaning meanings[] = {
    {"53100", errc::no_space_on_device},
    {"25006", errc::read_only_file_system},
    {"58", errc::io_error},
    {"08", errc::device_or_resource_busy},
    {"53", errc::device_or_resource_busy},
    {"55P03", errc::device_or_resource_busy},
    {"25P0", errc::device_or_resource_busy},
    {"57", errc::device_or_resource_busy},
    {"XX001", errc::bad_message},
    {"XX002", errc::bad_message},
    {"22012", errc::bad_message},
    {"40001", errc::resource_unavailable_try_again},
    {"40P01", errc::resource_unavailable_try_again},
    {"28", errc::permission_denied},
    {"42501", errc::permission_denied},
    {"3D000", errc::permission_denied},
};

class SqlStates final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "postgresql"; }
  std::string message(int value) const override { return "SQLSTATE " + text_of(value); }
  boost::system::error_condition default_error_condition(int value) const noexcept override {
    const std::string state = text_of(value);
    const auto* found = std::find_if(std::begin(meanings), std::end(meanings),
                                     [&](const Meaning& one) { return state.starts_with(one.begins); });
    return errc::make_error_condition(found == std::end(meanings) ? errc::state_not_recoverable : found->code);
  }
};

const SqlStates& category() {
  static const SqlStates states;
  return states;
}

}  // namespace

Error sql_error(std::string_view sqlstate, std::string detail) {
  const int number = number_of(sqlstate);
  if (number == 0) return fail(errc::state_not_recoverable, std::move(detail));
  return fail(error_code(number, category()), std::move(detail));
}

std::string sqlstate(const Error& error) {
  return error.code.category() == category() ? text_of(error.code.value()) : std::string();
}

bool has_sqlstate(const Error& error, std::string_view state) {
  return error.code.category() == category() && error.code.value() == number_of(state);
}

bool is_unavailable(const Error& error) {
  return error.code == errc::no_space_on_device || error.code == errc::io_error ||
         error.code == errc::read_only_file_system || error.code == errc::device_or_resource_busy;
}

}  // namespace hoplock::postgres
