// SPDX-License-Identifier: Apache-2.0
#include "dane/digest.h"

#include <openssl/evp.h>

#include <array>

namespace hoplock::dane {

namespace {
std::string digest(const EVP_MD* kind, std::string_view octets) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> result{};
  unsigned size = 0;
  if (EVP_Digest(octets.data(), octets.size(), result.data(), &size, kind, nullptr) != 1) return {};
  return {reinterpret_cast<const char*>(result.data()), size};
}
}  // namespace

std::string sha256(std::string_view octets) { return digest(EVP_sha256(), octets); }

std::optional<std::string> association_data(std::uint8_t matching, std::string_view selected) {
  if (matching == 0) return std::string(selected);
  if (matching > 2) return std::nullopt;
  std::string data = digest(matching == 1 ? EVP_sha256() : EVP_sha512(), selected);
  return data.empty() ? std::nullopt : std::optional(std::move(data));
}

}  // namespace hoplock::dane
