// SPDX-License-Identifier: Apache-2.0
// What of a certificate stands in a TLSA record: RFC 6698 section 2.1.3.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hoplock::dane {

// The 32 octets; empty when OpenSSL cannot.
std::string sha256(std::string_view octets);
// The octets as they are (0), their SHA-256 (1) or SHA-512 (2). Nothing for another matching type, or when OpenSSL cannot.
std::optional<std::string> association_data(std::uint8_t matching, std::string_view selected);

}  // namespace hoplock::dane
