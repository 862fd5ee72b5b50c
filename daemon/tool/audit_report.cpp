// SPDX-License-Identifier: Apache-2.0
#include "daemon/tool/audit_report.h"

#include <algorithm>

namespace hoplock::daemon::tool {

namespace {

using statistics::Kind;

AuditPartner partner_of(std::string domain, const statistics::Partner& rows) {
  AuditPartner partner;
  partner.domain = std::move(domain);
  for (const auto& [row, sum] : rows) {
    AuditLine line{row.first, statistics::split_words(row.second), sum};
    if (line.kind == Kind::delivered) partner.delivered.add(sum);
    if (const auto proof = line.proof()) partner.proofs[static_cast<std::size_t>(*proof)] += sum.messages;
    if (line.kind == Kind::failed) partner.failed += sum.count;
    partner.lines.push_back(std::move(line));
  }
  return partner;
}

void add_to_total(AuditPartner& total, const AuditPartner& partner) {
  if (partner.delivered.messages > 0) total.delivered.add(partner.delivered);
  for (std::size_t i = 0; i < total.proofs.size(); ++i) total.proofs[i] += partner.proofs[i];
  total.failed += partner.failed;
}

}  // namespace

std::optional<statistics::Proof> AuditLine::proof() const {
  if (kind != Kind::delivered || words.empty()) return std::nullopt;
  return statistics::proof_of(word(0), word(1), word(2));
}

std::vector<AuditLine> AuditPartner::of(Kind kind) const {
  std::vector<AuditLine> found;
  std::copy_if(lines.begin(), lines.end(), std::back_inserter(found),
               [&](const auto& one) { return one.kind == kind; });
  return found;
}

AuditReport audit_report(statistics::Found found) {
  AuditReport report;
  report.since = found.since;
  for (const auto& [domain, rows] : found.partners) report.partners.push_back(partner_of(domain, rows));
  if (!report.partners.empty() && report.partners.front().domain.empty())
    std::rotate(report.partners.begin(), report.partners.begin() + 1, report.partners.end());
  for (const AuditPartner& one : report.partners) {
    add_to_total(report.total, one);
    if (one.delivered.messages > 0 && !one.was_proved() && !one.domain.empty())
      report.never_proved.push_back(one.domain);
  }
  return report;
}

std::string to_text(statistics::Day day) { return to_rfc3339(Time(day)).substr(0, 10); }

std::string_view to_text(Kind kind) {
  static constexpr std::array<std::string_view, statistics::last_kind + 1> words{"delivered", "key",  "tlsa",   "sts",
                                                                                 "failed",    "host", "relaxed"};
  return words.at(static_cast<std::size_t>(kind));
}

std::string audit_domain(const AuditPartner& partner) {
  return partner.domain.empty() ? "(other domains)" : partner.domain;
}

}  // namespace hoplock::daemon::tool
