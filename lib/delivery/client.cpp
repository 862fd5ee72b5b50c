#include "delivery/client.h"

#include <array>

#include "base/ascii.h"
#include "net/connect.h"
#include "smtp/dot_stuffer.h"

namespace hoplock::delivery {

namespace {

using hop::Reason;
using hop::Refusal;
using hop::Stage;

constexpr std::chrono::seconds quit_time{2};

Refusal connect_refusal(const Error& error) {
  if (error.code == errc::timed_out) return {Reason::connect_timeout, "no connection in time"};
  return {Reason::connect_refused, error.detail.empty() ? error.code.message() : error.detail};
}

Refusal lost_refusal(const Error& error) {
  if (error.code == errc::timed_out) return {Reason::connection_lost, "the server did not answer in time"};
  if (net::is_end_of_stream(error)) return {Reason::connection_lost, "the server closed the connection"};
  // TLS 1.3: a server may refuse a session only after our handshake completed, by an alert
  const std::string alert = error.code == errc::protocol_error ? error.detail : "";
  return {Reason::connection_lost, error.detail.empty() ? error.code.message() : error.detail, alert};
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

asio::awaitable<Opened> Client::open(Target target, const net::ClientTls& tls, Options options) {
  Opened opened;
  const auto deadline = std::chrono::steady_clock::now() + options.connect_timeout;
  const auto source = target.at.ip.is_v4() ? options.source_ipv4 : options.source_ipv6;
  auto stream = co_await net::connect(target.at, deadline, source);
  if (!stream) {
    opened.outcome.failure = connect_refusal(stream.error());
    co_return opened;
  }
  opened.local = stream->local().ip;
  auto client = std::make_unique<Client>(std::move(*stream), std::move(options));
  const bool ready = co_await client->prepare(opened.outcome, target, tls);
  opened.conversation = client->conversation();
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
  if (!co_await hello(outcome, need)) co_return false;
  if (target.plan.tls != hop::Tls::never && !co_await upgrade(outcome, target, tls)) co_return false;
  outcome.offers_requiretls = outcome.tls && peer_.require_tls;
  if (is_unfit(target.plan, outcome)) co_return false;
  if (target.login && !co_await log_in(outcome, target.login)) co_return false;
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

asio::awaitable<bool> Client::hello(hop::Outcome& outcome, smtp::TlsNeed need) {
  auto reply = co_await say("EHLO " + options_.hostname.text() + "\r\n");
  if (!reply) co_return lost(outcome, reply.error());
  if (reply->is_positive()) {
    peer_ = smtp::Capabilities::parse(*reply);
    co_return true;
  }
  if (!smtp::may_fall_back_to_helo(*reply, need)) co_return refused(outcome, *reply, Reason::smtp_reply);
  reply = co_await say("HELO " + options_.hostname.text() + "\r\n");
  if (!reply) co_return lost(outcome, reply.error());
  if (!reply->is_positive()) co_return refused(outcome, *reply, Reason::smtp_reply);
  peer_ = smtp::Capabilities{};
  co_return true;
}

// STARTTLS, the handshake, and EHLO again: what the server said before counts no more (RFC 3207 section 4.2).
asio::awaitable<bool> Client::upgrade(hop::Outcome& outcome, const Target& target, const net::ClientTls& tls) {
  if (!peer_.starttls) {
    if (target.plan.tls != hop::Tls::must) co_return true;
    outcome.stage = Stage::starttls;
    outcome.failure = Refusal{Reason::starttls_not_supported, "the server does not offer STARTTLS"};
    co_return false;
  }
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
  conversation_.happened(outcome.failure ? "the TLS handshake failed: " + outcome.failure->text
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
  co_return co_await hello(outcome, smtp::TlsNeed::required);
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

namespace {
// Every command was answered, and somebody may be sent the content.
bool is_worth_content(const std::vector<smtp::Reply>& replies, std::size_t recipients) {
  if (replies.size() != recipients + 1 || !replies.front().is_positive()) return false;
  return std::any_of(replies.begin() + 1, replies.end(), [](const smtp::Reply& reply) { return reply.is_positive(); });
}
}  // namespace

asio::awaitable<Sent> Client::send(smtp::Envelope envelope, Content content) {
  Sent sent;
  smtp::Settled& settled = sent.settled;
  if (transactions_++ > 0) conversation_.begin_anew();
  if (needs_reset_) {
    const auto reply = co_await say("RSET\r\n");
    if (!reply || !reply->is_positive()) usable_ = false;
    if (!usable_) {
      settled = smtp::settle(envelope.recipients.size(), {});
      sent.cut_off = Sent::CutOff::lost;
      co_return sent;
    }
    needs_reset_ = false;
  }
  std::vector<smtp::Group> groups = smtp::compose(envelope, peer_);
  std::vector<smtp::Reply> replies = co_await exchange(std::move(groups));
  const bool by_chunks = envelope.body == smtp::Body::binary_mime;
  if (by_chunks && is_worth_content(replies, envelope.recipients.size())) {
    replies.emplace_back(354, std::nullopt, "");  // BDAT asks for no leave
  }
  settled = smtp::settle(envelope.recipients.size(), replies);
  if (!usable_) sent.cut_off = silent_ ? Sent::CutOff::silence : Sent::CutOff::lost;
  sent.replies = std::move(replies);
  needs_reset_ = settled.next == smtp::Settled::Next::nothing;
  if (settled.next == smtp::Settled::Next::lone_dot) {
    co_await say(".\r\n");
  } else if (settled.next == smtp::Settled::Next::content) {
    std::optional<smtp::Reply> end;
    if (by_chunks) {
      end = co_await send_chunks(std::move(content), sent);
    } else {
      end = co_await send_content(std::move(content), sent);
    }
    settled = smtp::settle_end(std::move(settled), end);
    sent.end = std::move(end);
  }
  if (settled.connection != smtp::Settled::Connection::usable) usable_ = false;
  co_return sent;
}

// The replies that came; fewer than commands when the connection was lost or the transaction ended before.
asio::awaitable<std::vector<smtp::Reply>> Client::exchange(std::vector<smtp::Group> groups) {
  std::vector<smtp::Reply> replies;
  for (const smtp::Group& group : groups) {
    if (!smtp::goes_on(group, replies)) break;
    stream_.expires_after(options_.command_timeout);
    // A failed write is looked into by reading: a peer that closes after its 5xx has still said it.
    conversation_.said(group.wire);
    co_await stream_.write(group.wire);
    for (std::size_t i = 0; i < group.replies; ++i) {
      stream_.expires_after(options_.command_timeout);  // RFC 5321 section 4.5.3.2: each has a time of its own
      auto reply = co_await read_reply();
      if (!reply) co_return replies;
      replies.push_back(std::move(*reply));
    }
  }
  co_return replies;
}

asio::awaitable<std::optional<smtp::Reply>> Client::send_content(Content content, Sent& sent) {
  sent.begun = true;
  const auto written = co_await stream_content(content, sent);
  sent.handed_over = written.has_value();
  conversation_.happened(written ? "the message and its final dot were sent" : "the message could not be sent whole");
  if (!written) usable_ = false;
  if (sent.unreadable || (!written && written.error().code == errc::timed_out)) {
    stream_.close();
    co_return std::nullopt;
  }
  stream_.expires_after(options_.data_timeout);
  auto reply = co_await read_reply();
  if (!reply) co_return std::nullopt;
  // RFC 5321 section 4.2.5: without the final dot there is nothing that a positive reply could mean
  if (!written && reply->is_positive()) co_return std::nullopt;
  co_return std::move(*reply);
}

// The stuffed content; the final dot goes in the same write as the last of it.
asio::awaitable<Result<>> Client::stream_content(Content& content, Sent& sent) {
  smtp::DotStuffer stuffer;
  std::string wire;
  const std::uint32_t pieces = content.whole ? 1 : content.chunks;
  for (std::uint32_t n = 0; n < pieces; ++n) {
    std::string chunk;
    if (!content.whole) {
      auto next = co_await content.read(n);
      if (!next) {
        sent.unreadable = next.error();
        co_return next.error();
      }
      chunk = std::move(*next);
    }
    const std::string& piece = content.whole ? *content.whole : chunk;
    wire.clear();
    wire.reserve(piece.size() + piece.size() / 32 + (n == 0 ? content.before.size() : 0) + 16);
    if (n == 0) stuffer.feed(content.before, wire);
    stuffer.feed(piece, wire);
    if (n + 1 == pieces) stuffer.finish(wire);
    if (wire.empty()) continue;
    stream_.expires_after(options_.data_timeout);
    const auto written = co_await stream_.write(wire);
    if (!written) co_return written.error();
  }
  co_return Result<>();
}

// A BDAT for each piece, the next one when the last was taken (RFC 3030): dots mean nothing, nothing is added.
asio::awaitable<std::optional<smtp::Reply>> Client::send_chunks(Content content, Sent& sent) {
  sent.begun = true;
  const std::uint32_t pieces = content.whole ? 1 : content.chunks;
  for (std::uint32_t n = 0; n < pieces; ++n) {
    std::string chunk;
    if (!content.whole) {
      auto next = co_await content.read(n);
      if (!next) {
        sent.unreadable = next.error();
        usable_ = false;
        stream_.close();
        co_return std::nullopt;
      }
      chunk = std::move(*next);
    }
    const std::string& piece = content.whole ? *content.whole : chunk;
    const std::string before = n == 0 ? content.before : std::string();
    const bool last = n + 1 == pieces;
    const std::string command = "BDAT " + std::to_string(before.size() + piece.size()) + (last ? " LAST\r\n" : "\r\n");
    stream_.expires_after(options_.data_timeout);
    conversation_.said(command);
    const auto written = co_await stream_.write(command, before, piece);
    sent.handed_over = last && written.has_value();
    if (!written) usable_ = false;
    auto reply = co_await read_reply();
    if (!reply || (!written && reply->is_positive())) co_return std::nullopt;
    if (last || !reply->is_positive()) {
      needs_reset_ = !last;
      co_return std::move(*reply);
    }
  }
  co_return std::nullopt;
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
  conversation_.said(noted);
  stream_.expires_after(options_.command_timeout);
  const auto written = co_await stream_.write(line);
  auto reply = co_await read_reply();
  if (!reply && !written) co_return written.error();
  co_return reply;
}

asio::awaitable<Result<smtp::Reply>> Client::read_reply() {
  std::array<char, 4096> buffer;  // NOLINT: uninitialized on purpose, read_some fills it
  for (;;) {
    auto reply = replies_.next();
    if (!reply) {
      conversation_.happened("the server's answer cannot be read: " + reply.error().detail);
      usable_ = false;
      co_return reply.error();
    }
    if (*reply) {
      hide((*reply)->text, secret_);
      conversation_.heard((*reply)->one_line());
      co_return std::move(**reply);
    }
    const auto got = co_await stream_.read_some(buffer);
    if (!got) {
      conversation_.happened(lost_refusal(got.error()).text);
      silent_ = got.error().code == errc::timed_out;
      usable_ = false;
      co_return got.error();
    }
    replies_.feed({buffer.data(), *got});
  }
}

bool Client::lost(hop::Outcome& outcome, const Error& error) const {
  outcome.failure = lost_refusal(error);
  return false;
}

bool Client::refused(hop::Outcome& outcome, const smtp::Reply& reply, hop::Reason reason) const {
  const std::string line = reply.one_line();
  outcome.failure = Refusal{reason, reason == Reason::smtp_reply ? line : "the server refused STARTTLS: " + line};
  outcome.reply = hop::PeerReply{reply.code, line};
  return false;
}

}  // namespace hoplock::delivery
