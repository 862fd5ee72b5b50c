// SPDX-License-Identifier: Apache-2.0
#include "daemon/tool/partner_view.h"

#include <utility>

#include "daemon/tool/text.h"

namespace hoplock::daemon::tool {

namespace {

using partners::Entry;
using partners::EntryPtr;

bool holds_at(const EntryPtr& entry, Time now) { return entry && !is_over(*entry, now); }

json::value day_or_null(const std::optional<partners::Day>& day) {
  return day ? json::value(partners::to_text(*day)) : json::value();
}

void add_terms(json::object& to, const Entry& entry, Time now) {
  to["until"] = day_or_null(entry.until);
  to["note"] = text_or_null(entry.note);
  to["by"] = text_or_null(entry.by);
  to["since"] = time_or_null(entry.since);
  to["ended"] = is_over(entry, now);
}

std::string rule_line(const Entry& entry, Time now) {
  std::string text = entry.rule == partners::Rule::mandate ? std::string(word_of(entry)) + " required"
                                                           : "excepted from " + std::string(word_of(entry));
  if (entry.until) text += (is_over(entry, now) ? ", ended after " : " until ") + partners::to_text(*entry.until);
  return text;
}

}  // namespace

void take_in(PartnerMap& partners, const Entry& entry) {
  Partner& partner = partners[dns::to_text(entry.domain)];
  partner.domain = entry.domain;
  auto kept = std::make_shared<const Entry>(entry);
  if (entry.rule == partners::Rule::mandate)
    partner.entries.mandate = std::move(kept);
  else if (entry.rule == partners::Rule::dane)
    partner.entries.dane = std::move(kept);
  else
    partner.entries.mta_sts = std::move(kept);
}

Modes modes_of(const partners::Terms& terms, Time now) {
  constexpr std::string_view mandatory = "mandatory", opportunistic = "opportunistic", none = "none";
  const bool mandate = holds_at(terms.mandate, now);
  const bool dane = mandate && terms.mandate->level == hop::Mandate::dane;
  const bool excepted = holds_at(terms.dane, now);
  Modes modes;
  modes.tls = mandate && !(dane && excepted) ? mandatory : opportunistic;
  modes.dane = excepted ? none : dane ? mandatory : opportunistic;
  modes.mta_sts = holds_at(terms.mta_sts, now) ? none : opportunistic;
  return modes;
}

json::object to_json(const Partner& partner, Time now) {
  json::object to;
  to["domain"] = clean(dns::to_text(partner.domain));
  const std::string stars = partner.domain.kind == dns::Pattern::Kind::subdomains ? "*." : "";
  to["unicode"] = clean(stars + partner.domain.name.unicode());
  const auto& [mandate, dane, mta_sts] = partner.entries;
  to["level"] = mandate ? json::value(word_of(*mandate)) : json::value();
  if (mandate) {
    add_terms(to, *mandate, now);
  } else {
    for (const char* key : {"until", "note", "by", "since", "ended"}) to[key] = json::value();
  }
  json::array exceptions;
  for (const EntryPtr& one : {dane, mta_sts}) {
    if (!one) continue;
    json::object exception;
    exception["rule"] = word_of(*one);
    add_terms(exception, *one, now);
    exceptions.push_back(std::move(exception));
  }
  to["exceptions"] = std::move(exceptions);
  const Modes modes = modes_of(partner.entries, now);
  to["modes"] = json::object{{"tls", modes.tls}, {"dane", modes.dane}, {"mta_sts", modes.mta_sts}};
  return to;
}

std::string sentence(const Entry& entry) { return dns::to_text(entry.domain) + ": " + rule_line(entry, Time{}); }

void print(const Console& console, const Partner& partner) {
  auto& out = console.out;
  const std::string text = dns::to_text(partner.domain);
  const std::string unicode = partner.domain.name.unicode();
  out << printable(text) << (unicode == partner.domain.name.text() ? "" : " (" + printable(unicode) + ")") << '\n';
  const auto& [mandate, dane, mta_sts] = partner.entries;
  for (const EntryPtr& one : {mandate, dane, mta_sts}) {
    if (!one) continue;
    out << "  " << rule_line(*one, console.now) << ", by " << printable(one->by) << " " << moment(one->since) << '\n';
    if (!one->note.empty()) out << "    " << printable(one->note) << '\n';
  }
  const Modes modes = modes_of(partner.entries, console.now);
  out << "  TLS " << modes.tls << ", DANE " << modes.dane << ", MTA-STS " << modes.mta_sts << '\n';
}

}  // namespace hoplock::daemon::tool
