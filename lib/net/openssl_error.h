// SPDX-License-Identifier: Apache-2.0
// OpenSSL's error queue as text. To be called right after the call that failed.
#pragma once
#include <string>

namespace hoplock::net {

// The first error of this thread's queue (the cause; what follows are its consequences), e.g. "wrong version number"; empties the
// queue. "unknown TLS error" when it is empty.
std::string take_openssl_error();

}  // namespace hoplock::net
