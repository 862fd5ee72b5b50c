// SPDX-License-Identifier: Apache-2.0
// gzip (RFC 1952), the form in which reports travel (RFC 8460 section 5.2).
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hoplock::tlsrpt {

// Without name and time: the same octets give the same octets.
std::string gzip(std::string_view octets);
// Errors: not one whole gzip member, or more than `limit` octets in it.
Result<std::string> gunzip(std::string_view octets, std::size_t limit);

}  // namespace hoplock::tlsrpt
