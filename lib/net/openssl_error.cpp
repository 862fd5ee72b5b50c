// SPDX-License-Identifier: Apache-2.0
#include "net/openssl_error.h"

#include <openssl/err.h>

#include <cstring>

namespace hoplock::net {

std::string take_openssl_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown TLS error";
  // OpenSSL 3 has no reason strings for codes of the system
  const char* reason = ERR_SYSTEM_ERROR(code) ? std::strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
  return reason != nullptr ? reason : "TLS error " + std::to_string(code);
}

}  // namespace hoplock::net
