// SPDX-License-Identifier: Apache-2.0
#include "smtpclient/client.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"
#include "net/connect.h"
#include "smtpclient/refusal.h"

namespace hoplock::smtpclient {

namespace {

using hop::Reason;
using hop::Refusal;
using hop::Stage;

constexpr std::chrono::seconds quit_time{2};

Refusal connect_refusal(const Error& error) {
  if (error.code == errc::timed_out) return {Reason::connect_timeout, "no connection in time"};
  return {Reason::connect_refused, error.detail.empty() ? error.code.message() : error.detail};
}

Trouble trouble_of(const Error& error) {
  constexpr std::array network{errc::network_unreachable, errc::address_family_not_supported, errc::network_down};
  constexpr std::array machine{errc::address_not_available, errc::address_in_use,
                               errc::too_many_files_open,   errc::too_many_files_open_in_system,
                               errc::permission_denied,     errc::operation_not_permitted,
                               errc::no_buffer_space,       errc::not_enough_memory};
  const auto is = [&error](errc::errc_t code) { return error.code == code; };
  if (std::any_of(network.begin(), network.end(), is)) return Trouble::network;
  return std::any_of(machine.begin(), machine.end(), is) ? Trouble::machine : Trouble::none;
}

Refusal lost_refusal(const Error& error) {
  if (error.code == errc::bad_message) return refusal_of(smtp::senseless(error.detail));
  if (error.code == errc::timed_out) return {Reason::connection_lost, "the server did not answer in time"};
  if (net::is_end_of_stream(error)) return {Reason::connection_lost, "the server closed the connection"};
  // TLS 1.3: a server may refuse a session only after our handshake completed, by an alert
  const std::string alert = error.code == errc::protocol_error ? error.detail : "";
  return {Reason::connection_lost, error.detail.empty() ? error.code.message() : error.detail, alert};
}

using Dialled = std::optional<Result<net::Stream>>;
asio::awaitable<Dialled> dial_only(net::Endpoint at, net::SteadyTime deadline, std::optional<Ip> source) {
  co_return Dialled(co_await net::connect(at, deadline, source));
}
// `cut`: null: none.
asio::awaitable<Result<net::Stream>> dial(net::Endpoint at, net::SteadyTime deadline, std::optional<Ip> source,
                                          net::Cut* cut) {
  if (cut == nullptr) co_return co_await net::connect(at, deadline, source);
  auto dialled = co_await net::unless_cut(dial_only(at, deadline, source), *cut);
  if (!dialled) co_return fail(errc::timed_out, "other mail waited");
  co_return std::move(**dialled);
}

// In a reply of a server that repeats it.
void hide(std::string& text, const std::string& secret) {
  if (secret.empty()) return;
  for (auto at = text.find(secret); at != std::string::npos; at = text.find(secret, at))
    text.replace(at, secret.size(), "***");
}

// A message that asks for REQUIRETLS, and a server that does not give it: found out before anything else is said to it.
bool is_unfit(const hop::Connect& plan, hop::Outcome& outcome) {
  if (!plan.required) return false;
  hop::Outcome ready = outcome;
  ready.stage = Stage::ready;
  if (!std::holds_alternative<hop::NextHost>(hop::after(plan, ready))) return false;
  outcome.stage = Stage::ready;
  return true;
}
}  // namespace

Client::Client(net::Stream stream, Options options) : stream_(std::move(stream)), options_(std::move(options)) {}

Client::~Client() { be_found(nullptr); }

void Client::be_found(std::shared_ptr<Client*> at) {
  if (found_at_ && *found_at_ == this) *found_at_ = nullptr;
  found_at_ = std::move(at);
  if (found_at_) *found_at_ = this;
}

void Client::give_up() {
  const auto now = std::chrono::steady_clock::now();
  stream_.no_later_than(now);
  stream_.expires_at(now);
}

asio::awaitable<Opened> Client::open(Target target, const net::ClientTls& tls, Options options) {
  Opened opened = co_await open_once(target, tls, options);
  const bool helo_will_do = target.hello == Hello::ehlo && target.plan.tls != hop::Tls::must && !target.login;
  const bool gives_up_tls = target.plan.tls != hop::Tls::never;  // nobody heard that it is not offered
  if (!opened.ehlo_failed || !helo_will_do || (gives_up_tls && target.fallback != hop::Fallback::now)) co_return opened;
  target.hello = Hello::helo;
  Opened second = co_await open_once(std::move(target), tls, std::move(options));
  const bool heard_more = second.client || second.outcome.stage >= Stage::ehlo;
  if (!heard_more) co_return opened;
  if (gives_up_tls) second.before_helo = std::make_unique<Opened>(std::move(opened));
  co_return second;
}

asio::awaitable<Opened> Client::open_once(Target target, const net::ClientTls& tls, Options options) {
  Opened opened;
  const auto deadline = std::min(std::chrono::steady_clock::now() + options.connect_timeout, target.deadline);
  const auto source = target.at.ip.is_v4() ? options.source_ipv4 : options.source_ipv6;
  auto stream = co_await dial(target.at, deadline, source, target.cut);
  if (!stream) {
    opened.outcome.failure = connect_refusal(stream.error());
    opened.ours = trouble_of(stream.error());
    co_return opened;
  }
  opened.local = stream->local().ip;
  auto client = std::make_unique<Client>(std::move(*stream), std::move(options));
  client->until(target.deadline);
  client->be_found(target.found_at);
  const bool ready = co_await client->prepare(opened.outcome, target, tls);
  opened.transcript = client->transcript();
  opened.ehlo_failed = client->ehlo_failed_;
  opened.login_failed = client->login_failed_;
  opened.before_helo = std::move(client->before_helo_);
  if (ready) {
    opened.client = std::move(client);
  } else {
    co_await client->quit();
  }
  co_return opened;
}

asio::awaitable<bool> Client::prepare(hop::Outcome& outcome, const Target& target, const net::ClientTls& tls) {
  const auto need = target.plan.tls == hop::Tls::must ? smtp::TlsNeed::required : smtp::TlsNeed::none;
  if (!co_await greet(outcome)) co_return false;
  outcome.stage = Stage::ehlo;
  if (!co_await hello(outcome, need, target.hello)) co_return false;
  if (target.plan.tls != hop::Tls::never && !co_await upgrade(outcome, target, tls)) co_return false;
  outcome.offers_requiretls = outcome.tls && peer_.require_tls;
  if (is_unfit(target.plan, outcome)) co_return false;
  login_failed_ = target.login && !co_await log_in(outcome, target.login);
  if (login_failed_) co_return false;
  if (const auto step = check_step(); !step && early_) co_return lost(outcome, step.error());
  if (!senseless_.empty()) co_return lost(outcome, fail(errc::bad_message, senseless_));
  outcome.stage = Stage::ready;
  co_return true;
}

asio::awaitable<bool> Client::greet(hop::Outcome& outcome) {
  outcome.stage = Stage::greeting;
  stream_.expires_after(options_.command_timeout);
  const auto banner = co_await read_reply();
  if (!banner) co_return lost(outcome, banner.error());
  outcome.helo = banner->text.substr(0, banner->text.find_first_of(" \t\n"));
  if (!banner->is_positive()) co_return refused(outcome, *banner, Reason::smtp_reply);
  co_return true;
}

asio::awaitable<bool> Client::hello(hop::Outcome& outcome, smtp::TlsNeed need, Hello how) {
  Result<smtp::Reply> reply = bad_input("");
  if (how == Hello::ehlo) {
    reply = co_await say("EHLO " + options_.hostname.text() + "\r\n");
    if (!reply) co_return lost(outcome, reply.error());
    if (reply->is_positive()) {
      peer_ = smtp::Capabilities::parse(*reply);
      co_return true;
    }
    if (!smtp::may_fall_back_to_helo(*reply, need)) co_return refused(outcome, *reply, Reason::smtp_reply);
    refused_ehlo_ = *reply;
  }
  reply = co_await say("HELO " + options_.hostname.text() + "\r\n");
  if (!reply) co_return lost(outcome, reply.error());
  if (!reply->is_positive()) co_return refused(outcome, *reply, Reason::smtp_reply);
  peer_ = smtp::Capabilities{};
  co_return true;
}

// TLS-14: a server that refuses EHLO says nothing of STARTTLS, and HELO gives up on it. An audited rule tells of it itself, and a login is
// never said in clear.
bool Client::goes_on_in_clear(hop::Outcome& outcome, const Target& target) {
  const bool must = target.plan.tls == hop::Tls::must;
  const bool gives_up = refused_ehlo_ && target.plan.on_failure == hop::OnFailure::plaintext && !target.login;
  if (!must && !gives_up) return true;
  hop::Outcome without = outcome;
  without.stage = Stage::starttls;
  without.failure = Refusal{Reason::starttls_not_supported, "the server does not offer STARTTLS"};
  if (refused_ehlo_) {
    const std::string line = refused_ehlo_->one_line();
    without.reply = hop::PeerReply{refused_ehlo_->code, line};
    without.failure->text = "the server refuses EHLO, which STARTTLS needs: " + line;
  }
  if (must || target.fallback != hop::Fallback::now) {
    outcome = std::move(without);
    return false;
  }
  before_helo_ = std::make_unique<Opened>();
  before_helo_->outcome = std::move(without);
  before_helo_->transcript = transcript_;
  return true;
}

// STARTTLS, the handshake, and EHLO again: what the server said before counts no more (RFC 3207 section 4.2).
asio::awaitable<bool> Client::upgrade(hop::Outcome& outcome, const Target& target, const net::ClientTls& tls) {
  if (!peer_.starttls) co_return goes_on_in_clear(outcome, target);
  outcome.stage = Stage::starttls;
  const auto reply = co_await say("STARTTLS\r\n");
  if (!reply) co_return lost(outcome, reply.error());
  if (!reply->is_positive()) co_return refused(outcome, *reply, Reason::starttls_not_supported);
  if (replies_.has_leftover()) {
    usable_ = false;
    outcome.failure = Refusal{Reason::validation_failure, "the server sent more in clear after its answer to STARTTLS"};
    co_return false;
  }
  outcome.stage = Stage::handshake;
  net::Handshake made = co_await tls.handshake(stream_, target.plan, target.certificate);
  outcome.stage = made.stage;
  outcome.failure = std::move(made.failure);
  outcome.tls = std::move(made.session);
  outcome.dane = std::move(made.dane);
  outcome.pkix = std::move(made.pkix);
  outcome.observed = std::move(made.observed);
  outcome.name = std::move(made.name);
  transcript_.note(outcome.failure ? "the TLS handshake failed: " + outcome.failure->text
                                   : "TLS: " + outcome.tls->version + " " + outcome.tls->cipher);
  if (outcome.failure) {
    usable_ = false;  // neither in clear nor in TLS
    co_return false;
  }
  hop::Outcome ready = outcome;
  ready.stage = Stage::ready;
  ready.offers_requiretls = true;  // not known before the second EHLO
  if (std::holds_alternative<hop::NextHost>(hop::after(target.plan, ready))) {
    outcome.stage = Stage::ready;  // the checks alone rule it out; nothing more is said to this peer
    co_return false;
  }
  outcome.stage = Stage::ehlo;
  co_return co_await hello(outcome, smtp::TlsNeed::required, Hello::ehlo);
}

asio::awaitable<bool> Client::log_in(hop::Outcome& outcome, std::shared_ptr<const Login> login) {
  if (!outcome.tls) {
    outcome.failure = Refusal{Reason::starttls_not_supported,
                              "the route has a login, which is only said inside TLS, and the server offers none"};
    co_return false;
  }
  Result<smtp::Reply> reply = bad_input("");
  if (peer_.offers_auth("PLAIN")) {
    const std::string nul(1, '\0');
    reply = co_await say_secretly("AUTH PLAIN " + to_base64(nul + login->username + nul + login->password) + "\r\n",
                                  "AUTH PLAIN ***");
  } else if (peer_.offers_auth("LOGIN")) {
    reply = co_await say("AUTH LOGIN\r\n");
    if (reply && reply->is_intermediate()) reply = co_await say_secretly(to_base64(login->username) + "\r\n", "***");
    if (reply && reply->is_intermediate()) reply = co_await say_secretly(to_base64(login->password) + "\r\n", "***");
  } else {
    outcome.failure = Refusal{Reason::smtp_reply, "the server offers neither AUTH PLAIN nor LOGIN"};
    co_return false;
  }
  if (!reply) co_return lost(outcome, reply.error());
  if (!reply->is_positive()) co_return refused(outcome, *reply, Reason::smtp_reply);
  co_return true;
}

asio::awaitable<void> Client::quit() {
  if (usable_) {
    stream_.expires_after(quit_time);
    const auto written = co_await stream_.write("QUIT\r\n");
    if (written) co_await read_reply();
  }
  usable_ = false;
  stream_.close();
}

asio::awaitable<Result<smtp::Reply>> Client::say(std::string line) {
  std::string noted = line;
  co_return co_await say_secretly(std::move(line), std::move(noted));
}

asio::awaitable<Result<smtp::Reply>> Client::say_secretly(std::string line, std::string noted) {
  if (noted != line) {
    const auto word = line.find_last_of(' ') + 1;  // npos + 1 is 0
    secret_ = line.substr(word, line.find('\r') - word);
  }
  stream_.expires_after(options_.command_timeout);
  if (const auto step = check_step(); !step) co_return step.error();
  transcript_.sent(noted);
  const auto written = co_await stream_.write(line);
  auto reply = co_await read_reply();
  if (!reply && !written) co_return written.error();
  co_return reply;
}

// MX-22: a reply counts for a command that was sent before it arrived. What lies unread before the next one answers nothing, and after it
// nobody can tell which reply answers what.
Result<> Client::check_step() {
  if (!replies_.has_leftover()) {
    std::array<char, 4096> buffer;  // NOLINT: uninitialized on purpose, read_now fills it
    const auto got = stream_.read_now(buffer);
    if (!got) {
      usable_ = false;
      return got.error();
    }
    if (*got == 0) return {};
    replies_.feed({buffer.data(), *got});
  }
  usable_ = false;
  if (auto reply = replies_.next(); reply && *reply) {
    transcript_.received((*reply)->one_line());
    early_ = std::move(*reply);
    if (early_->code == 421) return fail(errc::connection_reset, early_->one_line());
  }
  senseless_ = "the server spoke out of turn, so that its replies are out of step";
  transcript_.note(senseless_);
  return fail(errc::bad_message, senseless_);
}

asio::awaitable<Result<smtp::Reply>> Client::read_reply() {
  std::array<char, 4096> buffer;  // NOLINT: uninitialized on purpose, read_some fills it
  for (;;) {
    auto reply = replies_.next();
    if (!reply) {
      senseless_ = "the server's reply is malformed: " + reply.error().detail;
      transcript_.note(senseless_);
      usable_ = false;
      co_return fail(errc::bad_message, senseless_);
    }
    if (*reply) {
      hide((*reply)->text, secret_);
      transcript_.received((*reply)->one_line());
      co_return std::move(**reply);
    }
    const auto got = co_await stream_.read_some(buffer);
    if (!got) {
      transcript_.note(lost_refusal(got.error()).text);
      silent_ = got.error().code == errc::timed_out;
      usable_ = false;
      co_return got.error();
    }
    replies_.feed({buffer.data(), *got});
  }
}

bool Client::lost(hop::Outcome& outcome, const Error& error) {
  if (early_ && early_->code == 421) return refused(outcome, *early_, Reason::smtp_reply);
  outcome.failure = lost_refusal(error);
  if (outcome.stage != Stage::ehlo && outcome.stage != Stage::starttls) return false;
  const bool senseless = error.code == errc::bad_message;
  if (!outcome.tls) {
    const bool greeted = outcome.stage == Stage::ehlo;
    ehlo_failed_ = early_ || (greeted && (senseless || net::is_end_of_stream(error)));
  } else if (!senseless && error.code != errc::timed_out) {
    // TLS-14: in TLS 1.3 only now does a server tell that it does not want us
    Refusal& why = *outcome.failure;
    outcome.stage = Stage::handshake;
    why.reason = Reason::validation_failure;
    why.text = "the session ended inside TLS before the reply to EHLO: " + why.text;
    if (why.code.empty()) why.code = "handshake-closed";
  }
  return false;
}

bool Client::refused(hop::Outcome& outcome, const smtp::Reply& reply, hop::Reason reason) const {
  const std::string line = reply.one_line();
  outcome.failure =
      reason == Reason::smtp_reply ? refusal_of(reply) : Refusal{reason, "the server refused STARTTLS: " + line};
  outcome.reply = hop::PeerReply{reply.code, line};
  return false;
}

}  // namespace hoplock::smtpclient
