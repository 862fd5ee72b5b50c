// SPDX-License-Identifier: Apache-2.0
// An HTTPS server on 127.0.0.1 for tests, with plain blocking sockets and OpenSSL on a thread of its own and without any code of ours.
// It takes one connection after the other, reads one request, and sends exactly the octets that the test gives it: good answers, broken
// ones, endless ones, one octet at a time.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/scripted_peer.h"

namespace hoplock::support {

struct HttpsReply {
  enum class End { close_notify, truncate, reset, hang };  // truncate: FIN without close_notify
  std::string octets;
  std::string endless = "";           // then this, again and again until the client leaves
  std::chrono::milliseconds drip{0};  // between any two octets
  End end = End::close_notify;
};

// "HTTP/1.1 STATUS", these fields ("Name: value"), Content-Length, the body.
HttpsReply http_reply(int status, const std::vector<std::string>& fields, const std::string& body);
// 200, text/plain.
HttpsReply http_text(const std::string& body);

struct HttpsSeen {
  std::string sni;
  std::string alpn;      // all that was offered, comma-separated
  std::string tls;       // version; empty: no handshake
  std::string header;    // of the request, with its empty line
  std::string body;      // as long as its Content-Length says
  std::string peer;      // the client's address
  std::size_t sent = 0;  // octets of the answer that the client's system took
};

class HttpsServer {
 public:
  using Answer = std::function<HttpsReply(const HttpsSeen& request)>;  // called on the server's thread
  enum class Http { v1, v2_only };                                     // what ALPN accepts

  HttpsServer(PeerTls tls, Answer answer, Http http = Http::v1);
  ~HttpsServer();
  HttpsServer(const HttpsServer&) = delete;
  HttpsServer& operator=(const HttpsServer&) = delete;
  std::uint16_t port() const { return port_; }
  // Connections that are over.
  std::size_t count() const;
  // Ends the server; every connection in order.
  std::vector<HttpsSeen> finish();

 private:
  void serve();

  PeerTls tls_;
  Answer answer_;
  Http http_;
  int listener_ = -1;
  int stop_[2] = {-1, -1};
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::vector<HttpsSeen> seen_;
  std::thread thread_;
};

}  // namespace hoplock::support
