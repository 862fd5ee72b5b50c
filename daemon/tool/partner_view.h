// SPDX-License-Identifier: Apache-2.0
// Partners as the tool shows them, to programs and to people, with the words that Exchange Online has for a connector's modes: a rule is
// `mandatory`, `opportunistic` (kept where the domain publishes it), or `none` (an exception lets mail pass that fails it). Pure.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "daemon/tool/json.h"
#include "daemon/tool/tool.h"
#include "partners/book.h"

namespace hoplock::daemon::tool {

// The entries of one domain, or of its subdomains.
struct Partner {
  dns::Pattern domain;
  partners::Terms entries;  // over or not
};
// By domain; each entry in its partner.
using PartnerMap = std::map<std::string, Partner>;
void take_in(PartnerMap& partners, const partners::Entry& entry);

// Of rules, as they are at that time.
struct Modes {
  std::string_view tls, dane, mta_sts;
};
Modes modes_of(const partners::Terms& terms, Time now);

// `{domain, unicode, level, until, note, by, since, ended, exceptions:[{rule, until, note, by, since, ended}], modes:{tls, dane, mta_sts}}`
json::object to_json(const Partner& partner, Time now);
void print(const Console& console, const Partner& partner);
// "contoso.com: dane required until 2027-01-31"
std::string sentence(const partners::Entry& entry);

}  // namespace hoplock::daemon::tool
