// SPDX-License-Identifier: Apache-2.0
#include "listener/server_session.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "listener/incoming.h"

namespace hoplock::listener {

namespace asio = boost::asio;

namespace {

constexpr std::size_t command_octets = 4096;  // of one read between commands
constexpr std::size_t kept_replies = 1024;    // of room for replies that an idle session keeps
constexpr std::chrono::milliseconds handshake_time{60000};
constexpr std::chrono::milliseconds goodbye_time{5000};

smtp::SessionOptions session_options(const Profile& profile) {
  smtp::SessionOptions options;
  options.hostname = profile.hostname.text();
  options.postmaster = profile.postmaster;
  options.report_sender = profile.report_sender;
  options.tls = profile.address.tls;
  options.logins = profile.users ? smtp::Logins::in_tls : smtp::Logins::none;
  options.senders = profile.address.senders;
  options.message_size = most_octets(profile);
  options.recipients = std::min<std::size_t>(profile.limits.recipients, store::max_recipients);
  options.messages = profile.limits.messages_per_connection;
  options.received_headers = profile.limits.received_headers;
  return options;
}

// "*.contoso.com" takes one label in place of the star, and a certificate's own wildcard.
bool names(const std::vector<dns::Name>& wanted, const std::string& proven) {
  const auto name = dns::Name::parse(proven);
  if (!name) return false;
  return std::any_of(wanted.begin(), wanted.end(), [&](const dns::Name& one) {
    return *name == one || (one.text().starts_with("*.") && name->parent() == one.parent());
  });
}

}  // namespace

ServerSession::ServerSession(net::Stream stream, std::shared_ptr<const Profile> profile, Services services,
                             std::shared_ptr<Places::Place> place)
    : stream_(std::move(stream)),
      profile_(std::move(profile)),
      services_(services),
      session_(session_options(*profile_),
               may_relay(*profile_, stream_.peer().ip) ? smtp::Relay::allowed : smtp::Relay::refused,
               profile_->address.tls == smtp::TlsMode::implicit ? smtp::Channel::tls : smtp::Channel::clear),
      giving_way_(place->is_lost()),
      place_(std::move(place)) {
  place_->on_give_way([this](Places::Manner manner) { give_way(manner); });
}

ServerSession::~ServerSession() = default;

// GCC 12 skips the body of a coroutine that awaits in a condition (if, while, for, switch) and has no variable of its own: here
// and in all coroutines below what an await gave is named first.
asio::awaitable<void> ServerSession::run() {
  Go go = co_await open();
  while (go == Go::on) go = co_await read_commands();
  co_await say_goodbye();
  log_left_out();
}

void ServerSession::give_way(Places::Manner manner) {
  giving_way_ = true;
  if (manner == Places::Manner::cut) {
    services_.refusals.tell(stream_.peer().ip, session_.give_way().reply);
    return stream_.close();
  }
  held_back_.notify_all();
  stream_.expires_at(std::chrono::steady_clock::now());
}

void ServerSession::wait_at_most(std::chrono::milliseconds time) {
  stream_.expires_after(giving_way_ ? std::chrono::milliseconds(0) : time);
}

// What is said when it waited too long, or must not wait longer.
smtp::Answer ServerSession::overdue() const {
  if (giving_way_) return session_.give_way();
  return ending_ ? session_.shutting_down() : session_.timed_out();
}

void ServerSession::end() {
  ending_ = true;
  held_back_.notify_all();
  if (waiting_) stream_.expires_at(std::chrono::steady_clock::now());
}

asio::awaitable<ServerSession::Go> ServerSession::open() {
  if (profile_->address.tls == smtp::TlsMode::implicit) {
    const Go secured = co_await handshake();
    if (secured == Go::end) co_return Go::end;
    session_.tls_started(look_at_certificate());
  }
  const auto client = stream_.has_unread_input() ? smtp::Session::Client::spoke : smtp::Session::Client::silent;
  const smtp::Answer answer = ending_ || giving_way_ ? overdue() : session_.greet(client);
  co_return co_await send_reply(answer);
}

asio::awaitable<ServerSession::Go> ServerSession::handshake() {
  wait_at_most(std::min(handshake_time, profile_->limits.command_timeout));
  const auto started = co_await net::accept_tls(stream_, profile_->tls);
  if (started) {
    place_->got_on(std::chrono::steady_clock::now());
    co_return Go::on;
  }
  Event event(Level::info, "tls-failed");
  event.add("client", stream_.peer().ip.text()).add("error", started.error().detail);
  log_.write(event);
  co_return Go::end;
}

// Reads until at least one whole command was answered.
asio::awaitable<ServerSession::Go> ServerSession::read_commands() {
  std::array<char, command_octets> buffer;  // NOLINT: uninitialized on purpose, read_some fills it
  wait_at_most(profile_->limits.command_timeout);
  for (const std::uint64_t before = commands_; commands_ == before;) {
    if (ending_ || giving_way_) {
      const smtp::Answer answer = overdue();
      co_return co_await send_reply(answer);
    }
    waiting_ = true;
    const auto got = co_await stream_.read_some(buffer);
    waiting_ = false;
    if (!got) {
      if (got.error().code != errc::timed_out) co_return Go::end;
      const smtp::Answer answer = overdue();
      co_return co_await send_reply(answer);
    }
    lines_.append({buffer.data(), *got});
    const Go handled = co_await handle_buffered();
    if (handled == Go::end) co_return Go::end;
  }
  co_return co_await flush(profile_->limits.command_timeout);
}

// Every whole command that has arrived, its replies gathered (SUB-16).
asio::awaitable<ServerSession::Go> ServerSession::handle_buffered() {
  while (!ending_ && !giving_way_) {
    const auto event = lines_.next();
    if (event == smtp::LineBuffer::Event::none) break;
    ++commands_;
    const bool secret = session_.is_secret_next();
    const smtp::Answer answer = handle_command(event);
    if (answer.reply.code < 400) place_->got_on(std::chrono::steady_clock::now());
    if (answer.reply.code >= 400) log_refused_command(answer.reply, secret ? std::string_view{} : lines_.line());
    if (!session_.is_receiving()) incoming_.reset();
    if (session_.envelope().recipients.empty()) counted_.reset();  // RSET, EHLO, a new MAIL
    const Go performed = co_await perform(answer);
    if (performed == Go::end) co_return Go::end;
  }
  co_return Go::on;
}

smtp::Answer ServerSession::handle_command(smtp::LineBuffer::Event event) {
  if (event == smtp::LineBuffer::Event::too_long) return session_.line_too_long();
  if (event == smtp::LineBuffer::Event::bare_newline) return session_.bare_newline();
  smtp::Facts facts;
  facts.room = queue_.room();
  if (!queue_.available()) facts.store = smtp::Facts::Store::away;
  facts.tls = profile_->tls ? smtp::Facts::Tls::ready : smtp::Facts::Tls::unavailable;
  smtp::Answer answer = session_.take(lines_.line(), facts);
  // RFC 3207 section 4, SUB-10: octets behind STARTTLS are an injection; the session says so instead of 220 and ends.
  if (answer.action == smtp::Action::start_tls && (!lines_.rest().empty() || stream_.has_unread_input())) {
    answer = session_.octets_after_starttls();
  }
  return answer.took == smtp::Answer::Took::nothing ? answer : within_sender_limit(std::move(answer));
}

// Only who may relay is counted: a stranger must not use up somebody's share in his name.
smtp::Answer ServerSession::within_sender_limit(smtp::Answer answer) {
  using Took = smtp::Answer::Took;
  const smtp::Envelope& envelope = session_.envelope();
  if (!session_.may_relay()) return within_strangers_limit(std::move(answer));
  if (envelope.sender.is_null()) return answer;
  const auto now = std::chrono::steady_clock::now();
  const std::string& sender = envelope.sender.text();
  if (answer.took == Took::recipient && !counted_) counted_ = services_.senders.begin(sender);
  const Senders::Verdict verdict =
      answer.took == Took::sender ? services_.senders.at_sender(sender, now) : counted_->add_recipient(now);
  if (verdict.over == Senders::Over::no) return answer;
  if (verdict.first) log_sender_limit(verdict.over);
  return session_.sender_over_limit(answer.took);
}

// What they can reach is our postmaster, or nobody.
smtp::Answer ServerSession::within_strangers_limit(smtp::Answer answer) {
  if (answer.took != smtp::Answer::Took::recipient) return answer;
  if (session_.envelope().recipients.back().then == smtp::Recipient::Then::discard) return answer;
  const bool full = services_.strangers.is_full(place_->site(), std::chrono::steady_clock::now());
  return full ? session_.strangers_over_limit() : answer;
}

asio::awaitable<ServerSession::Go> ServerSession::perform(smtp::Answer answer) {
  const bool chunk = answer.action == smtp::Action::receive_chunk || answer.action == smtp::Action::discard_chunk;
  if (chunk) co_return co_await receive_chunk(answer);
  if (answer.action == smtp::Action::check_login) co_return co_await check_login();
  out_ += answer.reply.to_wire();
  if (answer.action == smtp::Action::none) co_return Go::on;
  const Go flushed = co_await flush(profile_->limits.command_timeout);
  if (flushed == Go::end || answer.action == smtp::Action::close) co_return Go::end;
  if (answer.action == smtp::Action::start_tls) co_return co_await start_tls();
  co_return co_await receive_message();
}

// A reply of ours that no buffered command asked for.
asio::awaitable<ServerSession::Go> ServerSession::send_reply(smtp::Answer answer) {
  if (giving_way_) {
    services_.refusals.tell(stream_.peer().ip, answer.reply);
  } else if (answer.reply.code >= 400 && !ending_) {
    log_rejected(answer.reply, {}, {});
  }
  out_ += answer.reply.to_wire();
  const bool last = answer.action == smtp::Action::close;
  const Go written = co_await flush(last ? goodbye_time : profile_->limits.command_timeout);
  co_return last ? Go::end : written;
}

// A client that pipelines and does not read is waited for: nothing more is read from it until then.
asio::awaitable<ServerSession::Go> ServerSession::flush(std::chrono::milliseconds patience) {
  if (out_.empty()) co_return Go::on;
  stream_.expires_after(giving_way_ ? std::min(patience, goodbye_time) : patience);
  const auto written = co_await stream_.write(out_);
  out_.clear();
  if (out_.capacity() > kept_replies) out_.shrink_to_fit();
  co_return written ? Go::on : Go::end;
}

asio::awaitable<ServerSession::Go> ServerSession::start_tls() {
  const Go secured = co_await handshake();
  if (secured == Go::end) co_return Go::end;
  lines_.clear();
  session_.tls_started(look_at_certificate());
  co_return Go::on;
}

// One that an authority of client_ca signed, for a name of client_names, lets its client relay.
smtp::Peer ServerSession::look_at_certificate() {
  const auto& wanted = profile_->address.client_names;
  if (wanted.empty()) return smtp::Peer::unknown;
  auto found = net::client_certificate(stream_);
  if (!found) return smtp::Peer::unknown;
  certificate_ = std::make_unique<net::PresentedCertificate>(std::move(*found));
  const auto& has = certificate_->names;
  const bool named = std::any_of(has.begin(), has.end(), [&](const auto& name) { return names(wanted, name); });
  if (certificate_->error.empty() && !named) certificate_->error = "none of its names is in client_names";
  if (!certificate_->error.empty()) return smtp::Peer::mendable;
  services_.logins.vouch(place_->site(), std::chrono::steady_clock::now());
  place_->prove();
  return smtp::Peer::trusted;
}

asio::awaitable<ServerSession::Go> ServerSession::check_login() {
  const Go flushed = co_await flush(profile_->limits.command_timeout);
  if (flushed == Go::end) co_return Go::end;
  const std::string user = session_.login().user;
  Passwords::Attempt attempt;
  attempt.site = place_->site();
  attempt.user = user;
  attempt.password = session_.login().password;
  Credentials found = co_await services_.passwords.check(profile_->users, std::move(attempt));
  if (found == Credentials::right && session_.acts_as_another()) found = Credentials::wrong;
  const smtp::Answer answer = session_.end_of_login(found == Credentials::right   ? smtp::LoginVerdict::right
                                                    : found == Credentials::wrong ? smtp::LoginVerdict::wrong
                                                                                  : smtp::LoginVerdict::unavailable);
  if (answer.reply.code >= 400) log_failed_login(answer.reply, user);
  const auto now = std::chrono::steady_clock::now();
  if (found == Credentials::right) {
    services_.logins.right(place_->site(), user, now);
    place_->prove();
  } else {
    const auto first = profile_->limits.failed_login;
    const auto pause = found == Credentials::wrong ? services_.logins.wrong(place_->site(), user, now, first)
                                                   : services_.logins.undecided(place_->site(), now, first);
    if (!ending_ && !giving_way_) co_await held_back_.wait_until(now + pause);
  }
  out_ += answer.reply.to_wire();
  co_return answer.action == smtp::Action::close ? Go::end : Go::on;
}

asio::awaitable<void> ServerSession::say_goodbye() {
  if (!stream_.is_open()) co_return;
  co_await flush(goodbye_time);
  stream_.expires_after(goodbye_time);
  co_await stream_.shutdown();
}

}  // namespace hoplock::listener
