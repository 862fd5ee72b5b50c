// SPDX-License-Identifier: Apache-2.0
#include "daemon/tool/check_policy.h"

#include <algorithm>

#include "daemon/tool/sts_view.h"
#include "daemon/tool/text.h"

namespace hoplock::daemon::tool {

namespace {

using hop::Reason;
using probe::Finding;
using probe::Host;
using probe::Probe;

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& one : lines) text += (text.empty() ? "" : "\n") + one;
  return text;
}

std::string with_text(const hop::Refusal& refusal) {
  return std::string(to_text(refusal.reason)) + (refusal.text.empty() ? "" : ": " + refusal.text);
}

// What would put it right, where that is one thing.
std::string advice(const Finding& finding) {
  const std::string host = "mta-sts." + finding.domain.text();
  const auto& sts = *finding.sts;
  if (sts.reason == Reason::sts_policy_fetch_error)
    return "https://" + host + "/.well-known/mta-sts.txt must answer with status 200 and Content-Type text/plain";
  if (sts.reason == Reason::sts_webpki_invalid)
    return "the web server of " + host + " needs a valid certificate for that name from an authority in tls.ca_file";
  if (sts.reason == Reason::sts_policy_invalid)
    return "the file needs the lines version: STSv1, mode:, mx: and max_age: (RFC 8461 section 3.2)";
  if (sts.reason && !sts.policy) {
    return sts.reason == Reason::dnssec_invalid
               ? "the zone's signatures must be put right; mail waits until then"
               : "mail waits until the record can be looked up, for 15 minutes at most";
  }
  const bool outside = std::any_of(finding.hosts.begin(), finding.hosts.end(),
                                   [](const Host& one) { return one.in_policy && !*one.in_policy; });
  if (outside && sts.policy && sts.policy->mode != mtasts::Mode::none)
    return "the policy should name every MX host; after a change the record needs a new id";
  return "";
}

}  // namespace

json::object policy_to_json(const probe::Sts& sts) {
  json::object to;
  to["txt"] = text_or_null(joined(sts.texts));
  to["id"] = text_or_null(sts.id);
  to["mode"] = sts.policy ? json::value(mtasts::to_text(sts.policy->mode)) : json::value();
  to["mx"] = sts.policy ? json::value(patterns(*sts.policy)) : json::value();
  to["max_age"] = sts.policy ? json::value(sts.policy->max_age.count()) : json::value();
  to["error"] = text_or_null(sts.error);
  return to;
}

json::value observed_to_json(const std::optional<hop::Observation>& observation) {
  if (!observation) return {};
  json::object to;
  const auto& defect = observation->defect;
  to["policy"] = to_text(observation->policy);
  to["result"] = defect ? to_text(defect->reason) : "ok";
  to["detail"] = defect ? text_or_null(defect->text) : json::value();
  return to;
}

std::optional<hop::Observation> known_of(const Host& host) {
  const auto* plan = std::get_if<hop::Connect>(&host.plan);
  if (plan == nullptr || !plan->observed || !plan->observed->known) return std::nullopt;
  return hop::Observation{plan->observed->policy, plan->observed->known};
}

std::string match_word(const Host& host) { return !host.in_policy ? "-" : *host.in_policy ? "named" : "not named"; }

void print_policy(const Console& console, const Finding& finding) {
  if (!finding.sts) return;
  auto& out = console.out;
  const auto& sts = *finding.sts;
  out << "MTA-STS: ";
  if (sts.policy) {
    out << policy_text(*sts.policy) << " (id " << printable(sts.id) << ", max_age " << sts.policy->max_age.count()
        << ")\n";
  } else {
    out << (sts.fact.state == hop::StsFact::State::unknown ? "not known whether there is a policy\n" : "no policy\n");
  }
  for (const auto& one : sts.texts) {
    out << "  TXT at _mta-sts." << printable(finding.domain.text()) << ": " << printable(one) << '\n';
  }
  if (!sts.error.empty()) out << "  Wrong: " << printable(sts.error) << '\n';
  if (const auto what = advice(finding); !what.empty()) out << "  Hint: " << printable(what) << '\n';
}

void print_observed(const Console& console, const Finding& finding) {
  Table table(console.out, console.width, {{"HOST"}, {"ADDRESS"}, {"RULE"}, {"ONLY OBSERVED"}});
  bool any = false;
  const auto add = [&](const Host& host, const std::string& address, const std::optional<hop::Observation>& seen) {
    if (!seen) return;
    any = true;
    table.add({host.host, address, std::string(to_text(seen->policy)), seen->defect ? with_text(*seen->defect) : "ok"});
  };
  for (const Host& host : finding.hosts) {
    if (host.probes.empty()) add(host, "-", known_of(host));
    for (const Probe& probe : host.probes) add(host, probe.ip.text(), probe.observed);
  }
  if (!any) return;
  console.out << '\n';
  table.finish();
}

}  // namespace hoplock::daemon::tool
