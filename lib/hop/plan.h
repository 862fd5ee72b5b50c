// SPDX-License-Identifier: Apache-2.0
// The decision of how one host may be used. `decide` turns facts and the operator's rule into a closed Plan; whoever connects
// obeys the plan and reports an Outcome; `after` says what follows. Both are pure: every corner is a row in tests/hop.
// RFC 7672 section 2.2, RFC 8461 section 5, and CONTRACT's "The words for a hop's security".
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "hop/facts.h"

namespace hoplock::hop {

// Do not connect: next host.
struct Refuse {
  Policy policy = Policy::opportunistic;
  // Nothing: the host has definitely no usable address, which is no policy failure (MX-06).
  std::optional<Reason> reason;
  std::string text;
  std::string status{};  // as a Refusal's
  bool operator==(const Refuse&) const = default;
};

// The peer must match one of `records` (usable ones only, never empty); OpenSSL's DANE does the matching.
struct DaneCheck {
  dns::Name base;
  std::vector<dns::Tlsa> records;
  std::vector<dns::Name> names;  // reference names for DANE-TA(2); DANE-EE(3) ignores names (DANE-15)
  bool operator==(const DaneCheck&) const = default;
};

// The peer's chain must lead to tls.ca_file, carry one of `names` and be valid now.
struct PkixCheck {
  std::vector<dns::Name> names;  // never empty
  bool operator==(const PkixCheck&) const = default;
};

enum class Tls : std::uint8_t { never, if_offered, must };
enum class OnFailure : std::uint8_t {
  next_host,  // a failed step means the next host
  plaintext,  // nothing binds this host: after a failed TLS step a new connection in clear (TLS-10)
  audit,      // a rule binds, but the operator only watches: failures are told, mail goes on as if nothing bound; what
              // his own `default_tls: encrypt` demands (Tls::must) still stands: no clear text then
};

// A rule that does not bind this hop, but is evaluated in full for logs and reports: MTA-STS in testing mode, or beside a DANE that
// decides, or only watched beside a DANE that binds; or a watched DANE beside an MTA-STS policy that binds. At most one rule.
struct Observed {
  Policy policy = Policy::sts;   // the rule's word: sts, sts_testing or dane
  std::optional<Refusal> known;  // it fails whatever the session shows: mx_not_in_policy; dnssec_invalid for TLSA
  std::optional<DaneCheck> dane;
  std::optional<PkixCheck> pkix;
  bool operator==(const Observed&) const = default;
};

// RFC 8689: the message asks for REQUIRETLS. Beside the plan's checks, which it completed where no rule made any, the peer's own
// certificate must carry one of `names`, whoever vouches for it (RTLS-06), and the server must offer REQUIRETLS inside TLS (RTLS-07).
struct Required {
  Policy underlying = Policy::opportunistic;  // the rule that governs the host's other mail
  std::vector<dns::Name> names;               // never empty
  bool operator==(const Required&) const = default;
};

// Every check that is present must pass. With OnFailure::audit they are made, and failing them only sets `Proceed::waived`.
struct Connect {
  Policy policy = Policy::opportunistic;
  Tls tls = Tls::if_offered;
  std::optional<DaneCheck> dane;
  std::optional<PkixCheck> pkix;
  dns::Name sni;  // root: send none (literal)
  OnFailure on_failure = OnFailure::plaintext;
  dns::Security mx_security = dns::Security::insecure;
  // Known before connecting: what would have refused the host, but audit lets it pass.
  std::optional<Refusal> waived;
  // All TLSA records unusable: TLS is a must, without authentication; a failed session in reports (RPT-23).
  bool tlsa_unusable = false;
  // Never decides: hop::observe tells what became of it.
  std::optional<Observed> observed;
  // Present exactly when policy == requiretls; then tls == must and on_failure == next_host.
  std::optional<Required> required;
  bool operator==(const Connect&) const = default;
};

using Plan = std::variant<Refuse, Connect>;

// Whether TLSA records can matter for such a host under this rule; where not, `decide` ignores facts.host.tlsa and nobody need
// look them up. A route's `tls` replaces `security.dane` and its modes; address literals have no TLSA (DANE-33).
bool needs_tlsa(HostFacts::Origin origin, const LocalRule& rule);

// The rule for a mail that carries a TLS report (RPT-38): neither DANE nor MTA-STS is enforced, and clear text will do, for it tells of
// TLS that fails. What the operator demands of his own next hop, TLS or a certificate, by route or mandate, stands; bogus data is never
// used under any rule.
LocalRule for_report(LocalRule rule, HostFacts::Origin origin);

// Whether the recipient domain's MTA-STS policy can matter (STS-02): not for configured hosts, nor where a route's `tls` replaces
// it. Where not, `decide` ignores facts.domain.sts and nobody need look the policy up.
bool needs_sts(HostFacts::Origin origin, const LocalRule& rule);

// MX-29: an enforced MTA-STS policy refuses an MX host of this name whatever its addresses and TLSA records are, so nothing is asked of it.
// Not where DANE may decide in its place (STS-35).
bool is_ruled_out(const DomainFacts& domain, const dns::Name& host, const LocalRule& rule);

// STS-06: how long a message is kept back by a TXT record that cannot be looked up.
inline constexpr Seconds sts_patience{15 * 60};
// The fact as it counts for a message that has waited this long in the queue, or whose domain's record could not be had for that long
// (STS-06: a name server that never answers does not delay every message anew): an `unknown` other than bogus becomes `none` (its
// problem stays, to be told), so that `decide`, which defers on `unknown`, no longer does.
StsFact after_waiting(StsFact fact, Seconds waited);

// REQUIRES: facts.host.name is canonical; usable records are chosen here (dane::usable).
// A configured host (route_name, literal) whose route leaves `tls` out is opportunistic, whatever `security` says.
Plan decide(const Facts& facts, const LocalRule& rule);

}  // namespace hoplock::hop
