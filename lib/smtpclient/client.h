// SPDX-License-Identifier: Apache-2.0
// One outbound SMTP session as a straight conversation (RFC 5321, 2920, 3207): connect, greet, upgrade under a hop::Connect plan, then
// mail. It reports what happened as a hop::Outcome and smtp::Settled and judges neither; it asks hop::after only whether a
// session that completed its handshake may go on to a second EHLO.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>

#include "hop/outcome.h"
#include "net/cut.h"
#include "net/stream.h"
#include "net/tls_client.h"
#include "smtp/capabilities.h"
#include "smtp/compose.h"
#include "smtp/settle.h"
#include "smtpclient/content.h"
#include "smtpclient/options.h"
#include "smtpclient/transcript.h"

namespace hoplock::smtpclient {

namespace asio = boost::asio;
// A login at the next hop (RFC 4954), only ever said inside TLS.
struct Login {
  std::string username;
  std::string password;
};

// HELO alone: for a server that did not stand EHLO (MX-25).
enum class Hello : std::uint8_t { ehlo, helo };
class Client;
struct Target {
  net::Endpoint at;
  hop::Connect plan;
  std::shared_ptr<const net::ClientCertificate> certificate;  // null: none
  std::shared_ptr<const Login> login;                         // null: none
  Hello hello = Hello::ehlo;
  hop::Fallback fallback = hop::Fallback::now;  // to HELO, and so clear text, where TLS is wanted
  net::SteadyTime deadline = net::SteadyTime::max();
  std::shared_ptr<Client*> found_at = nullptr;  // Client::be_found
  net::Cut* cut = nullptr;                      // of what it waits for before that; null: none
};

// One transaction.
struct Sent {
  smtp::Settled settled;
  bool begun = false;                // the server asked for the content
  bool handed_over = false;          // the final dot went out: whoever got no answer may have been delivered (MX-12)
  std::optional<Error> unreadable;   // the content could not be read: the connection was broken before the final dot
  bool withheld = false;             // the final dot had no leave: the connection was broken before it
  std::vector<smtp::Reply> replies;  // to MAIL, each RCPT and DATA, as far as they came
  std::optional<smtp::Reply> end;    // to the content
  enum class CutOff : std::uint8_t { no, lost, silence } cut_off = CutOff::no;  // before one of `replies` came
  // Nothing was said of this mail: the server had spoken out of turn before, or a parameter that the mail can do without was refused, and is
  // not used any more in this session (MX-25). Then those concerned are for later.
  bool stale = false;
  bool again = false;
  std::string senseless;  // why the answer to the end of the content means nothing
};

// What kept this machine from connecting, and so says nothing about the host.
enum class Trouble : std::uint8_t {
  none,
  network,  // no way to addresses of that family
  machine,  // a source address that is not ours, descriptors, a local firewall, credentials that cannot be read
};

struct Opened {
  hop::Outcome outcome;
  std::unique_ptr<Client> client;  // exactly when outcome.stage == ready
  std::optional<Ip> local;         // our end; nothing: no connection
  Trouble ours = Trouble::none;
  bool login_failed = false;  // it came to the route's login and no further, whatever the server said or did
  bool ehlo_failed = false;   // in clear: a server that would rather hear HELO, or somebody on the way
  Transcript transcript;
  std::unique_ptr<Opened> before_helo;  // what EHLO came to; null: this is no fall-back from TLS
};

class Client {
 public:
  explicit Client(net::Stream stream, Options options);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();

  // Up to the end of the TLS step, second EHLO and login. A server that is not to be used is told QUIT. HELO follows a refused EHLO,
  // and, over a new connection, a close or two answers; not where TLS is a must, or may yet come about at a later try (TLS-14).
  static asio::awaitable<Opened> open(Target target, const net::ClientTls& tls, Options options);

  // REQUIRES: usable(), and the content has a first piece.
  asio::awaitable<Sent> send(smtp::Envelope envelope, Content content);
  bool usable() const { return usable_; }
  // Nothing that it does takes longer than until then.
  void until(net::SteadyTime deadline) { stream_.no_later_than(deadline); }
  // Its time is over: also what it waits for at the moment ends.
  void give_up();
  // For as long as it lives and nobody else does, it can be found there.
  void be_found(std::shared_ptr<Client*> at);
  // From now on no command before the answer to the last one, whatever the server offers.
  void go_step_by_step() { peer_.pipelining = false; }
  const smtp::Capabilities& peer() const { return peer_; }
  std::size_t transactions() const { return transactions_; }
  // Of the last transaction; before the second, of all the session.
  const Transcript& transcript() const { return transcript_; }
  // QUIT, not waiting long for its answer.
  asio::awaitable<void> quit();

 private:
  asio::awaitable<Result<smtp::Reply>> read_reply();
  Result<> check_step();
  static asio::awaitable<Opened> open_once(Target target, const net::ClientTls& tls, Options options);
  asio::awaitable<Result<smtp::Reply>> say(std::string line);
  asio::awaitable<Result<smtp::Reply>> say_secretly(std::string line, std::string noted);
  asio::awaitable<bool> prepare(hop::Outcome& outcome, const Target& target, const net::ClientTls& tls);
  asio::awaitable<bool> greet(hop::Outcome& outcome);
  asio::awaitable<bool> hello(hop::Outcome& outcome, smtp::TlsNeed need, Hello how);
  bool goes_on_in_clear(hop::Outcome& outcome, const Target& target);
  asio::awaitable<bool> upgrade(hop::Outcome& outcome, const Target& target, const net::ClientTls& tls);
  asio::awaitable<bool> log_in(hop::Outcome& outcome, std::shared_ptr<const Login> login);
  asio::awaitable<std::vector<smtp::Reply>> exchange(std::vector<smtp::Group> groups);
  asio::awaitable<void> settle_envelope(Sent& sent, const smtp::Envelope& envelope);
  asio::awaitable<void> confirm(smtp::Settled& settled);
  asio::awaitable<void> deliver(Sent& sent, Content content, smtp::Body body);
  std::optional<smtp::Reply> early_reply();
  asio::awaitable<std::optional<smtp::Reply>> send_content(Content content, Sent& sent);
  asio::awaitable<Result<>> stream_content(Content& content, Sent& sent);
  asio::awaitable<Result<>> ask_leave(const Content& content, Sent& sent);
  asio::awaitable<std::optional<smtp::Reply>> send_chunks(Content content, Sent& sent);
  bool lost(hop::Outcome& outcome, const Error& error);
  bool refused(hop::Outcome& outcome, const smtp::Reply& reply, hop::Reason reason) const;

  std::shared_ptr<Client*> found_at_;
  net::Stream stream_;
  Options options_;
  smtp::ReplyParser replies_;
  std::string secret_;  // what was said last that nobody is to read, also when the server repeats it
  smtp::Capabilities peer_;
  Transcript transcript_;
  std::size_t transactions_ = 0;
  bool usable_ = true, silent_ = false, needs_reset_ = false;  // no answer in time; the last content was not all sent
  bool login_failed_ = false, ehlo_failed_ = false;            // the latter in clear, by a close or too many replies
  std::unique_ptr<Opened> before_helo_;
  std::optional<smtp::Reply> refused_ehlo_, early_;  // the latter unasked; 421 it may be (RFC 5321 section 3.8)
  std::string senseless_;                            // why the server's words mean nothing any more; "": they do
};

}  // namespace hoplock::smtpclient
