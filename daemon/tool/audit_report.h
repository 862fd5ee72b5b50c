// SPDX-License-Identifier: Apache-2.0
// What `hoplock audit` says, as one value that text, CSV, JSON and HTML are each made from. Pure.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "statistics/proof.h"
#include "store/readers.h"

namespace hoplock::daemon::tool {

struct AuditLine {
  statistics::Kind kind = statistics::Kind::delivered;
  std::vector<std::string>
      words;  // as statistics::Kind lists them; none: others of that kind, beyond those that a day has rows for
  statistics::Sum sum;
  // "" where there is none.
  std::string_view word(std::size_t at) const { return at < words.size() ? std::string_view(words[at]) : ""; }
  std::optional<statistics::Proof> proof() const;  // of a delivery; nothing: not known, or no delivery
};

struct AuditPartner {
  std::string domain;                     // "": other domains
  statistics::Sum delivered;              // of all its deliveries
  std::array<std::uint64_t, 5> proofs{};  // messages, by statistics::Proof
  std::uint64_t failed = 0;               // attempts at a recipient that did not end in delivery
  std::vector<AuditLine> lines;           // by kind
  bool was_proved() const { return proofs[0] + proofs[1] + proofs[2] > 0; }
  std::vector<AuditLine> of(statistics::Kind kind) const;
};

struct AuditReport {
  std::string relay;  // its hostname
  Time made{};
  statistics::Day from{};
  statistics::Day to{};
  std::optional<statistics::Day> since;   // from which day on anything is known
  std::vector<AuditPartner> partners;     // by domain, the other domains last
  AuditPartner total;                     // without lines
  std::vector<std::string> never_proved;  // domains that got mail, all of it without a proof of who took it
};

AuditReport audit_report(statistics::Found found);
std::string to_text(statistics::Day day);               // "2026-11-30"
std::string_view to_text(statistics::Kind kind);        // "delivered" "key" "tlsa" "sts" "failed" "host" "relaxed"
std::string audit_domain(const AuditPartner& partner);  // for people: "(other domains)" in place of ""

}  // namespace hoplock::daemon::tool
