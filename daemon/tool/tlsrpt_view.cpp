// SPDX-License-Identifier: Apache-2.0
#include "daemon/tool/tlsrpt_view.h"

#include "daemon/tool/text.h"

namespace hoplock::daemon::tool {

namespace {

std::string_view to_text(store::ReportDestination::State state) {
  switch (state) {
    case store::ReportDestination::State::waiting:
      return "waiting";
    case store::ReportDestination::State::accepted:
      return "accepted";
    case store::ReportDestination::State::failed:
      break;
  }
  return "failed";
}

json::object destination_to_json(const store::ReportDestination& destination) {
  json::object to;
  to["rua"] = clean(destination.rua);
  to["state"] = to_text(destination.state);
  to["attempts"] = destination.attempts;
  to["next"] = time_or_null(destination.next);
  to["error"] = text_or_null(destination.error);
  return to;
}

bool is_valid(const probe::Reporting& reporting) { return reporting.choice.state == tlsrpt::Choice::State::valid; }

}  // namespace

json::object to_json(const store::LedgerRow& row) {
  const auto& account = row.account;
  json::object to;
  to["day"] = tlsrpt::to_text(account.key.day);
  to["domain"] = clean(account.key.domain.text());
  to["state"] = store::to_text(account.state);
  to["sessions"] = account.sessions;
  to["failures"] = account.failures;
  to["due"] = time_or_null(account.due);
  to["attempts"] = account.attempts;
  to["error"] = text_or_null(account.error);
  to["report_id"] = text_or_null(row.report_id);
  if (!row.node.empty()) to["node"] = clean(row.node);
  json::array destinations;
  for (const auto& one : row.destinations) destinations.push_back(destination_to_json(one));
  to["destinations"] = std::move(destinations);
  return to;
}

std::vector<std::string> cells(const store::LedgerRow& row, Time now) {
  const auto& account = row.account;
  std::string next;
  if (account.due) next = *account.due > now ? "in " + age(*account.due - now) : "now";
  return {tlsrpt::to_text(account.key.day),
          account.key.domain.text(),
          std::string(store::to_text(account.state)),
          std::to_string(account.sessions),
          std::to_string(account.failures),
          next,
          account.error};
}

json::object reporting_to_json(const probe::Reporting& reporting) {
  json::object to;
  to["domain"] = clean(reporting.domain.text());
  std::string texts;
  for (const auto& one : reporting.texts) texts += (texts.empty() ? "" : "\n") + one;
  to["txt"] = text_or_null(texts);
  to["rua"] = nullptr;
  to["ignored"] = nullptr;
  to["error"] = text_or_null(reporting.error);
  if (!is_valid(reporting)) return to;
  json::array rua;
  for (const auto& one : reporting.choice.record.rua) rua.emplace_back(clean(tlsrpt::to_text(one)));
  json::array ignored;
  for (const auto& one : reporting.choice.record.ignored) {
    json::object bad;
    bad["uri"] = clean(one.uri);
    bad["why"] = clean(one.why);
    ignored.push_back(std::move(bad));
  }
  to["rua"] = std::move(rua);
  to["ignored"] = std::move(ignored);
  return to;
}

void print_reporting(const Console& console, const probe::Finding& finding) {
  if (!finding.reporting) return;
  auto& out = console.out;
  const auto& reporting = *finding.reporting;
  const auto& record = reporting.choice.record;
  out << "TLS reports: ";
  if (!is_valid(reporting)) {
    out << (reporting.failed ? "not known whether they are wanted" : "none wanted") << '\n';
  } else if (record.rua.empty()) {
    out << "wanted, but nobody can be told\n";
  } else {
    std::string_view before;
    for (const auto& one : record.rua) {
      out << before << "to " << printable(tlsrpt::to_text(one));
      before = ", ";
    }
    out << '\n';
  }
  for (const auto& one : reporting.texts) {
    out << "  TXT at _smtp._tls." << printable(reporting.domain.text()) << ": " << printable(one) << '\n';
  }
  if (!reporting.error.empty()) out << "  Wrong: " << printable(reporting.error) << '\n';
  for (const auto& one : record.ignored)
    out << "  Not used: " << printable(one.uri) << ": " << printable(one.why) << '\n';
}

}  // namespace hoplock::daemon::tool
