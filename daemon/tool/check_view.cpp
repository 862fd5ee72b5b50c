// SPDX-License-Identifier: Apache-2.0
#include "daemon/tool/check_view.h"

#include <algorithm>

#include "base/ascii.h"
#include "daemon/tool/check_policy.h"
#include "daemon/tool/text.h"
#include "daemon/tool/tlsrpt_view.h"
#include "dane/usable.h"

namespace hoplock::daemon::tool {

namespace {

using probe::Finding;
using probe::Host;
using probe::Probe;
using probe::Verdict;

json::object tlsa_to_json(const dns::Tlsa& record) {
  json::object to;
  to["usage"] = record.usage;
  to["selector"] = record.selector;
  to["matching"] = record.matching;
  to["data"] = to_hex(record.data);
  to["usable"] = dane::is_usable(record);
  return to;
}

std::string result_of(const Probe& probe) { return std::string(probe.reason ? hop::to_text(*probe.reason) : "ok"); }

json::object probe_to_json(const Probe& probe) {
  json::object to;
  to["ip"] = probe.ip.text();
  to["tls"] = clean(probe.tls);
  to["auth"] = to_text(probe.auth);
  to["result"] = result_of(probe);
  to["detail"] = text_or_null(probe.detail);
  to["cipher"] = text_or_null(probe.cipher);
  to["cert"] = text_or_null(probe.key);
  to["observed"] = observed_to_json(probe.observed);
  to["matched"] = probe.matched ? json::value(clean(probe.matched->params())) : json::value();
  return to;
}

// A host that is refused before anyone connects.
const hop::Refuse* refusal_of(const Host& host) { return std::get_if<hop::Refuse>(&host.plan); }

std::string refusal_text(const hop::Refuse& refuse) {
  return refuse.reason ? std::string(to_text(*refuse.reason)) : "no-address";
}

json::object host_to_json(const Host& host) {
  json::object to;
  to["host"] = clean(host.host);
  to["preference"] = host.preference ? json::value(*host.preference) : json::value();
  to["port"] = host.port;
  to["dnssec"] = to_text(host.dnssec);
  json::array records;
  for (const auto& one : host.tlsa) records.push_back(tlsa_to_json(one));
  to["tlsa"] = std::move(records);
  to["tlsa_base"] = host.tlsa_base.is_root() ? json::value() : json::value(clean(host.tlsa_base.text()));
  to["policy"] = to_text(policy_of(host));
  const hop::Refuse* refuse = refusal_of(host);
  to["refused"] = refuse != nullptr && refuse->reason ? json::value(to_text(*refuse->reason)) : json::value();
  to["detail"] = refuse != nullptr ? text_or_null(refuse->text) : json::value();
  to["in_policy"] = host.in_policy ? json::value(*host.in_policy) : json::value();
  to["observed"] = observed_to_json(known_of(host));
  json::array probes;
  for (const auto& one : host.probes) probes.push_back(probe_to_json(one));
  to["probes"] = std::move(probes);
  return to;
}

std::string tlsa_count(const Host& host) {
  const auto usable = std::count_if(host.tlsa.begin(), host.tlsa.end(), dane::is_usable);
  if (host.tlsa.empty()) return "-";
  if (usable == static_cast<std::ptrdiff_t>(host.tlsa.size())) return std::to_string(usable);
  return std::to_string(usable) + " of " + std::to_string(host.tlsa.size()) + " usable";
}

std::string with_detail(std::string word, const std::string& detail) {
  return detail.empty() ? word : std::move(word) + ": " + detail;
}

void print_hosts(const Console& console, const Finding& finding) {
  Table table(
      console.out, console.width,
      {{"PREF", Table::Align::right}, {"HOST"}, {"DNSSEC"}, {"POLICY"}, {"MTA-STS"}, {"TLSA", Table::Align::right}});
  for (const Host& host : finding.hosts) {
    table.add({host.preference ? std::to_string(*host.preference) : "-", host.host, std::string(to_text(host.dnssec)),
               std::string(to_text(policy_of(host))), match_word(host), tlsa_count(host)});
  }
  console.out << '\n';
  table.finish();
}

void print_addresses(const Console& console, const Finding& finding) {
  Table table(console.out, console.width,
              {{"HOST"}, {"ADDRESS"}, {"TLS"}, {"AUTH"}, {"RESULT", Table::Align::left, Table::Give::lines}});
  for (const Host& host : finding.hosts) {
    const hop::Refuse* refuse = refusal_of(host);
    for (const Probe& probe : host.probes) {
      table.add({host.host, probe.ip.text(), probe.tls, std::string(to_text(probe.auth)),
                 with_detail(result_of(probe), probe.detail)});
    }
    if (!host.probes.empty()) continue;
    if (refuse != nullptr) {
      table.add({host.host, "-", "-", "-", with_detail(refusal_text(*refuse), refuse->text)});
      continue;
    }
    for (const Ip& ip : host.addresses) table.add({host.host, ip.text(), "-", "-", "not asked"});
  }
  console.out << '\n';
  table.finish();
}

void print_records(const Console& console, const Host& host) {
  console.out << "\nTLSA at _" << host.port << "._tcp." << printable(host.tlsa_base.text()) << ":\n";
  for (const auto& one : host.tlsa) {
    const std::string line = "  " + printable(one.text()) + (dane::is_usable(one) ? "" : "  (unusable)");
    console.out << (console.width ? fit(line, *console.width) : line) << '\n';
  }
}

}  // namespace

json::object to_json(const Finding& finding, Verdict verdict) {
  json::object to;
  to["domain"] = clean(finding.domain.text());
  to["verdict"] = to_text(verdict);
  to["why"] = clean(probe::why(finding, verdict));
  to["dnssec"] = to_text(finding.dnssec);
  to["reason"] = finding.reason ? json::value(to_text(*finding.reason)) : json::value();
  to["detail"] = text_or_null(finding.detail);
  to["route"] = text_or_null(finding.route);
  to["note"] = text_or_null(finding.note);
  json::array hosts;
  for (const auto& one : finding.hosts) hosts.push_back(host_to_json(one));
  to["mx"] = std::move(hosts);
  to["mta_sts"] = finding.sts ? json::value(policy_to_json(*finding.sts)) : json::value();
  to["tls_rpt"] = finding.reporting ? json::value(reporting_to_json(*finding.reporting)) : json::value();
  return to;
}

void print(const Console& console, const Finding& finding, Verdict verdict) {
  auto& out = console.out;
  const std::string domain = printable(finding.domain.text()), why = printable(probe::why(finding, verdict));
  const std::string together = domain + ": " + std::string(to_text(verdict)) + " (" + why + ")";
  if (!console.width || columns(together) <= *console.width)
    out << together << '\n';
  else
    out << fit(domain + ": " + std::string(to_text(verdict)), *console.width) << '\n'
        << wrapped(why, 2, *console.width);
  out << "MX look-up: " << to_text(finding.dnssec);
  if (finding.expanded != finding.domain) out << ", the domain is an alias of " << printable(finding.expanded.text());
  out << '\n';
  if (!finding.route.empty()) out << "A route leads to: " << printable(finding.route) << '\n';
  if (!finding.note.empty()) out << "Note: " << printable(finding.note) << '\n';
  if (!finding.detail.empty()) {
    out << (finding.reason ? std::string(hop::to_text(*finding.reason)) + ": " : std::string())
        << printable(finding.detail) << '\n';
  }
  print_policy(console, finding);
  print_reporting(console, finding);
  if (finding.hosts.empty()) return;
  print_hosts(console, finding);
  print_addresses(console, finding);
  print_observed(console, finding);
  for (const Host& host : finding.hosts) {
    if (!host.tlsa.empty()) print_records(console, host);
  }
}

}  // namespace hoplock::daemon::tool
