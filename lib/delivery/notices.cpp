// SPDX-License-Identifier: Apache-2.0
#include "delivery/notices.h"

#include <algorithm>
#include <utility>

#include "base/ascii.h"
#include "base/utf8.h"
#include "dsn/notice.h"
#include "smtp/dsn.h"
#include "smtp/mailbox.h"

namespace hoplock::delivery {

namespace {

// DSN-08, DSN-09, DSN-11: does this recipient's NOTIFY ask for it?
bool wants(std::uint8_t notify, dsn::Action action) {
  switch (action) {
    case dsn::Action::failed:
      return notify == 0 || (notify & smtp::notify_failure) != 0;
    case dsn::Action::delayed:
      return notify == 0 || (notify & smtp::notify_delay) != 0;
    case dsn::Action::relayed:
      return (notify & smtp::notify_success) != 0;
  }
  return false;
}

std::optional<dsn::Action> action_for(const DsnMessage& subject, const DsnRecipient& told, const DsnOptions& options) {
  switch (told.result.verdict) {
    case store::Verdict::bounced:
    case store::Verdict::expired:
      return dsn::Action::failed;
    case store::Verdict::delivered:
      if (told.peer_tells) return std::nullopt;
      return dsn::Action::relayed;
    case store::Verdict::deferred:
      if (options.delay_notice.count() == 0 || told.due.told_delay) return std::nullopt;
      if (subject.now - subject.received < options.delay_notice) return std::nullopt;
      return dsn::Action::delayed;
  }
  return std::nullopt;
}

dsn::Recipient to_dsn(const DsnMessage& subject, const DsnRecipient& told) {
  dsn::Recipient recipient;
  recipient.address = told.due.address;
  recipient.orcpt = told.due.orcpt;
  recipient.status = told.result.status.empty() ? "4.4.7" : told.result.status;
  recipient.reply = told.result.reply;
  recipient.reason = hop::parse_reason(told.result.reason);
  recipient.policy = told.policy;
  recipient.host = told.result.host;
  recipient.by = told.words == hop::Words::peer ? dsn::Recipient::By::peer : dsn::Recipient::By::us;
  recipient.last_attempt = subject.now;
  return recipient;
}

// DSN-12, DSN-13, RTLS-10: of mail with REQUIRETLS never more than the header, whatever RET says.
dsn::Return returned(const DsnMessage& subject, dsn::Action action, const DsnOptions& options) {
  if (subject.envelope.requiretls) return dsn::Return::headers;
  const bool whole = action == dsn::Action::failed && subject.envelope.ret == smtp::Ret::full &&
                     subject.size <= options.return_limit && subject.envelope.body != store::Body::binary;
  return whole ? dsn::Return::message : dsn::Return::headers;
}

store::NoticeText to_queue(dsn::Text text) {
  store::NoticeText out;
  out.head = std::move(text.head);
  out.tail = std::move(text.tail);
  if (text.between == dsn::Text::Between::message) out.between = store::NoticeText::Between::message;
  if (text.octets == dsn::Content::Octets::eight_bit) out.body = store::Body::eight_bit;
  if (text.script == dsn::Script::utf8) out.octets = store::NoticeText::Octets::utf8;
  return out;
}

dsn::Notice blank(const DsnMessage& subject, dsn::Action action, const DsnOptions& options) {
  dsn::Notice notice;
  notice.action = action;
  notice.hostname = options.hostname;
  notice.from = options.from;
  notice.to = subject.envelope.sender;
  const std::string token = std::to_string(options.token);
  notice.message_id =
      subject.id.text() + "." + std::string(dsn::to_text(action)) + "." + token + "@" + options.hostname;
  notice.boundary = "=_hoplock-" + subject.id.text() + "-" + token;
  notice.date = subject.now;
  notice.arrival = subject.received;
  notice.id = subject.id.text();
  notice.envid = subject.envelope.envid;
  if (subject.envelope.smtputf8 || !is_ascii(notice.to)) notice.script = dsn::Script::utf8;
  if (action == dsn::Action::delayed) notice.retry_until = subject.received + options.expire;
  return notice;
}

// DSN-01: from nobody, asking for nothing, to the sender.
store::Notice around(const DsnMessage& subject, dsn::Notice notice, const DsnOptions& options) {
  store::Notice out;
  out.about = subject.id;
  out.what = dsn::to_text(notice.action);
  if (notice.action == dsn::Action::delayed) out.kind = store::Notice::Kind::delay;
  out.envelope.client = options.hostname;
  out.envelope.kind = store::Kind::notice;
  out.envelope.requiretls = subject.envelope.requiretls;  // what it tells is to be protected as the message was
  out.recipient.address = subject.envelope.sender;
  const auto sender = smtp::Mailbox::parse(subject.envelope.sender);
  if (const auto* mailbox = std::get_if<smtp::Mailbox>(&sender)) out.recipient.domain = mailbox->domain();
  const dsn::Return what = returned(subject, notice.action, options);
  const auto octets = subject.envelope.body == store::Body::seven_bit ? dsn::Content::Octets::seven_bit
                                                                      : dsn::Content::Octets::eight_bit;
  out.compose = [notice = std::move(notice), what, octets](std::string_view beginning) {
    dsn::Content content;
    content.what = what;
    content.octets = octets;
    content.beginning = beginning;
    return to_queue(dsn::compose(notice, content));
  };
  return out;
}

std::vector<store::Notice> notices_about(const DsnMessage& subject,
                                         const std::vector<std::pair<DsnRecipient, dsn::Action>>& told,
                                         const DsnOptions& options) {
  std::vector<store::Notice> all;
  for (const auto action : {dsn::Action::failed, dsn::Action::delayed, dsn::Action::relayed}) {
    dsn::Notice notice = blank(subject, action, options);
    std::vector<std::uint32_t> seqs;
    for (const auto& [one, what] : told) {
      if (what != action) continue;
      notice.recipients.push_back(to_dsn(subject, one));
      if (!is_ascii(one.due.address)) notice.script = dsn::Script::utf8;
      seqs.push_back(one.due.seq);
    }
    if (seqs.empty()) continue;
    store::Notice made = around(subject, std::move(notice), options);
    made.seqs = std::move(seqs);
    all.push_back(std::move(made));
  }
  return all;
}

}  // namespace

std::vector<store::Notice> notices(const DsnMessage& subject, const std::vector<DsnRecipient>& told,
                                   const DsnOptions& options) {
  if (subject.envelope.sender.empty()) return {};
  std::vector<std::pair<DsnRecipient, dsn::Action>> due;
  for (const DsnRecipient& one : told) {
    const auto action = action_for(subject, one, options);
    if (action && wants(one.due.notify, *action)) due.emplace_back(one, *action);
  }
  return notices_about(subject, due, options);
}

std::vector<Event> dropped(const DsnMessage& subject, const std::vector<DsnRecipient>& told) {
  std::vector<Event> events;
  if (!subject.envelope.sender.empty()) return events;
  for (const DsnRecipient& one : told) {
    if (one.result.verdict != store::Verdict::bounced && one.result.verdict != store::Verdict::expired) continue;
    Event event(Level::warn, "notice-dropped");  // it has nobody to go back to, which is the rule and no fault of ours
    event.add("id", subject.id.text()).add("from", "<>").add("to", one.due.address);
    event.add("reason", one.result.reason).add("dsn", one.result.status).add("reply", one.result.reply);
    events.push_back(std::move(event));
  }
  return events;
}

}  // namespace hoplock::delivery
