// SPDX-License-Identifier: Apache-2.0
#include "page/rules.h"

#include "config/words.h"
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
  return sentences;
}

}  // namespace hoplock::page
