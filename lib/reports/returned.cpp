// SPDX-License-Identifier: Apache-2.0
#include "reports/returned.h"

namespace hoplock::reports {

namespace {
constexpr std::string_view behind_id = ".tlsrpt@";  // in a Message-ID
}  // namespace

Event event_of(const store::ReturnedReport& returned, std::string_view why, std::string_view mail) {
  const store::ReportAccount& account = returned.account;
  Event event(Level::warn, "tlsrpt");
  event.add("domain", account.key.domain.text()).add("day", tlsrpt::to_text(account.key.day)).add("action", "failed");
  event.add("sessions", static_cast<std::int64_t>(account.sessions));
  event.add("failures", static_cast<std::int64_t>(account.failures));
  event.add("rua", returned.rua).add("error", std::string(why)).add("id", std::string(mail));
  return event;
}

std::string message_id(store::Id mail, const dns::Name& submitter) {
  return mail.text() + std::string(behind_id) + submitter.text();
}

std::optional<store::Id> mail_of(std::string_view message_id) {
  const auto end = message_id.find(behind_id);
  return end == std::string_view::npos ? std::nullopt : store::Id::parse(message_id.substr(0, end));
}

}  // namespace hoplock::reports
