// SPDX-License-Identifier: Apache-2.0
// The plain form of a notice that compose() made in UTF-8 (RFC 6533), for a way back without SMTPUTF8: addresses in the notation
// \x{…}, all else in 7-bit encodings, and of a returned message only the header. Knows the shape of our own notices and of no others.
#pragma once
#include <string>
#include <string_view>

namespace hoplock::dsn {

// `notice`: all of it, or at least the header of what it returns.
std::string to_plain(std::string_view notice);

}  // namespace hoplock::dsn
