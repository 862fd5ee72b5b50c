// SPDX-License-Identifier: Apache-2.0
// MTA-STS in the decision, as a table: what the policy says of the host × what DNS says × what the operator demands → the plan. Every
// corner is in exactly one row, and the first test counts them.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/hop/sts_corners.h"

namespace hop_sts_test {

using namespace hoplock;
using namespace hoplock::hop;
using namespace hoplock::hop::testing;

namespace {
struct Row {
  std::vector<TlsaIs> tlsa;
  std::vector<HostIs> hosts;
  std::vector<Mode> dane;
  std::vector<Mode> mta_sts;
  std::vector<StsIs> sts;
  const char* plan;
  const char* why;
};

template <class T>
bool has(const std::vector<T>& set, T one) {
  return std::find(set.begin(), set.end(), one) != set.end();
}

const std::vector<TlsaIs> any{TlsaIs::not_asked, TlsaIs::absent, TlsaIs::failed,
                              TlsaIs::unusable,  TlsaIs::mixed,  TlsaIs::usable};
const std::vector<TlsaIs> no_tlsa{TlsaIs::not_asked, TlsaIs::absent};
const std::vector<TlsaIs> failed{TlsaIs::failed};
const std::vector<TlsaIs> unusable{TlsaIs::unusable};
const std::vector<TlsaIs> usable{TlsaIs::mixed, TlsaIs::usable};
const std::vector<HostIs> from_dns{HostIs::secure_mx, HostIs::insecure_mx, HostIs::implicit, HostIs::implicit_unsigned};
const std::vector<HostIs> signed_mx{HostIs::secure_mx, HostIs::implicit};
const std::vector<HostIs> unsigned_mx{HostIs::insecure_mx, HostIs::implicit_unsigned};
const std::vector<Mode> enforce{Mode::enforce};
const std::vector<Mode> audit{Mode::audit};
const std::vector<Mode> off{Mode::off};
const std::vector<Mode> on{Mode::enforce, Mode::audit};
const std::vector<StsIs> testing_in{StsIs::testing};
const std::vector<StsIs> testing_out{StsIs::testing_other};
const std::vector<StsIs> in{StsIs::enforce};
const std::vector<StsIs> out{StsIs::enforce_other};
const std::vector<StsIs> unknown{StsIs::unknown};
const std::vector<StsIs> policy{StsIs::testing, StsIs::testing_other, StsIs::enforce, StsIs::enforce_other,
                                StsIs::unknown};

// clang-format off
const std::vector<Row> rows{
    // no DANE: off, or no TLSA (STS-36)
    {any,     from_dns, off, on,      testing_in,  "sts-testing if-offered sni=host plaintext observes=sts-testing+pkix", "STS-26: as if there were none"},
    {any,     from_dns, off, on,      testing_out, "sts-testing if-offered sni=host plaintext observes=sts-testing:mx-not-in-policy+pkix", "STS-26"},
    {any,     from_dns, off, enforce, in,          "sts must pkix=host sni=host next-host", "STS-21, STS-22, STS-23"},
    {any,     from_dns, off, enforce, out,         "refuse sts mx-not-in-policy", "STS-23: no connection at all"},
    {any,     from_dns, off, enforce, unknown,     "refuse sts dns-failure", "STS-06: a failed look-up is not absence"},
    {any,     from_dns, off, audit,   in,          "sts if-offered pkix=host sni=host audit", "checked, told, not obeyed"},
    {any,     from_dns, off, audit,   out,         "sts if-offered pkix=host sni=host audit waived=mx-not-in-policy", "told, not obeyed"},
    {any,     from_dns, off, audit,   unknown,     "sts if-offered sni=host audit waived=dns-failure", "told, not obeyed"},
    {no_tlsa, from_dns, on,  on,      testing_in,  "sts-testing if-offered sni=host plaintext observes=sts-testing+pkix", "DANE-08"},
    {no_tlsa, from_dns, on,  on,      testing_out, "sts-testing if-offered sni=host plaintext observes=sts-testing:mx-not-in-policy+pkix", "DANE-08"},
    {no_tlsa, from_dns, on,  enforce, in,          "sts must pkix=host sni=host next-host", "DANE-08, STS-36: subject to STS"},
    {no_tlsa, from_dns, on,  enforce, out,         "refuse sts mx-not-in-policy", "STS-36"},
    {no_tlsa, from_dns, on,  enforce, unknown,     "refuse sts dns-failure", "STS-06"},
    {no_tlsa, from_dns, on,  audit,   in,          "sts if-offered pkix=host sni=host audit", "checked, told, not obeyed"},
    {no_tlsa, from_dns, on,  audit,   out,         "sts if-offered pkix=host sni=host audit waived=mx-not-in-policy", "told, not obeyed"},
    {no_tlsa, from_dns, on,  audit,   unknown,     "sts if-offered sni=host audit waived=dns-failure", "told, not obeyed"},
    // DANE binds: what it refuses stays refused
    {failed,  from_dns, enforce, on, policy,       "refuse dane dnssec-invalid", "STS-34: no STS success outvotes it"},
    {usable,  from_dns, enforce, on, testing_in,   "dane must tlsa sni=base next-host observes=sts-testing+pkix", "STS-26"},
    {usable,  from_dns, enforce, on, testing_out,  "dane must tlsa sni=base next-host observes=sts-testing:mx-not-in-policy+pkix", "STS-26"},
    // … a signed MX: DANE decides alone (STS-35)
    {usable,  signed_mx, enforce, on, in,          "dane must tlsa sni=base next-host observes=sts+pkix", "STS-35: observed"},
    {usable,  signed_mx, enforce, on, out,         "dane must tlsa sni=base next-host observes=sts:mx-not-in-policy+pkix", "STS-35: observed"},
    {usable,  signed_mx, enforce, on, unknown,     "dane must tlsa sni=base next-host", "nothing to observe, and not needed"},
    // … an unsigned one: whoever forged it could bring TLSA of his own, so both must pass
    {usable,  unsigned_mx, enforce, enforce, in,      "sts must tlsa pkix=host sni=base next-host", "STS-35, TLS-03: the base's SNI wins"},
    {usable,  unsigned_mx, enforce, enforce, out,     "refuse sts mx-not-in-policy", "STS-35"},
    {usable,  unsigned_mx, enforce, enforce, unknown, "refuse sts dns-failure", "STS-06"},
    {usable,  unsigned_mx, enforce, audit,   in,      "dane must tlsa sni=base next-host observes=sts+pkix", "DANE binds, STS is watched"},
    {usable,  unsigned_mx, enforce, audit,   out,     "dane must tlsa sni=base next-host observes=sts:mx-not-in-policy+pkix", "DANE binds, STS is watched"},
    {usable,  unsigned_mx, enforce, audit,   unknown, "dane must tlsa sni=base next-host", "DANE binds"},
    // … all records unusable: it demands TLS but proves nobody (DANE-10), so STS binds in full
    {unusable, from_dns, enforce, on,      testing_in,  "dane must unusable sni=base next-host observes=sts-testing+pkix", "DANE-10"},
    {unusable, from_dns, enforce, on,      testing_out, "dane must unusable sni=base next-host observes=sts-testing:mx-not-in-policy+pkix", "DANE-10"},
    {unusable, from_dns, enforce, enforce, in,          "sts must unusable pkix=host sni=host next-host", "DANE-10, STS-36"},
    {unusable, from_dns, enforce, enforce, out,         "refuse sts mx-not-in-policy", "STS-36"},
    {unusable, from_dns, enforce, enforce, unknown,     "refuse sts dns-failure", "STS-06"},
    {unusable, from_dns, enforce, audit,   in,          "dane must unusable sni=base next-host observes=sts+pkix", "DANE-10"},
    {unusable, from_dns, enforce, audit,   out,         "dane must unusable sni=base next-host observes=sts:mx-not-in-policy+pkix", "DANE-10"},
    {unusable, from_dns, enforce, audit,   unknown,     "dane must unusable sni=base next-host", "DANE-10"},
    // DANE only watched: an enforced policy binds, and then DANE is what is observed
    {failed,   from_dns, audit, on,      testing_in,  "dane if-offered sni=host audit waived=dnssec-invalid observes=sts-testing+pkix", "both told"},
    {failed,   from_dns, audit, on,      testing_out, "dane if-offered sni=host audit waived=dnssec-invalid observes=sts-testing:mx-not-in-policy+pkix", "both told"},
    {failed,   from_dns, audit, enforce, in,          "sts must pkix=host sni=host next-host observes=dane:dnssec-invalid", "STS binds"},
    {failed,   from_dns, audit, audit,   in,          "sts if-offered pkix=host sni=host audit waived=dnssec-invalid", "the first failure is told"},
    {failed,   from_dns, audit, audit,   out,         "sts if-offered pkix=host sni=host audit waived=dnssec-invalid", "the first failure is told"},
    {failed,   from_dns, audit, audit,   unknown,     "sts if-offered sni=host audit waived=dnssec-invalid", "the first failure is told"},
    {usable,   from_dns, audit, on,      testing_in,  "dane if-offered tlsa sni=base audit observes=sts-testing+pkix", "both told"},
    {usable,   from_dns, audit, on,      testing_out, "dane if-offered tlsa sni=base audit observes=sts-testing:mx-not-in-policy+pkix", "both told"},
    {usable,   from_dns, audit, enforce, in,          "sts must pkix=host sni=host next-host observes=dane+tlsa", "a watched DANE decides nothing"},
    {usable,   signed_mx, audit, audit,  in,          "dane if-offered tlsa sni=base audit observes=sts+pkix", "as enforced, but only watched"},
    {usable,   signed_mx, audit, audit,  out,         "dane if-offered tlsa sni=base audit observes=sts:mx-not-in-policy+pkix", "likewise"},
    {usable,   signed_mx, audit, audit,  unknown,     "dane if-offered tlsa sni=base audit", "likewise"},
    {usable,   unsigned_mx, audit, audit, in,         "sts if-offered tlsa pkix=host sni=base audit", "likewise: both"},
    {usable,   unsigned_mx, audit, audit, out,        "sts if-offered tlsa pkix=host sni=base audit waived=mx-not-in-policy", "likewise"},
    {usable,   unsigned_mx, audit, audit, unknown,    "sts if-offered tlsa sni=base audit waived=dns-failure", "likewise"},
    {unusable, from_dns, audit, on,      testing_in,  "dane if-offered unusable sni=base audit observes=sts-testing+pkix", "both told"},
    {unusable, from_dns, audit, on,      testing_out, "dane if-offered unusable sni=base audit observes=sts-testing:mx-not-in-policy+pkix", "both told"},
    {unusable, from_dns, audit, enforce, in,          "sts must unusable pkix=host sni=host next-host", "STS-36"},
    {unusable, from_dns, audit, audit,   in,          "sts if-offered unusable pkix=host sni=host audit", "checked, told, not obeyed"},
    {unusable, from_dns, audit, audit,   out,         "sts if-offered unusable pkix=host sni=host audit waived=mx-not-in-policy", "likewise"},
    {unusable, from_dns, audit, audit,   unknown,     "sts if-offered unusable sni=base audit waived=dns-failure", "likewise"},
    {failed,   from_dns, audit, enforce, out,         "refuse sts mx-not-in-policy", "STS binds"},
    {failed,   from_dns, audit, enforce, unknown,     "refuse sts dns-failure", "STS-06"},
    {usable,   from_dns, audit, enforce, out,         "refuse sts mx-not-in-policy", "STS binds"},
    {usable,   from_dns, audit, enforce, unknown,     "refuse sts dns-failure", "STS-06"},
    {unusable, from_dns, audit, enforce, out,         "refuse sts mx-not-in-policy", "STS binds"},
    {unusable, from_dns, audit, enforce, unknown,     "refuse sts dns-failure", "STS-06"},
};
// clang-format on

bool covers(const Row& row, const StsCorner& at) {
  return has(row.tlsa, at.tlsa) && has(row.hosts, at.host) && has(row.dane, at.rule.dane) &&
         has(row.mta_sts, at.rule.mta_sts) && has(row.sts, at.sts);
}
}  // namespace

TEST_CASE(
    "STS-06, STS-23, STS-26, STS-34, STS-35, STS-36, DANE-08, DANE-10, TLS-03: the table: every corner where a policy "
    "can matter has one row, "
    "and the plan that it says") {
  std::size_t corners = 0;
  every_sts_corner([&](const StsCorner& at) {
    if (at.rule.default_tls == DefaultTls::encrypt || at.rule.mta_sts == Mode::off || !has(policy, at.sts)) return;
    if (!has(from_dns, at.host)) return;
    const auto count = std::count_if(rows.begin(), rows.end(), [&](const Row& row) { return covers(row, at); });
    const std::string plan = describe(decide(at.facts, at.rule));
    CAPTURE(plan);
    CAPTURE(text_of(at));
    if (count != 1) FAIL("rows: " << count);
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& one) { return covers(one, at); });
    CAPTURE(row->why);
    CHECK(plan == row->plan);
    ++corners;
  });
  CHECK(corners == 6 * 4 * 3 * 2 * 5);  // TLSA, hosts from DNS, DANE modes, STS modes, policies
}

}  // namespace hop_sts_test
