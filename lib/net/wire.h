// OpenSSL's way to our socket: a BIO without buffers that never blocks, never raises SIGPIPE, and keeps what the system said.
// For this module's own sources.
#pragma once
#include <openssl/bio.h>

namespace hoplock::net {

struct Wire {
  int fd = -1;
  int error = 0;       // errno of the last read or write that failed for good
  bool ended = false;  // the peer sent FIN
};

// REQUIRES: `wire` outlives the BIO. Null only when memory is out.
BIO* make_wire_bio(Wire* wire);

}  // namespace hoplock::net
