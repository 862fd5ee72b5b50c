// SPDX-License-Identifier: Apache-2.0
#include "page/rules.h"

#include "config/words.h"
#include "partners/entry.h"
#include "tlsrpt/report.h"

namespace hoplock::page {

namespace {

template <class T>
std::string listed(const std::vector<T>& all) {
  std::string text;
  for (const T& one : all) text += (text.empty() ? "" : ", ") + to_text(one);
  return text;
}

std::string demands(const hop::LocalRule& rule) {
  if (rule.route_tls)
    return "The route sets tls: " + std::string(config::word(*rule.route_tls)) +
           ", in place of DANE, MTA-STS and default_tls.";
  return "DANE: " + std::string(config::word(rule.dane)) + ". MTA-STS: " + std::string(config::word(rule.mta_sts)) +
         ". Where neither covers a hop: " + std::string(config::word(rule.default_tls)) + ".";
}

std::string agreed(const partners::Entry& entry) {
  std::string text = entry.rule == partners::Rule::mandate
                         ? "Required of this partner: at least " + std::string(partners::word_of(entry))
                         : "Excepted: " + std::string(partners::word_of(entry)) + " is only watched";
  text += entry.until ? ", until " + partners::to_text(*entry.until) : ", without an end";
  if (entry.domain.kind == dns::Pattern::Kind::subdomains) text += ", for all of " + to_text(entry.domain);
  text += ". Set by " + entry.by + " on " + to_rfc3339(entry.since).substr(0, 10);
  return entry.note.empty() ? text + "." : text + ": " + entry.note;
}

}  // namespace

std::vector<std::string> rules_for(const dns::Name& domain, const route::Table& table, Time now) {
  std::vector<std::string> sentences;
  const auto route = table.match(domain, now);
  if (route) {
    sentences.push_back("Route " + std::to_string(table.position(domain, now).value_or(0) + 1) +
                        " of the configuration matches (" + listed(route->match) + ")" +
                        (route->hosts.empty() ? "; mail goes by MX." : "; mail goes to " + listed(route->hosts) + "."));
    if (route->until) sentences.push_back("It ends on " + tlsrpt::to_text(*route->until) + ".");
    if (!route->note.empty()) sentences.push_back("Its note: " + route->note);
  } else {
    sentences.push_back("No route matches: mail goes by MX.");
  }
  sentences.push_back(demands(table.rule(domain, now)));
  const partners::Terms terms = table.terms(domain, now);
  for (const auto& entry : {terms.mandate, terms.dane, terms.mta_sts})
    if (entry) sentences.push_back(agreed(*entry));
  return sentences;
}

}  // namespace hoplock::page
