// SPDX-License-Identifier: Apache-2.0
// What `hoplock check DOMAIN` found out, as values, and the one word that sums it up. Pure: gathering is check.h's.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "dns/answer.h"
#include "hop/outcome.h"
#include "probe/reporting.h"
#include "probe/sts.h"

namespace hoplock::probe {

// CONTRACT: `secure` `insecure` `bogus` `failed`, from good to bad.
enum class Dnssec : std::uint8_t { secure, insecure, failed, bogus };
std::string_view to_text(Dnssec state);
Dnssec dnssec_of(const dns::Answer& answer);
inline Dnssec worse(Dnssec a, Dnssec b) { return a < b ? b : a; }

enum class Verdict : std::uint8_t { dane, sts, sts_testing, opportunistic, plaintext, fail };
std::string_view to_text(Verdict verdict);

// The conversation with one address, up to the second EHLO; never MAIL.
struct Probe {
  Ip ip;
  std::string tls = "none";
  std::string cipher;
  std::string key;  // SHA-256 of the peer's public key
  hop::Auth auth = hop::Auth::none;
  std::optional<dns::Tlsa> matched;
  std::optional<hop::Reason> reason;  // nothing: mail would be taken ("ok")
  bool goes_anyhow = false;           // it would for all the reason: the rule is only watched (audit)
  std::string detail;
  std::optional<hop::Observation> observed;  // what became of a rule that refuses nothing here
};

struct Host {
  std::string host;                         // "mx1.example.org", "[192.0.2.1]"
  std::optional<std::uint16_t> preference;  // of the MX record
  std::size_t rank = 0;                     // hosts of the same rank are tried in random order
  std::uint16_t port = 25;
  Dnssec dnssec = Dnssec::insecure;  // the worst of MX, address and TLSA look-ups
  std::vector<dns::Tlsa> tlsa;       // as published, usable or not
  dns::Name tlsa_base;               // root: none
  std::vector<Ip> addresses;
  hop::Plan plan;
  std::optional<bool> in_policy;  // whether the MTA-STS policy names it; nothing: there is none, or it names no hosts
  std::vector<Probe> probes;      // none without connecting
};

struct Finding {
  dns::Name domain;
  dns::Name expanded;                 // where its aliases end
  Dnssec dnssec = Dnssec::insecure;   // of the MX look-up
  std::vector<Host> hosts;            // by rank
  std::optional<hop::Reason> reason;  // of a destination that takes no mail
  std::string detail;
  std::string route;                   // the next hops that a route names; "" for MX routing
  std::string note;                    // of that route
  std::optional<Sts> sts;              // MTA-STS; nothing: a route leads elsewhere, or there are no hosts
  std::optional<Reporting> reporting;  // nothing: there are no hosts, or only addresses, whom nobody reports to
};

hop::Policy policy_of(const Host& host);

enum class Connecting : std::uint8_t { yes, no };
// What a delivery would get: of the best rank in which a host takes mail, the weakest word, for chance decides which host
// and address it is. Without connecting: what the hosts publish. Under audit a host whose rule failed does not count as
// taking mail: the policy that it publishes was not met.
Verdict judge(const Finding& finding, Connecting connecting);

// What a reason comes to, without naming a host: "no mail server could be reached". Nothing: no host has an address that can be used.
std::string_view words_of(const std::optional<hop::Reason>& reason);

// The verdict in one sentence, without an end stop, that fits what was found: who does not answer is not who breaks a policy.
std::string why(const Finding& finding, Verdict verdict);

}  // namespace hoplock::probe
