// SPDX-License-Identifier: Apache-2.0
// JSON on the control socket, both ways: whatever comes is read or refused, and what was read comes out the same again.
#include <boost/mp11/algorithm.hpp>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "control/described.h"

using namespace hoplock::control;

template <class T>
void read(std::string_view text) {
  const auto value = from_json<T>(text);
  if (!value) return;
  const std::string written = to_json(*value);
  const auto again = from_json<T>(written);
  if (!again || to_json(*again) != written) std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  boost::mp11::mp_for_each<boost::mp11::mp_transform<boost::mp11::mp_identity, Requests>>([text](auto kind) {
    using R = typename decltype(kind)::type;
    read<R>(text);
    read<typename R::Reply>(text);
  });
  read<Refusal>(text);
  return 0;
}
