// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <functional>
#include <set>

#include "tests/hop/sts_corners.h"

namespace hop_digest_test {

using namespace hoplock;
using namespace hoplock::hop;
using namespace hoplock::hop::testing;

namespace {
Connect full() {
  Connect plan;
  plan.policy = Policy::dane;
  plan.tls = Tls::must;
  plan.dane = DaneCheck{name("base.ex"), {ee(), ta()}, {name("base.ex"), name("dom.ex")}};
  plan.pkix = PkixCheck{{name("mx.ex"), name("mx2.ex")}};
  plan.sni = name("base.ex");
  plan.on_failure = OnFailure::next_host;
  plan.mx_security = dns::Security::secure;
  plan.waived = Refusal{Reason::dnssec_invalid, "why"};
  plan.observed = Observed{Policy::sts, Refusal{Reason::mx_not_in_policy, "seen"},
                           DaneCheck{name("base.ex"), {ee()}, {name("base.ex")}}, PkixCheck{{name("mx.ex")}}};
  plan.required = Required{Policy::dane, {name("mx.ex"), name("mx2.ex")}};
  return plan;
}
}  // namespace

TEST_CASE("TLS-08: the digest differs whenever any member of the plan differs") {
  using Change = std::function<void(Connect&)>;
  const std::vector<Change> changes{
      [](Connect&) {},
      [](Connect& p) { p.policy = Policy::route; },
      [](Connect& p) { p.tls = Tls::if_offered; },
      [](Connect& p) { p.tls = Tls::never; },
      [](Connect& p) { p.dane.reset(); },
      [](Connect& p) { p.dane->base = name("other.ex"); },
      [](Connect& p) { p.dane->records.pop_back(); },
      [](Connect& p) { p.dane->records.front().usage = 2; },
      [](Connect& p) { p.dane->records.front().selector = 0; },
      [](Connect& p) { p.dane->records.front().matching = 2; },
      [](Connect& p) { p.dane->records.front().data.back() ^= 1; },
      [](Connect& p) { p.dane->names.pop_back(); },
      [](Connect& p) { p.dane->names.back() = name("evil.ex"); },
      [](Connect& p) { p.pkix.reset(); },
      [](Connect& p) { p.pkix->names.pop_back(); },
      [](Connect& p) { p.pkix->names.back() = name("evil.ex"); },
      [](Connect& p) { p.sni = name("mx.ex"); },
      [](Connect& p) { p.sni = {}; },
      [](Connect& p) { p.on_failure = OnFailure::plaintext; },
      [](Connect& p) { p.on_failure = OnFailure::audit; },
      [](Connect& p) { p.mx_security = dns::Security::insecure; },
      [](Connect& p) { p.waived.reset(); },
      [](Connect& p) { p.waived->reason = Reason::tlsa_invalid; },
      [](Connect& p) { p.waived->text = "why not"; },
      [](Connect& p) { p.tlsa_unusable = true; },
      [](Connect& p) { p.observed.reset(); },
      [](Connect& p) { p.observed->policy = Policy::sts_testing; },
      [](Connect& p) { p.observed->known.reset(); },
      [](Connect& p) { p.observed->known->reason = Reason::dnssec_invalid; },
      [](Connect& p) { p.observed->known->text = "not seen"; },
      [](Connect& p) { p.observed->dane.reset(); },
      [](Connect& p) { p.observed->dane->records.front().selector = 0; },
      [](Connect& p) { p.observed->pkix.reset(); },
      [](Connect& p) { p.observed->pkix->names = {name("mx2.ex")}; },
      [](Connect& p) { p.required.reset(); },
      [](Connect& p) { p.required->underlying = Policy::sts; },
      [](Connect& p) { p.required->names.pop_back(); },
      [](Connect& p) { p.required->names.back() = name("evil.ex"); },
      [](Connect& p) { p.waived->status = "7.10"; },
  };
  std::set<std::string> digests;
  for (const auto& change : changes) {
    Connect plan = full();
    change(plan);
    CHECK((plan == full()) == (digest(plan) == digest(full())));
    digests.insert(digest(plan));
  }
  CHECK(digests.size() == changes.size());
  CHECK(digest(full()) == digest(full()));
}

TEST_CASE("TLS-08: what moves between two members of a plan, or hides in a free text, does not give the same digest") {
  Connect moved = full();
  moved.dane->names = {name("base.ex"), name("dom.ex"), name("mx.ex")};
  moved.pkix->names = {name("mx2.ex")};
  CHECK(digest(moved) != digest(full()));
  Connect in_text = full();
  in_text.pkix.reset();
  in_text.waived->text = "why pkix=,mx.ex,mx2.ex";
  CHECK(digest(in_text) != digest(full()));
  // the observed rule's text, told as part of the waived one
  Connect swallowed = full();
  swallowed.observed->known.reset();
  swallowed.waived->text = "why observed=sts known=mx-not-in-policy:4:seen";
  CHECK(digest(swallowed) != digest(full()));
}

TEST_CASE("STS-35, TLS-08: a session without a policy is none under one, nor one under DANE under both") {
  const auto text = [](TlsaIs tlsa, HostIs host, StsIs sts) {
    return digest(std::get<Connect>(plan_with(tlsa, host, sts)));
  };
  const auto all = {text(TlsaIs::absent, HostIs::insecure_mx, StsIs::none),
                    text(TlsaIs::absent, HostIs::insecure_mx, StsIs::testing),
                    text(TlsaIs::absent, HostIs::insecure_mx, StsIs::testing_other),
                    text(TlsaIs::absent, HostIs::insecure_mx, StsIs::enforce),
                    text(TlsaIs::usable, HostIs::insecure_mx, StsIs::none),
                    text(TlsaIs::usable, HostIs::insecure_mx, StsIs::enforce),
                    text(TlsaIs::usable, HostIs::secure_mx, StsIs::none),
                    text(TlsaIs::usable, HostIs::secure_mx, StsIs::enforce)};
  CHECK(std::set<std::string>(all).size() == all.size());
}

TEST_CASE("DANE-38, TLS-08: a session under one TLSA set is none under another, nor under none") {
  Facts before = make_facts(TlsaIs::usable, HostIs::secure_mx);
  Facts after = before;
  after.host.tlsa.records.front().data = std::string(32, 'n');
  const auto text = [](const Facts& facts) { return digest(std::get<Connect>(decide(facts, {}))); };
  CHECK(text(before) != text(after));
  CHECK(text(before) != text(make_facts(TlsaIs::absent, HostIs::secure_mx)));
  CHECK(text(before) != text(make_facts(TlsaIs::unusable, HostIs::secure_mx)));
}

}  // namespace hop_digest_test
