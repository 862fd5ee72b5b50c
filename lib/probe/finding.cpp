// SPDX-License-Identifier: Apache-2.0
#include "probe/finding.h"

#include <algorithm>
#include <array>
#include <utility>

namespace hoplock::probe {

namespace {

Verdict weaker(Verdict a, Verdict b) { return std::max(a, b); }

Verdict word_of(hop::Policy policy, bool encrypted) {
  if (!encrypted) return Verdict::plaintext;
  switch (policy) {
    case hop::Policy::dane:
      return Verdict::dane;
    case hop::Policy::sts:
      return Verdict::sts;
    case hop::Policy::sts_testing:
      return Verdict::sts_testing;
    case hop::Policy::opportunistic:
    case hop::Policy::route:
    case hop::Policy::requiretls:
      return Verdict::opportunistic;
  }
  return Verdict::opportunistic;
}

// Of one host; nothing: it takes no mail.
std::optional<Verdict> judge(const Host& host, Connecting connecting) {
  const auto* plan = std::get_if<hop::Connect>(&host.plan);
  if (plan == nullptr || plan->waived) return std::nullopt;
  if (connecting == Connecting::no) return word_of(plan->policy, plan->tls != hop::Tls::never);
  std::optional<Verdict> weakest;
  for (const Probe& probe : host.probes) {
    if (probe.reason) continue;
    const Verdict one = word_of(plan->policy, probe.tls != "none");
    weakest = weakest ? weaker(*weakest, one) : one;
  }
  return weakest;
}

}  // namespace

std::string_view to_text(Dnssec state) {
  constexpr std::array<std::string_view, 4> words{"secure", "insecure", "failed", "bogus"};
  return words[static_cast<std::size_t>(state)];
}

Dnssec dnssec_of(const dns::Answer& answer) {
  if (answer.security == dns::Security::bogus) return Dnssec::bogus;
  if (answer.failed()) return Dnssec::failed;
  return answer.security == dns::Security::secure ? Dnssec::secure : Dnssec::insecure;
}

std::string_view to_text(Verdict verdict) {
  constexpr std::array<std::string_view, 6> words{"dane", "sts", "sts-testing", "opportunistic", "plaintext", "fail"};
  return words[static_cast<std::size_t>(verdict)];
}

hop::Policy policy_of(const Host& host) {
  return std::visit([](const auto& plan) { return plan.policy; }, host.plan);
}

Verdict judge(const Finding& finding, Connecting connecting) {
  std::optional<Verdict> weakest;
  std::size_t rank = 0;
  for (const Host& host : finding.hosts) {
    const auto one = judge(host, connecting);
    if (!one || (weakest && host.rank != rank)) continue;
    weakest = weakest ? weaker(*weakest, *one) : *one;
    rank = host.rank;
  }
  return weakest.value_or(Verdict::fail);
}

namespace {

// What became of a host that takes no mail.
struct Trouble {
  std::string host;
  std::optional<hop::Reason> reason;
  std::string detail;
  bool goes_anyhow = false;
};

std::vector<Trouble> troubles(const Finding& finding) {
  std::vector<Trouble> all;
  for (const Host& host : finding.hosts) {
    if (const auto* refuse = std::get_if<hop::Refuse>(&host.plan)) {
      all.push_back({host.host, refuse->reason, refuse->text});
      continue;
    }
    for (const Probe& probe : host.probes) {
      if (probe.reason) all.push_back({host.host, probe.reason, probe.detail, probe.goes_anyhow});
    }
  }
  return all;
}

enum class Kind : std::uint8_t { silent, refuses, unknown, policy };
Kind kind_of(const std::optional<hop::Reason>& reason) {
  using hop::Reason;
  if (!reason) return Kind::unknown;  // it has no address, or is one of our own
  switch (*reason) {
    case Reason::connect_timeout:
    case Reason::connect_refused:
    case Reason::connection_lost:
      return Kind::silent;
    case Reason::smtp_reply:
      return Kind::refuses;
    case Reason::dns_failure:
      return Kind::unknown;
    default:
      return Kind::policy;
  }
}

std::string_view words_of(Kind kind) {
  switch (kind) {
    case Kind::silent:
      return "no mail server could be reached";
    case Kind::refuses:
      return "the mail servers refuse us";
    case Kind::unknown:
      return "no mail server has an address that can be used";
    case Kind::policy:
      return "mail does not go: no host meets the policy that governs it";
  }
  return "";
}

std::string why_not(const Finding& finding) {
  if (finding.hosts.empty()) return finding.detail.empty() ? "no host takes mail for this domain" : finding.detail;
  const auto all = troubles(finding);
  const std::string in_audit =
      "mail goes, but only since the rules are in audit: no host meets the policy that the domain publishes";
  if (all.empty()) return in_audit;
  // the gravest is the one to mend: a policy that is not met stays so when everybody answers
  const auto& worst = *std::max_element(all.begin(), all.end(), [](const Trouble& a, const Trouble& b) {
    return std::pair(a.goes_anyhow, kind_of(a.reason)) < std::pair(b.goes_anyhow, kind_of(b.reason));
  });
  std::string text = worst.goes_anyhow ? in_audit : std::string(words_of(kind_of(worst.reason)));
  text += " (" + worst.host + ": " + (worst.reason ? std::string(to_text(*worst.reason)) : "no-address");
  if (!worst.detail.empty() && worst.detail != text) text += ", " + worst.detail;
  return text + ")";
}

// Of the best hosts under DANE one demands TLS and proves nothing (DANE-10).
bool has_unusable_tlsa(const Finding& finding) {
  std::optional<std::size_t> best;
  for (const Host& host : finding.hosts) {
    const auto* plan = std::get_if<hop::Connect>(&host.plan);
    if (plan == nullptr || plan->policy != hop::Policy::dane || host.rank > best.value_or(host.rank)) continue;
    if (plan->tlsa_unusable) return true;
    best = host.rank;
  }
  return false;
}

}  // namespace

std::string_view words_of(const std::optional<hop::Reason>& reason) { return words_of(kind_of(reason)); }

std::string why(const Finding& finding, Verdict verdict) {
  const std::string to = finding.route.empty() ? "mail goes" : "mail goes to the hosts of the route";
  switch (verdict) {
    case Verdict::dane:
      if (has_unusable_tlsa(finding))
        return to +
               " encrypted, as TLSA records demand, but none of a host's is usable, and nothing proves who receives it";
      return to + " under DANE: TLSA records prove who receives it";
    case Verdict::sts:
      return to + " under an MTA-STS policy that is enforced";
    case Verdict::sts_testing:
      return to + "; an MTA-STS policy is only tested";
    case Verdict::opportunistic:
      return to + " encrypted, but nothing that the domain publishes proves who receives it";
    case Verdict::plaintext:
      return to + " in clear";
    case Verdict::fail:
      return why_not(finding);
  }
  return "";
}

}  // namespace hoplock::probe
