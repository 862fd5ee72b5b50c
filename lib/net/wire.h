// SPDX-License-Identifier: Apache-2.0
// OpenSSL's way to our socket: a BIO without buffers that never blocks, never raises SIGPIPE, and keeps what the system said.
// For this module's own sources.
#pragma once
#include <openssl/bio.h>

#include <cstddef>

namespace hoplock::net {

// One call of OpenSSL reads for as long as records come that hold nothing for the caller. So it gets an allowance for each call,
// and where that is used up it hears that nothing is there for now: then the loop is for others before it goes on. What comes
// without any data in it is counted, and beyond a bound the session is over (TLS-15, BND-01).
struct Wire {
  static constexpr std::size_t most_silence = std::size_t{256} * 1024;  // octets without data, a handshake's among them

  int fd = -1;
  int error = 0;                  // errno of the last read or write that failed for good
  bool ended = false;             // the peer sent FIN
  std::size_t allowance = 0;      // octets that may still be read in this call
  bool paused = false;            // the allowance was used up
  std::size_t silence = 0;        // octets that came since the last data
  const char* refused = nullptr;  // why nothing is read any more
};

// REQUIRES: `wire` outlives the BIO. Null only when memory is out.
BIO* make_wire_bio(Wire* wire);

}  // namespace hoplock::net
