// SPDX-License-Identifier: Apache-2.0
// The part of ServerSession that tells the log what happened to its client.
#include "listener/incoming.h"
#include "smtp/command.h"

namespace hoplock::listener {

namespace {

constexpr unsigned most_lines = 20;  // about refusals of one session; then they are counted

std::string joined(const std::vector<std::string>& names) {
  constexpr std::size_t most = 10;
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < most; ++i) text += (i == 0 ? "" : ",") + names[i];
  return names.size() > most ? text + ",..." : text;
}

}  // namespace

// As it stands in the configuration.
std::string ServerSession::listener() const {
  const net::Endpoint& at = profile_->address.at;
  return at.port == 0 ? stream_.local().text() : at.text();
}

void ServerSession::log_store_failed(const Error& error) const {
  Event event(Level::error, "store-failed");
  event.add("client", stream_.peer().ip.text()).add("error", error.detail);
  log_.write(event);
}

void ServerSession::log_refused_command(const smtp::Reply& reply, std::string_view line) {
  const smtp::Command command = smtp::parse_command(line);
  const std::string path(command.path);
  switch (command.verb) {
    case smtp::Verb::mail:
      // only `<>` is the empty sender; a line that names none at all says nothing of it
      return log_rejected(reply, path.empty() && command.well_formed ? "<>" : path, {});
    case smtp::Verb::rcpt: {
      Event event(Level::info, "rejected");
      event.add("client", stream_.peer().ip.text());
      if (session_.has_sender()) event.add("from", std::string(session_.envelope().sender.display()));
      event.add("to", path);
      const bool denied =
          !session_.may_relay() && reply.status && reply.status->subject == 7 && reply.status->detail == 1;
      return log_rejected(std::move(event), reply, denied ? Because::no_reason : Because::any);
    }
    default:
      return log_rejected(reply, {}, {});
  }
}

void ServerSession::log_failed_login(const smtp::Reply& reply, const std::string& user) {
  Event event(Level::info, "rejected");
  event.add("client", stream_.peer().ip.text()).add("user", user);
  log_rejected(std::move(event), reply);
}

void ServerSession::log_rejected(const smtp::Reply& reply, std::string from, std::string to) {
  Event event(Level::info, "rejected");
  event.add("client", stream_.peer().ip.text()).add("from", std::move(from)).add("to", std::move(to));
  log_rejected(std::move(event), reply);
}

// One client's faults do not fill the log.
void ServerSession::log_rejected(Event event, const smtp::Reply& reply, Because because) {
  ++counts_.rejected;
  log_.count(counted::Rejected{reply.code});
  if (lines_told_ >= most_lines || !(session_.may_relay() || services_.refusals.may_tell(place_->site()))) {
    ++left_out_;
    return;
  }
  ++lines_told_;
  event.add("code", std::int64_t{reply.code}).add("reply", reply.one_line());
  if (because == Because::no_reason) add_relay_reasons(event);
  log_.write(event);
}

// The one line that somebody should read, in each period.
void ServerSession::log_sender_limit(Senders::Over over) const {
  const SendersLimit& limit = services_.senders.limit();
  const auto& rate = over == Senders::Over::messages ? limit.messages : limit.recipients;
  Event event(Level::warn, "sender-limit");
  event.add("from", std::string(session_.envelope().sender.display()));
  event.add("limit", over == Senders::Over::messages ? "rate" : "recipients");
  event.add("amount", static_cast<std::int64_t>(rate->amount)).add("period", std::int64_t{rate->period.count()});
  event.add("client", stream_.peer().ip.text()).add("user", session_.user());
  log_.write(event);
}

void ServerSession::log_left_out() {
  if (left_out_ == 0) return;
  if (lines_told_ == 0) return services_.refusals.leave_out(left_out_);
  log_.write(Event(Level::info, "rejections").add("client", stream_.peer().ip.text()).add("count", left_out_));
}

// Which of the three reasons to relay was missing, and how: what the listener does not offer, the client cannot have.
void ServerSession::add_relay_reasons(Event& event) const {
  const Address& address = profile_->address;
  const std::string_view login = address.users_file.empty() ? "no login (off here)"
                                 : stream_.tls()            ? "no login"
                                                            : "no login (needs TLS)";
  const std::string_view certificate = address.client_names.empty() ? "no certificate (not asked for here)"
                                       : certificate_               ? "certificate refused"
                                       : stream_.tls()              ? "no certificate"
                                                                    : "no certificate (needs TLS)";
  event.add("listener", listener());
  event.add("why", "address not in allow, " + std::string(login) + ", " + std::string(certificate));
  if (!certificate_) return;
  event.add("cert", certificate_->key_digest).add("cert_subject", certificate_->subject);
  event.add("cert_names", joined(certificate_->names)).add("cert_expires", certificate_->expires);
  event.add("cert_error", certificate_->error);
}

// A report's own bounce (RPT-40): told, and then thrown away.
boost::asio::awaitable<void> ServerSession::take_bounce() {
  Event event(Level::info, "tlsrpt-bounce");
  event.add("client", stream_.peer().ip.text()).add("from", std::string(session_.envelope().sender.display()));
  event.add("to", profile_->report_sender.text()).add("size", static_cast<std::int64_t>(incoming_->size()));
  log_.write(event);
  log_.count(counted::Once::report_bounced);
  std::string content = incoming_->take_beginning();
  if (services_.bounces) co_await services_.bounces(std::move(content));
}

void ServerSession::log_accepted(const std::string& id) const {
  ++counts_.accepted;
  const auto tls = stream_.tls();
  counted::Accepted count;
  count.tls = tls ? tls->version : "none";
  count.recipients = session_.envelope().recipients.size();
  count.octets = incoming_->size();
  log_.count(count);
  if (!log_.enabled(Level::info)) return;
  const bool proven = certificate_ && certificate_->error.empty();
  Event event(Level::info, "accepted");
  event.add("id", id).add("from", std::string(session_.envelope().sender.display()));
  event.add("nrcpt", static_cast<std::int64_t>(session_.envelope().recipients.size()));
  event.add("size", static_cast<std::int64_t>(incoming_->size()))
      .add("client", stream_.peer().ip.text())
      .add("helo", session_.helo());
  event.add("tls", tls ? tls->version : "none")
      .add("user", session_.user())
      .add("cert", proven ? certificate_->key_digest : std::string{})
      .add("cert_subject", proven ? certificate_->subject : std::string{})
      .add("listener", listener())
      .add("msgid", incoming_->facts().message_id);
  if (session_.envelope().require_tls) event.add("requiretls", std::string("yes"));
  if (incoming_->lone_newlines() > 0) event.add("normalized", static_cast<std::int64_t>(incoming_->lone_newlines()));
  log_.write(event);
}

}  // namespace hoplock::listener
