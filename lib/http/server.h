// SPDX-License-Identifier: Apache-2.0
// An HTTP/1.1 server (RFC 9112): connections, their bounds and the parsing; what a path holds is told by the `Answer` it is given. It
// serves an address, in clear or inside TLS, and whatever streams it is handed: the status page and the control socket.
//
// At an address, a name in the Host header that is not ours gets 421: a stranger's page whose name was made to lead here (DNS rebinding)
// would otherwise read all of it through the operator's browser. Ours are the address that was connected to, loopback addresses,
// localhost and the names that open() is given; ports do not matter, so that a forwarded one works.
//
// Who may look there is asked of `Admission` where there is one: what it does not let in gets 401 with Basic (RFC 7617). Health stays open.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "net/clock.h"
#include "net/condition.h"
#include "net/listening.h"
#include "net/stream.h"
#include "net/tls_server.h"

namespace hoplock::http {

struct Request {
  std::string path;   // "/healthz"; without the query
  std::string query;  // behind the "?", as it came
  enum class Accepts : std::uint8_t { any, json } accepts = Accepts::any;
  std::string body{};
  // Tells who asked how far the work is, once a second at most: an interim answer, 102 (RFC 2518), with the field Progress.
  std::function<boost::asio::awaitable<void>(std::uint64_t)> progress{};
};

// What a request says of who sends it.
struct Requester {
  Ip address;
  std::optional<std::pair<std::string, std::string>> login;  // name and password of Basic
  bool has_trusted_header = false;                           // Listening::trusted_header, not empty
};

// Where and how the listener serves.
struct Listening {
  std::optional<net::Endpoint> at;  // nothing: nowhere
  std::vector<std::string> hosts;
  std::shared_ptr<const net::ServerTls> tls;  // null: in clear
  std::string trusted_header;                 // "": none
  // Whether this one may look; null: everybody who can connect.
  std::function<boost::asio::awaitable<bool>(Requester)> admission;
};

struct Reply {
  unsigned status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
  std::string location{};  // with 303: where it is, a path of ours
};

struct Settings {
  // Beyond them the one that has been idle for longest gives way; where none is, that whose answer has not been taken for longest.
  std::size_t connections = 64;
  std::size_t header = 8192;                 // octets of a request
  std::size_t body = 0;                      // likewise; 0: GET and HEAD are served, else POST
  std::chrono::milliseconds request{10000};  // from its first octet to its last, and for its answer to be taken
  std::chrono::milliseconds idle{120000};    // between two requests
  net::Clock clock = net::now;               // of the Date field
  std::string not_http{};  // said to who begins with what begins no request, in place of 400; "": nothing
};

class Server {
 public:
  using Answer = std::function<boost::asio::awaitable<Reply>(Request)>;
  // REQUIRES: log and what `answer` refers to outlive it and the loop's last run.
  Server(boost::asio::any_io_executor executor, Log& log, Answer answer, Settings settings = {});
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Where to serve, with the socket bound, or bound as soon as the address can be had. Nothing changes by it. Error: the system forbids the
  // address, which it names.
  struct Plan {
    Listening listening;
    std::shared_ptr<net::Listening> socket;  // null: nowhere
  };
  Result<Plan> prepare(Listening listening) const;
  // From now on. An address that stays keeps its connections. REQUIRES: no other plan was served since this one was made.
  void serve(Plan plan);
  // Serves a stream that was accepted and admitted elsewhere, with an answer of its own; whatever Host it names.
  void serve(net::Stream stream, Answer with);
  // Requests under way end until the deadline, the others are cut.
  boost::asio::awaitable<void> stop(net::SteadyTime deadline);
  // As bound.
  std::optional<net::Endpoint> bound() const;
  // Why the address cannot be had yet; "": it works, or there is none.
  std::string missing() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace hoplock::http
