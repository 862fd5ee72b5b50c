// SPDX-License-Identifier: Apache-2.0
// Notices of every kind, for the golden tests and for other people's parsers.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "dsn/notice.h"

namespace hoplock::dsn::samples {

inline const std::string message =
    "Received: from client.example ([192.0.2.7])\r\n\tby relay.example.net with ESMTP id 0D5K2M7QZ3;\r\n\tSat, 21 Nov "
    "2026 "
    "10:00:00 +0000\r\nFrom: Ann <ann@contoso.com>\r\nTo: bob@partner.example\r\nSubject: the plans\r\nMessage-ID: "
    "<plans.1@contoso.com>\r\n\r\nHere they are.\r\n--not-a-boundary--\r\n.\r\nline\r\n";

inline Time at(const char* text) { return *parse_rfc3339(text); }

inline Recipient refused() {
  Recipient recipient;
  recipient.address = "bob@partner.example";
  recipient.status = "5.1.1";
  recipient.reply = "550 5.1.1 <bob@partner.example> no such user";
  recipient.reason = hop::Reason::smtp_reply;
  recipient.policy = hop::Policy::dane;
  recipient.host = "mx1.partner.example[192.0.2.1]";
  recipient.by = Recipient::By::peer;
  recipient.last_attempt = at("2026-11-21T10:00:02Z");
  return recipient;
}

inline Recipient tlsa_mismatch() {
  Recipient recipient = refused();
  recipient.status = "4.7.323";
  recipient.reply = "450 4.7.323 tlsa-invalid: mx1.partner.example[192.0.2.1]: no TLSA record matches the certificate";
  recipient.reason = hop::Reason::tlsa_invalid;
  recipient.by = Recipient::By::us;
  return recipient;
}

inline Notice notice(Recipient recipient) {
  Notice some;
  some.hostname = "relay.example.net";
  some.from = "postmaster@relay.example.net";
  some.to = "ann@contoso.com";
  some.message_id = "0D5K2M7QZ3.failed.1@relay.example.net";
  some.boundary = "=_hoplock-5f2e9a7c31d0";
  some.date = at("2026-11-21T10:00:03Z");
  some.arrival = at("2026-11-21T10:00:00Z");
  some.id = "0D5K2M7QZ3";
  some.recipients.push_back(std::move(recipient));
  return some;
}

inline std::string whole(const Notice& notice, const Content& content) {
  const Text text = compose(notice, content);
  return text.head + (text.between == Text::Between::message ? std::string(content.beginning) : "") + text.tail;
}

inline Content headers(std::string_view of = message) {
  Content content;
  content.beginning = of;
  return content;
}

}  // namespace hoplock::dsn::samples
