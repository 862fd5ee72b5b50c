// SPDX-License-Identifier: Apache-2.0
// A hostile TLS peer: it makes an honest handshake, then sends records that carry no data, as fast as the socket takes them and
// many times what any session needs, and holds the connection until the other side ends it. OpenSSL on a thread of its own,
// without any code of ours; every octet is made before the first one leaves, so that the peer is faster than whoever reads.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>

#include "net/options.h"

namespace hoplock::support {

enum class Flood {
  // TLS 1.3, made by OpenSSL
  key_updates,
  asked_key_updates,  // each asks for one back
  tickets,            // server only
  key_updates_among_data,
  tickets_among_data,
  // TLS 1.2, sealed by hand
  empty_records,
  warnings,
  hello_requests,
  client_hellos,  // renegotiation
  warnings_among_data,
  hello_requests_among_data,
  client_hellos_among_data,
};
const char* to_text(Flood flood);

class TlsFlooder {
 public:
  // As a client of 127.0.0.1:port.
  TlsFlooder(std::uint16_t port, Flood flood);
  // As a server on 127.0.0.1 for one connection.
  TlsFlooder(const net::CertificateFiles& files, Flood flood);
  ~TlsFlooder() { finish(); }
  TlsFlooder(const TlsFlooder&) = delete;
  TlsFlooder& operator=(const TlsFlooder&) = delete;
  std::uint16_t port() const { return port_; }
  // Waits for the other side to end the connection, five seconds at most; what went wrong here, or "".
  std::string finish();

 private:
  std::string problem_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace hoplock::support
