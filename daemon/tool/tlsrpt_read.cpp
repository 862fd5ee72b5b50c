// SPDX-License-Identifier: Apache-2.0
// `hoplock tlsrpt read FILE…`: what others report about us, as a table. Needs neither the daemon nor its data.
#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <fstream>
#include <iterator>

#include "daemon/system.h"
#include "daemon/tool/commands.h"
#include "daemon/tool/json.h"
#include "daemon/tool/text.h"
#include "tlsrpt/foreign.h"

namespace hoplock::daemon::tool {

namespace {

namespace json = boost::json;

Result<tlsrpt::Report> report_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string octets(tlsrpt::most_foreign_octets + 1, '\0');
  file.read(octets.data(), static_cast<std::streamsize>(octets.size()));
  if (!file.is_open() || file.bad()) return fail(errc::io_error, "it cannot be read");
  octets.resize(static_cast<std::size_t>(file.gcount()));
  return tlsrpt::read_foreign(octets);
}

std::string day_of(const tlsrpt::Report& report) {
  return report.begin == Time{} ? "-" : tlsrpt::to_text(tlsrpt::day_of(report.begin));
}

std::string policy_of(const tlsrpt::Sessions& sessions) {
  return std::string(tlsrpt::to_text(sessions.policy.type)) + " " + sessions.policy.domain.text();
}

std::string why(const tlsrpt::Failure& failure) {
  return std::string(tlsrpt::to_text(failure.type)) + (failure.reason.empty() ? "" : ": " + failure.reason);
}

std::string where(const std::string& name, const std::optional<Ip>& ip) {
  if (!ip) return name;
  return name.empty() ? ip->text() : name + "[" + ip->text() + "]";
}

void add_rows(Table& table, const tlsrpt::Report& report) {
  for (const tlsrpt::Sessions& one : report.policies) {
    table.add({day_of(report), report.organization, policy_of(one), std::to_string(one.successes),
               std::to_string(one.failures), "", "", ""});
    for (const tlsrpt::Failure& failure : one.details) {
      table.add({day_of(report), report.organization, policy_of(one), "", std::to_string(failure.sessions),
                 why(failure), where(failure.receiving_host, failure.receiving_ip),
                 failure.sending_ip ? failure.sending_ip->text() : ""});
    }
  }
}

json::object failure_to_json(const tlsrpt::Failure& failure) {
  json::object to;
  to["reason"] = std::string(tlsrpt::to_text(failure.type));
  to["detail"] = failure.reason;
  to["sessions"] = failure.sessions;
  to["mx"] = failure.receiving_host;
  to["ip"] = failure.receiving_ip ? json::value(failure.receiving_ip->text()) : json::value();
  to["from"] = failure.sending_ip ? json::value(failure.sending_ip->text()) : json::value();
  return to;
}

json::object report_to_json(const std::string& file, const tlsrpt::Report& report) {
  json::object to;
  to["file"] = file;
  to["organization"] = report.organization;
  to["contact"] = report.contact;
  to["id"] = report.id;
  to["day"] = day_of(report);
  json::array policies;
  for (const tlsrpt::Sessions& one : report.policies) {
    json::object policy;
    policy["type"] = std::string(tlsrpt::to_text(one.policy.type));
    policy["domain"] = one.policy.domain.text();
    policy["sessions"] = one.successes + one.failures;
    policy["failures"] = one.failures;
    json::array details;
    for (const tlsrpt::Failure& failure : one.details) details.emplace_back(failure_to_json(failure));
    policy["details"] = std::move(details);
    policies.emplace_back(std::move(policy));
  }
  to["policies"] = std::move(policies);
  return to;
}

}  // namespace

// Exit 1: some file is no report, 74: some cannot be read; the others are told all the same.
int tlsrpt_read(const Call& call) {
  using Align = Table::Align;
  const Console& console = call.console;
  Table table(
      console.out, console.width,
      {{"DAY"}, {"BY"}, {"POLICY"}, {"GOOD", Align::right}, {"FAILED", Align::right}, {"WHY"}, {"HOST"}, {"FROM"}});
  std::size_t count = 0;
  int code = ok;
  for (const std::string& path : call.arguments.words) {
    const auto report = report_of(path);
    if (!report) {
      const bool unread = report.error().code == errc::io_error;
      code = std::max(code, complain(console, unread ? io_error : no, path + ": " + report.error().detail));
      continue;
    }
    if (call.arguments.json) {
      console.out << (count == 0 ? "[\n" : ",\n") << to_line(report_to_json(path, *report));
    } else {
      add_rows(table, *report);
    }
    ++count;
  }
  if (call.arguments.json) console.out << (count == 0 ? "[]\n" : "\n]\n");
  table.finish();
  return code;
}

}  // namespace hoplock::daemon::tool
