#include "probe/finding.h"

#include <algorithm>
#include <array>

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

}  // namespace hoplock::probe
