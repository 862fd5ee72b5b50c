// SPDX-License-Identifier: Apache-2.0
#include "smtp/session.h"

#include <algorithm>
#include <utility>

#include "base/ascii.h"
#include "smtp/answers.h"
#include "smtp/parameters.h"

namespace hoplock::smtp {

namespace {

bool has_control(std::string_view line) {
  return std::any_of(line.begin(), line.end(),
                     [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; });
}

bool works_before_tls(Verb verb) {
  return verb == Verb::ehlo || verb == Verb::helo || verb == Verb::noop || verb == Verb::starttls || verb == Verb::quit;
}

Answer refuse_parameter(const BadParameter& bad) {
  return bad.kind == BadParameter::Kind::unknown ? answer(555, {5, 5, 4}, "Unsupported parameter")
                                                 : bad_argument(bad.why);
}

// Our word that something was handed on would carry a stranger's header to whomever it names as the sender: it asks for none.
std::uint8_t without_success(std::uint8_t notify) {
  if ((notify & notify_success) == 0) return notify;
  const auto rest = static_cast<std::uint8_t>(notify & ~notify_success);
  return rest == 0 ? notify_never : rest;
}

// The reply to a path that is no mailbox; sender or recipient decide on the enhanced code (RFC 3463 section 3.2).
Answer refuse_mailbox(const BadMailbox& bad, Verb verb) {
  const bool sender = verb == Verb::mail;
  const auto detail = [&](std::uint16_t of_sender, std::uint16_t of_recipient) {
    return EnhancedStatus{5, 1, sender ? of_sender : of_recipient};
  };
  if (bad.kind == BadMailbox::Kind::bad_domain) return answer(550, detail(8, 2), "Bad domain: " + bad.why);
  return answer(501, detail(7, 3), "Bad address: " + bad.why);
}

}  // namespace

Session::Session(SessionOptions options, Relay relay, Channel channel)
    : options_(std::move(options)), relay_(relay), channel_(channel) {}

Answer Session::greet(Client client) const {
  if (client == Client::spoke)
    return answer(554, {5, 5, 1}, options_.hostname + " You spoke before the banner", Action::close);
  return {Reply(220, std::nullopt, options_.hostname + " ESMTP hoplock"), Action::none};
}

Answer Session::take(std::string_view line, const Facts& facts) {
  if (challenge_ != Challenge::none) return count(take_response(line));
  const Command command = parse_command(line);
  if (has_control(line)) return count(discard(answer(500, {5, 5, 2}, "Control character in command"), command));
  if (command.verb == Verb::http)
    return answer(421, {4, 7, 0}, options_.hostname + " This is no mail protocol", Action::close);
  if (options_.tls == TlsMode::required && channel_ == Channel::clear && !works_before_tls(command.verb)) {
    return count(discard(answer(530, {5, 7, 0}, "Must issue a STARTTLS command first"), command));
  }
  return count(obey(command, facts));
}

Answer Session::obey(const Command& command, const Facts& facts) {
  switch (command.verb) {
    case Verb::ehlo:
    case Verb::helo:
      return ehlo(command, facts);
    case Verb::mail:
      return mail(command, facts);
    case Verb::rcpt:
      return rcpt(command);
    case Verb::data:
      return data(command, facts);
    case Verb::bdat:
      return bdat(command);
    case Verb::starttls:
      return starttls(command, facts);
    case Verb::auth:
      return auth(command);
    case Verb::rset:
      if (!command.well_formed) return bad_argument("RSET takes no argument");
      reset();
      return ok();
    case Verb::noop:
      return ok();
    case Verb::quit:
      if (!command.well_formed) return bad_argument("QUIT takes no argument");
      return answer(221, {2, 0, 0}, options_.hostname + " closing connection", Action::close);
    case Verb::vrfy:
      if (!command.well_formed) return bad_argument("Syntax: VRFY address");
      return answer(252, {2, 0, 0}, "Cannot VRFY, but will take mail for it and try");
    case Verb::help:
      return answer(214, {2, 0, 0}, "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY HELP STARTTLS AUTH");
    case Verb::unimplemented:
      return answer(502, {5, 5, 1}, "Command not implemented");
    case Verb::http:
    case Verb::unknown:
      break;
  }
  return answer(500, {5, 5, 2}, "Command not recognized");
}

Answer Session::ehlo(const Command& command, const Facts& facts) {
  const bool extended = command.verb == Verb::ehlo;
  if (!command.well_formed) return bad_argument(extended ? "Syntax: EHLO hostname" : "Syntax: HELO hostname");
  reset();
  state_ = State::greeted;
  extended_ = extended;
  helo_ = command.argument;
  std::string text = options_.hostname;
  if (extended) {
    text += "\nSIZE " + std::to_string(options_.message_size) +
            "\nPIPELINING\n8BITMIME\nBINARYMIME\nSMTPUTF8\nCHUNKING\nDSN\nENHANCEDSTATUSCODES";
    const bool has_starttls = options_.tls == TlsMode::starttls || options_.tls == TlsMode::required;
    if (has_starttls && channel_ == Channel::clear && facts.tls == Facts::Tls::ready) text += "\nSTARTTLS";
    if (options_.logins == Logins::in_tls && channel_ == Channel::tls) text += "\nAUTH PLAIN LOGIN";
    if (channel_ == Channel::tls) text += "\nREQUIRETLS";  // RTLS-01: what was taken in clear could not be vouched for
  }
  return {Reply(250, std::nullopt, std::move(text)), Action::none};
}

Answer Session::mail(const Command& command, const Facts& facts) {
  if (state_ == State::start) return out_of_order("Send EHLO first");
  if (state_ == State::failed) return out_of_order("The transaction failed, send RSET");
  if (state_ != State::greeted) return out_of_order("Nested MAIL command");
  if (!command.well_formed) return bad_argument("Syntax: MAIL FROM:<address>");
  if (facts.store == Facts::Store::away) return {store_away(options_.hostname), Action::close};
  if (messages_ >= options_.messages) {
    return answer(421, {4, 7, 0}, options_.hostname + " Too many messages on this connection", Action::close);
  }
  if (!extended_ && !command.parameters.empty()) return answer(555, {5, 5, 4}, "Unsupported parameter");
  const auto asked = parse_mail_parameters(command.parameters);
  if (const auto* bad = std::get_if<BadParameter>(&asked)) return refuse_parameter(*bad);
  const auto& wanted = std::get<MailParameters>(asked);
  if (wanted.require_tls && channel_ == Channel::clear)
    return answer(530, {5, 7, 10}, "REQUIRETLS needs an encrypted session, send STARTTLS first");
  auto parsed = Mailbox::parse(command.path);
  if (const auto* bad = std::get_if<BadMailbox>(&parsed)) return refuse_mailbox(*bad, command.verb);
  Mailbox& sender = std::get<Mailbox>(parsed);
  if (sender.is_bare_postmaster()) return answer(501, {5, 1, 7}, "Bad address: no domain");
  if (sender.has_utf8_local() && !wanted.smtputf8) return answer(550, {5, 6, 7}, "Address needs SMTPUTF8");
  if (!may_send_as(sender)) return answer(550, {5, 7, 1}, "Sender domain not allowed here");
  if (wanted.size > options_.message_size) return answer(552, {5, 3, 4}, "Message too large");
  if (facts.room == 0 || wanted.size > facts.room)
    return answer(452, {4, 3, 1}, "Insufficient storage, try again later");
  envelope_.sender = std::move(sender);
  envelope_.body = wanted.body;
  envelope_.size = wanted.size;
  envelope_.ret = wanted.ret;
  envelope_.envid = wanted.envid;
  envelope_.smtputf8 = wanted.smtputf8;
  envelope_.require_tls = wanted.require_tls;
  state_ = State::mail;
  Answer taken = answer(250, {2, 1, 0}, "Ok");
  taken.took = Answer::Took::sender;
  return taken;
}

Answer Session::rcpt(const Command& command) {
  if (state_ != State::mail) return out_of_order("Need MAIL command");
  refused_recipients_ = true;  // until it is taken
  if (!command.well_formed) return bad_argument("Syntax: RCPT TO:<address>");
  if (!extended_ && !command.parameters.empty()) return answer(555, {5, 5, 4}, "Unsupported parameter");
  auto asked = parse_rcpt_parameters(command.parameters);
  if (const auto* bad = std::get_if<BadParameter>(&asked)) return refuse_parameter(*bad);
  auto& wanted = std::get<RcptParameters>(asked);
  auto parsed = Mailbox::parse(command.path);
  if (const auto* bad = std::get_if<BadMailbox>(&parsed)) return refuse_mailbox(*bad, command.verb);
  Mailbox& mailbox = std::get<Mailbox>(parsed);
  if (mailbox.is_null()) return answer(501, {5, 1, 3}, "Bad address: empty");
  const Mailbox* postmaster = own_postmaster(mailbox);
  const bool bounce = postmaster == nullptr && is_report_bounce(mailbox);
  if (postmaster == nullptr && !bounce) {
    if (!may_relay()) return relaying_denied();
    if (mailbox.is_literal()) return answer(550, {5, 1, 3}, "Address literals are not served");
    if (mailbox.has_utf8_local() && !envelope_.smtputf8) return answer(553, {5, 6, 7}, "Address needs SMTPUTF8");
  }
  if (envelope_.recipients.size() >= options_.recipients) return answer(452, {4, 5, 3}, "Too many recipients");
  if (postmaster != nullptr) mailbox = *postmaster;
  Recipient recipient;
  recipient.mailbox = std::move(mailbox);
  recipient.notify = may_relay() ? wanted.notify : without_success(wanted.notify);
  recipient.orcpt = std::move(wanted.orcpt);
  if (bounce) recipient.then = Recipient::Then::discard;
  envelope_.recipients.push_back(std::move(recipient));
  Answer taken = answer(250, {2, 1, 5}, "Ok");
  taken.took = Answer::Took::recipient;
  return taken;
}

Answer Session::sender_over_limit(Answer::Took took) {
  if (took == Answer::Took::recipient && !envelope_.recipients.empty()) {
    envelope_.recipients.pop_back();
  } else {
    reset();
  }
  return answer(450, {4, 7, 1}, "This sender has sent too much, try again later");
}

Answer Session::strangers_over_limit() {
  envelope_.recipients.pop_back();
  return answer(450, {4, 7, 1}, "Too much mail from clients that may not relay, try again later");
}

// A certificate that is out of date, unknown or of another name is mended by somebody, and mail waits until then instead of bouncing.
Answer Session::relaying_denied() const {
  if (peer_ == Peer::mendable) return answer(454, {4, 7, 1}, "Relaying denied, the client certificate is not in order");
  return answer(550, {5, 7, 1}, "Relaying denied");
}

Answer Session::starttls(const Command& command, const Facts& facts) {
  if (channel_ == Channel::tls) return out_of_order("TLS is already active");
  if (options_.tls == TlsMode::none || options_.tls == TlsMode::implicit)
    return answer(502, {5, 5, 1}, "Command not implemented");
  if (!command.well_formed) return bad_argument("STARTTLS takes no argument");
  if (facts.tls == Facts::Tls::unavailable) return answer(454, {4, 7, 0}, "TLS not available due to temporary reason");
  return answer(220, {2, 0, 0}, "Ready to start TLS", Action::start_tls);
}

Answer Session::line_too_long() {
  // RFC 4954 section 4: the exchange is over
  const bool response = std::exchange(challenge_, Challenge::none) != Challenge::none;
  return count(response ? answer(500, {5, 5, 6}, "Authentication line too long")
                        : answer(500, {5, 5, 2}, "Line too long"));
}

Answer Session::bare_newline() {
  reset();
  challenge_ = Challenge::none;
  return answer(500, {5, 5, 2}, "Lone CR or LF in command", Action::close);
}

Answer Session::octets_after_starttls() {
  reset();
  return answer(554, {5, 5, 1}, "Octets after STARTTLS before the handshake", Action::close);
}

void Session::tls_started(Peer peer) {
  reset();
  peer_ = peer;
  user_.clear();
  login_ = Login{};
  channel_ = Channel::tls;
  state_ = State::start;
  extended_ = false;
  helo_.clear();
}

Answer Session::shutting_down() const {
  return answer(421, {4, 3, 2}, options_.hostname + " shutting down", Action::close);
}
Answer Session::give_way() const {
  return answer(421, {4, 7, 0}, options_.hostname + " Too many connections, others need the place", Action::close);
}
Answer Session::timed_out() const { return answer(421, {4, 4, 2}, options_.hostname + " timed out", Action::close); }

Reply Session::too_many_connections(std::string_view hostname) {
  return answer(421, {4, 7, 0}, std::string(hostname) + " Too many connections").reply;
}

Reply Session::store_away(std::string_view hostname) {
  return answer(421, {4, 3, 2}, std::string(hostname) + " Service not available, the store is away").reply;
}

std::string_view Session::protocol() const {
  if (!extended_) return "SMTP";
  const bool utf8 = envelope_.smtputf8;  // RFC 6531 section 3.7.3
  if (channel_ == Channel::clear) return utf8 ? "UTF8SMTP" : "ESMTP";
  if (user_.empty()) return utf8 ? "UTF8SMTPS" : "ESMTPS";
  return utf8 ? "UTF8SMTPSA" : "ESMTPSA";
}

// Counts what failed for good; what is only refused for now (452) is no fault of the client's.
Answer Session::count(Answer given) {
  if (!given.reply.is_permanent() || ++errors_ < options_.errors) return given;
  reset();
  return answer(421, {4, 7, 0}, options_.hostname + " Too many errors", Action::close);
}

// A client that may not relay reaches only our postmaster, whatever it sends as (SUB-26).
bool Session::may_send_as(const Mailbox& sender) const {
  if (options_.senders.empty() || sender.is_null() || !may_relay()) return true;
  if (sender.is_literal()) return false;
  return std::any_of(options_.senders.begin(), options_.senders.end(), [&](const dns::Name& allowed) {
    if (!allowed.text().starts_with("*.")) return sender.domain() == allowed;
    const dns::Name above = allowed.parent();
    return sender.domain() != above && sender.domain().is_within(above);
  });
}

// The administrator's mailbox when `mailbox` is <postmaster> or postmaster at our host name (RFC 5321 section 4.5.1).
const Mailbox* Session::own_postmaster(const Mailbox& mailbox) const {
  if (mailbox.is_bare_postmaster()) return &options_.postmaster;
  const bool ours = equals_ignoring_case(mailbox.local(), "postmaster") &&
                    equals_ignoring_case(mailbox.domain_text(), options_.hostname);
  return ours ? &options_.postmaster : nullptr;
}

// RPT-40: nobody reads what comes back to the sender of reports, so that whoever bounces them is told nothing else. Where reports are
// sent in the name of the postmaster, somebody does read it.
bool Session::is_report_bounce(const Mailbox& recipient) const {
  const Mailbox& ours = options_.report_sender;
  return !ours.is_null() && ours != options_.postmaster && envelope_.sender.is_null() &&
         recipient.local() == ours.local() && equals_ignoring_case(recipient.domain_text(), ours.domain_text());
}

void Session::reset() {
  if (state_ != State::start) state_ = State::greeted;
  refused_recipients_ = false;
  envelope_.sender = Mailbox{};
  envelope_.recipients.clear();
  envelope_.body = Body::seven_bit;
  envelope_.size = 0;
  envelope_.ret = Ret::unset;
  envelope_.envid.clear();
  envelope_.smtputf8 = false;
  envelope_.require_tls = false;
}

}  // namespace hoplock::smtp
