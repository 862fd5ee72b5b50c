// SPDX-License-Identifier: Apache-2.0
#include "daemon/tool/route_view.h"

#include <algorithm>
#include <array>

#include "config/values.h"
#include "config/words.h"
#include "daemon/tool/check_policy.h"
#include "daemon/tool/text.h"

namespace hoplock::daemon::tool {

namespace {

using probe::Host;

std::string_view word(hop::Tls tls) {
  constexpr std::array<std::string_view, 3> words{"never", "if-offered", "must"};
  return words[static_cast<std::size_t>(tls)];
}

std::string_view word(hop::OnFailure on_failure) {
  constexpr std::array<std::string_view, 3> words{"next-host", "plaintext", "audit"};
  return words[static_cast<std::size_t>(on_failure)];
}

template <class T>
std::string text_of(const T& value) {
  return std::string(config::word(value));
}

std::vector<std::string> texts(const std::vector<dns::Pattern>& from) {
  std::vector<std::string> to;
  for (const auto& one : from) to.push_back(dns::to_text(one));
  return to;
}
std::vector<std::string> texts(const std::vector<route::NextHop>& from) {
  std::vector<std::string> to;
  for (const auto& one : from) to.push_back(route::to_text(one));
  return to;
}
std::vector<std::string> texts(const std::vector<dns::Name>& from) {
  std::vector<std::string> to;
  for (const auto& one : from) to.push_back(one.text());
  return to;
}
std::vector<std::string> texts(const std::vector<Ip>& from) {
  std::vector<std::string> to;
  for (const auto& one : from) to.push_back(one.text());
  return to;
}
std::vector<std::string> params(const std::vector<dns::Tlsa>& from) {
  std::vector<std::string> to;
  for (const auto& one : from) to.push_back(one.params());
  to.erase(std::unique(to.begin(), to.end()), to.end());
  return to;
}

std::string joined_list(const std::vector<std::string>& list) {
  std::string text;
  for (const auto& one : list) text += (text.empty() ? "" : ", ") + one;
  return text;
}

json::array array_of(const std::vector<std::string>& list) {
  json::array to;
  for (const auto& one : list) to.push_back(clean(one));
  return to;
}

template <class T>
json::value word_or_null(const std::optional<T>& value) {
  return value ? json::value(text_of(*value)) : json::value();
}

// dane_audit: an exception lets pass what fails it.
std::string mandate_word(hop::Mandate mandate) {
  partners::Entry entry;
  entry.level = mandate;
  return std::string(word_of(entry)) + (mandate == hop::Mandate::dane_audit ? " (audit)" : "");
}

json::object rule_to_json(const hop::LocalRule& rule) {
  json::object to;
  to["tls"] = word_or_null(rule.route_tls);
  to["verify_names"] = array_of(texts(rule.verify_names));
  to["dane"] = rule.route_tls ? json::value() : json::value(text_of(rule.dane));
  to["mta_sts"] = rule.route_tls ? json::value() : json::value(text_of(rule.mta_sts));
  to["default_tls"] = rule.route_tls ? json::value() : json::value(text_of(rule.default_tls));
  if (rule.mandate != hop::Mandate::none) to["mandate"] = mandate_word(rule.mandate);
  return to;
}

json::object route_to_json(const route::Route& route) {
  json::object to;
  to["match"] = array_of(texts(route.match));
  to["hosts"] = array_of(texts(route.hosts));
  to["tls"] = word_or_null(route.tls);
  to["verify_names"] = array_of(texts(route.verify_names));
  to["client_certificate"] = text_or_null(route.client_certificate);
  to["username"] = text_or_null(route.username);
  to["dane"] = word_or_null(route.dane);
  to["mta_sts"] = word_or_null(route.mta_sts);
  to["until"] = route.until ? json::value(config::text_of(*route.until)) : json::value();
  to["note"] = text_or_null(route.note);
  return to;
}

json::object plan_to_json(const hop::Connect& plan) {
  json::object to;
  to["tls"] = word(plan.tls);
  to["dane"] = plan.dane ? json::value(array_of(params(plan.dane->records))) : json::value();
  to["pkix"] = plan.pkix ? json::value(array_of(texts(plan.pkix->names))) : json::value();
  to["sni"] = plan.sni.is_root() ? json::value() : json::value(clean(plan.sni.text()));
  to["on_failure"] = word(plan.on_failure);
  to["observed"] = plan.observed ? json::value(to_text(plan.observed->policy)) : json::value();
  return to;
}

// Why the host gets nothing, or what audit lets pass.
std::pair<std::string, std::string> objection_to(const Host& host) {
  if (const auto* refuse = std::get_if<hop::Refuse>(&host.plan))
    return {refuse->reason ? std::string(to_text(*refuse->reason)) : "no-address", refuse->text};
  const auto& waived = std::get<hop::Connect>(host.plan).waived;
  return waived ? std::pair(std::string(to_text(waived->reason)), waived->text) : std::pair<std::string, std::string>();
}

json::object host_to_json(const Host& host) {
  const auto* plan = std::get_if<hop::Connect>(&host.plan);
  const auto [reason, detail] = objection_to(host);
  json::object to;
  to["host"] = clean(host.host);
  to["port"] = host.port;
  to["preference"] = host.preference ? json::value(*host.preference) : json::value();
  to["addresses"] = array_of(texts(host.addresses));
  to["dnssec"] = to_text(host.dnssec);
  to["policy"] = to_text(policy_of(host));
  to["plan"] = plan != nullptr ? json::value(plan_to_json(*plan)) : json::value();
  to["reason"] = text_or_null(reason);
  to["detail"] = text_or_null(detail);
  return to;
}

std::string proof_of(const hop::Connect& plan) {
  std::string text;
  if (plan.dane) text = "TLSA " + joined_list(params(plan.dane->records));
  if (plan.pkix)
    text += (text.empty() ? "" : " and ") + std::string("tls.ca_file for ") + joined_list(texts(plan.pkix->names));
  return text.empty() ? (plan.tlsa_unusable ? "none, no TLSA record is usable" : "any") : text;
}

std::string rule_text(const hop::LocalRule& rule) {
  const std::string mandate = rule.mandate == hop::Mandate::none ? "" : ", required " + mandate_word(rule.mandate);
  if (!rule.route_tls)
    return "dane " + text_of(rule.dane) + ", mta_sts " + text_of(rule.mta_sts) + ", default_tls " +
           text_of(rule.default_tls) + mandate;
  const auto names = joined_list(texts(rule.verify_names));
  return "tls " + text_of(*rule.route_tls) + (names.empty() ? "" : ", verify_names " + names) + mandate;
}

void print_route(std::ostream& out, const RouteExplanation& explained) {
  const auto line = [&out](std::string_view key, const std::string& value) {
    if (!value.empty()) out << "  " << key << ": " << printable(value) << '\n';
  };
  for (const auto& one : explained.skipped) {
    out << "Skipped, for its `until` has passed (" << config::text_of(*one->until)
        << "): " << printable(joined_list(texts(one->match))) << '\n';
  }
  if (!explained.route) {
    out << "Route: none of " << explained.routes << " matches, MX records rule\n";
    return;
  }
  const auto& route = *explained.route;
  out << "Route: number " << *explained.position + 1 << " of " << explained.routes << ", the first that matches\n";
  line("match", joined_list(texts(route.match)));
  line("hosts", route.hosts.empty() ? "none, MX records rule" : joined_list(texts(route.hosts)));
  line("client certificate", route.client_certificate);
  line("login", route.username);
  line("until", route.until ? config::text_of(*route.until) : "");
  line("note", route.note);
}

}  // namespace

bool leads_anywhere(const RouteExplanation& explained) {
  const auto& hosts = explained.finding.hosts;
  return explained.obstacle.empty() && std::any_of(hosts.begin(), hosts.end(), [](const Host& host) {
           return std::holds_alternative<hop::Connect>(host.plan);
         });
}

json::object to_json(const RouteExplanation& explained) {
  json::object to;
  to["address"] = clean(explained.address);
  to["domain"] = clean(explained.finding.domain.text());
  to["destination"] = clean(explained.destination);
  to["route"] = explained.route ? json::value(route_to_json(*explained.route)) : json::value();
  if (explained.route) to["route"].as_object()["position"] = *explained.position + 1;
  json::array skipped;
  for (const auto& one : explained.skipped) skipped.push_back(route_to_json(*one));
  to["skipped"] = std::move(skipped);
  to["rule"] = rule_to_json(explained.rule);
  to["partner"] = text_or_null(partners::why(explained.partner));
  to["obstacle"] = text_or_null(explained.obstacle);
  to["unseen"] = text_or_null(explained.unseen);
  to["dnssec"] = to_text(explained.finding.dnssec);
  to["reason"] = explained.finding.reason ? json::value(to_text(*explained.finding.reason)) : json::value();
  to["detail"] = text_or_null(explained.finding.detail);
  to["mta_sts"] = explained.finding.sts ? json::value(policy_to_json(*explained.finding.sts)) : json::value();
  json::array hosts;
  for (const auto& one : explained.finding.hosts) hosts.push_back(host_to_json(one));
  to["hosts"] = std::move(hosts);
  return to;
}

void print(const Console& console, const RouteExplanation& explained) {
  auto& out = console.out;
  out << printable(explained.address) << '\n';
  print_route(out, explained);
  if (explained.partner.any()) out << "Agreed: " << printable(partners::why(explained.partner)) << '\n';
  out << "Rule: " << printable(rule_text(explained.rule)) << '\n';
  out << "Shares sessions with what goes to: " << printable(explained.destination) << '\n';
  if (!explained.unseen.empty())
    out << "Not looked at, for you may not read it: " << printable(explained.unseen) << '\n';
  if (!explained.obstacle.empty()) out << "In the way: " << printable(explained.obstacle) << '\n';
  if (!explained.finding.detail.empty()) {
    out << (explained.finding.reason ? std::string(to_text(*explained.finding.reason)) + ": "
                                     : std::string("No mail goes there: "))
        << printable(explained.finding.detail) << '\n';
  }
  print_policy(console, explained.finding);
  if (explained.finding.hosts.empty()) return;
  Table table(out, console.width, {{"HOST"}, {"ADDRESSES"}, {"POLICY"}, {"TLS"}, {"CERTIFICATE"}, {"IF THAT FAILS"}});
  for (const Host& host : explained.finding.hosts) {
    const auto* plan = std::get_if<hop::Connect>(&host.plan);
    const auto [reason, detail] = objection_to(host);
    const std::string objection = reason.empty() ? "" : reason + (detail.empty() ? "" : ": " + detail);
    const bool clear = plan != nullptr && plan->tls == hop::Tls::never;
    const std::string failing = plan == nullptr || clear ? "-" : std::string(word(plan->on_failure));
    const std::string under = objection.empty() ? "" : (plan == nullptr ? "refused: " : "it fails: ") + objection;
    table.add({host.host + ":" + std::to_string(host.port), joined_list(texts(host.addresses)),
               std::string(to_text(policy_of(host))), plan == nullptr ? "-" : std::string(word(plan->tls)),
               plan == nullptr || clear ? "-" : proof_of(*plan), failing},
              under);
  }
  out << '\n';
  table.finish();
}

}  // namespace hoplock::daemon::tool
