// One outbound SMTP session as a straight conversation (RFC 5321, 2920, 3207): connect, greet, upgrade under a hop::Connect plan, then
// mail. It reports what happened as a hop::Outcome and smtp::Settled and judges neither; it asks hop::after only whether a
// session that completed its handshake may go on to a second EHLO.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "delivery/options.h"
#include "hop/outcome.h"
#include "net/stream.h"
#include "net/tls_client.h"
#include "smtp/capabilities.h"
#include "smtp/compose.h"
#include "smtp/settle.h"

namespace hoplock::delivery {

namespace asio = boost::asio;

// A login at the next hop (RFC 4954), only ever said inside TLS.
struct Login {
  std::string username;
  std::string password;
};

struct Target {
  net::Endpoint at;
  hop::Connect plan;
  std::shared_ptr<const net::ClientCertificate> certificate;  // null: none
  std::shared_ptr<const Login> login;                         // null: none
};

// A message's octets: all of them in `whole`, or `chunks` of them to be read one after the other.
struct Content {
  std::string whole;
  std::uint32_t chunks = 0;
  std::function<asio::awaitable<Result<std::string>>(std::uint32_t)> read;
};

class Client;
struct Opened {
  hop::Outcome outcome;
  std::unique_ptr<Client> client;  // exactly when outcome.stage == ready
};

class Client {
 public:
  explicit Client(net::Stream stream, Options options);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Up to the end of the TLS step, the second EHLO and the login.
  static asio::awaitable<Opened> open(Target target, const net::ClientTls& tls, Options options);

  // One transaction. Content that cannot be read (a damaged chunk) breaks the connection before the final dot.
  // REQUIRES: usable()
  asio::awaitable<smtp::Settled> send(smtp::Envelope envelope, Content content);
  bool usable() const { return usable_; }
  std::size_t transactions() const { return transactions_; }
  // QUIT, not waiting long for its answer.
  asio::awaitable<void> quit();

 private:
  asio::awaitable<Result<smtp::Reply>> read_reply();
  asio::awaitable<Result<smtp::Reply>> say(std::string line);
  asio::awaitable<bool> greet(hop::Outcome& outcome);
  asio::awaitable<bool> hello(hop::Outcome& outcome, smtp::TlsNeed need);
  asio::awaitable<bool> upgrade(hop::Outcome& outcome, const Target& target, const net::ClientTls& tls);
  asio::awaitable<bool> log_in(hop::Outcome& outcome, std::shared_ptr<const Login> login);
  asio::awaitable<std::vector<smtp::Reply>> exchange(std::vector<smtp::Group> groups);
  asio::awaitable<std::optional<smtp::Reply>> send_content(Content content);
  asio::awaitable<bool> stream_chunks(Content& content);
  bool lost(hop::Outcome& outcome, const Error& error) const;
  bool refused(hop::Outcome& outcome, const smtp::Reply& reply, hop::Reason reason) const;

  net::Stream stream_;
  Options options_;
  smtp::ReplyParser replies_;
  smtp::Capabilities peer_;
  std::size_t transactions_ = 0;
  bool usable_ = true;
  bool needs_reset_ = false;  // the last transaction did not end with its content
};

}  // namespace hoplock::delivery
