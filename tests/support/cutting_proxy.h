// SPDX-License-Identifier: Apache-2.0
// Stands between a client and a PostgreSQL server (without TLS), on a port of its own and in a thread of its own: it falls silent, ends
// connections, and cuts one at any octet of what it asks, or of the server's answer to COMMIT.
#pragma once
#include <cstdint>
#include <memory>

namespace hoplock::support {

class CuttingProxy {
 public:
  explicit CuttingProxy(std::uint16_t to);
  ~CuttingProxy();
  CuttingProxy(const CuttingProxy&) = delete;
  CuttingProxy& operator=(const CuttingProxy&) = delete;

  std::uint16_t port() const;
  // The next answer to a COMMIT is handed on up to so many octets, of it and what follows; then the connection ends. Once.
  void cut_answer(std::size_t octets);
  // From then on no connection is taken, and all that there are end.
  void refuse_from_cut();
  // The next request that has a COMMIT in it is handed on up to so many octets. Once.
  void cut_request(std::size_t octets);
  // As cut_request() at no octet, but what was held back is handed on to the server when release() says so, behind the client's back.
  void hold_request();
  void release();
  // Whether what was armed last has happened.
  bool has_cut() const;
  std::size_t request_octets() const;  // of the last request with a COMMIT in it
  std::size_t answer_octets() const;   // from the last answer to a COMMIT to the end of what came with it

  // Nothing goes through, and nothing ends; new connections are taken and hear nothing.
  void silence();
  void speak();
  // All connections end, and new ones until accept_again().
  void refuse();
  void accept_again();

 private:
  struct Inside;
  std::unique_ptr<Inside> inside_;
};

}  // namespace hoplock::support
