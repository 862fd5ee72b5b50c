// SPDX-License-Identifier: Apache-2.0
// What is known about one host before it is contacted, and what the operator demands: the inputs of `decide`. Plain values;
// `route` gathers the facts, configuration makes the rule.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "dns/answer.h"
#include "hop/names.h"
#include "mtasts/policy.h"

namespace hoplock::hop {

// TLSA at `_port._tcp.<base>`, after the candidates of dane::base_candidates were tried in order.
struct TlsaFact {
  enum class State : std::uint8_t {
    not_asked,  // the address chain is insecure, or the target is an address literal (DANE-03, DANE-33)
    absent,     // secure denial, or insecure answer, at every candidate (DANE-08)
    failed,     // bogus, SERVFAIL, time-out, malformed: at the first candidate that failed (DANE-06, DANE-29)
    present,    // a secure RRset; `records` all of it, usable or not
  };
  State state = State::not_asked;
  dns::Name base;                  // where the records stand
  std::vector<dns::Tlsa> records;  // the whole RRset
  std::string why;                 // for failed: bogus reason or error, one sentence
};

// One host whose turn has come.
struct HostFacts {
  enum class Origin : std::uint8_t { mx, implicit_mx, route_name, literal };
  Origin origin = Origin::mx;
  dns::Name name;  // the MX record's name, the domain itself, or the route's host; root for a literal
  std::uint16_t port = 25;
  dns::Name expanded;         // where the name's aliases end; == name without aliases
  std::vector<Ip> addresses;  // in the order to try; empty: see `why_no_address`
  // Set when no address is usable: dnssec_invalid (bogus), dns_failure (SERVFAIL, time-out), or nothing (the name does not
  // exist, has no address, or only addresses that must not be used: a definite "unusable", MX-06).
  std::optional<Reason> address_failure;
  std::string why_no_address;
  TlsaFact tlsa;
};

// The MTA-STS policy of a domain, as the cache, the TXT record and the fetch together have it (RFC 8461 section 5.1).
struct StsFact {
  enum class State : std::uint8_t {
    none,  // not asked, none published, or none to be had and none live (STS-13)
    live,  // `policy` is in force, cached or just fetched, mode none included
    unknown,  // none is live, and the TXT look-up failed; `problem` has dnssec_invalid for a bogus answer, else dns_failure
  };
  State state = State::none;
  std::string id;         // of the live policy
  mtasts::Policy policy;  // for live
  // What went wrong on the way, also beside a live policy (a failed refresh): sts_policy_fetch_error, sts_policy_invalid,
  // sts_webpki_invalid, or of the look-up as above. For logs and reports (STS-37); decides only for `unknown`.
  std::optional<Refusal> problem;
  std::string text{};     // the policy as it was served, for live; reports tell it (RPT-14)
  std::string refused{};  // likewise, one that could not be accepted: the problem is sts_policy_invalid (RPT-46)
  // For unknown: how long every look-up has failed, as far as mail asked in between; the next message need not wait that time anew.
  Seconds unknown_for{0};
};

// The next-hop domain.
struct DomainFacts {
  dns::Name domain;    // recipient domain, before any alias
  dns::Name expanded;  // where its aliases end; == domain without aliases
  // Of the MX RRset or its denial, aliases included. A configured host counts as secure selection.
  dns::Security mx_security = dns::Security::insecure;
  StsFact sts{};  // of `domain` itself, never of its expansion (STS-01)
};

struct Facts {
  DomainFacts domain;
  HostFacts host;
};

enum class Mode : std::uint8_t { enforce, audit, off };
// `tls:` of a route; absent: the route leaves `security` unchanged.
enum class RouteTls : std::uint8_t { none, opportunistic, encrypt, verify, dane, dane_only };
enum class DefaultTls : std::uint8_t { opportunistic, encrypt };
// The least that mail to a partner gets, whatever else the rules say (mandate.h).
enum class Mandate : std::uint8_t {
  none,
  encrypt,  // TLS
  verify,  // a peer that proved itself: DANE, an enforced MTA-STS policy, or a certificate from tls.ca_file for the host's name
  dane_audit,  // as dane, but for the time of an exception what fails it is told and lets mail pass
  dane,        // usable TLSA records, secured from the domain on, one of which matches
};
// "none", "encrypt", "verify", "dane-audit", "dane"
std::string_view to_text(Mandate mandate);

// What the operator demands of this hop: `security`, as the matching route changes it, and what he agreed on with the partner.
struct LocalRule {
  Mode dane = Mode::enforce;
  Mode mta_sts = Mode::enforce;
  DefaultTls default_tls = DefaultTls::opportunistic;
  std::optional<RouteTls> route_tls;
  std::vector<dns::Name> verify_names;  // for RouteTls::verify; empty: the host's name
  Mandate mandate = Mandate::none;
  bool operator==(const LocalRule&) const = default;
};

}  // namespace hoplock::hop
