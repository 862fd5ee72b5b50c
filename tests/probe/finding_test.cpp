// SPDX-License-Identifier: Apache-2.0
#include "probe/finding.h"

#include <doctest/doctest.h>

namespace probe_finding_test {

using namespace hoplock;
using namespace hoplock::probe;

namespace {

enum class Answer { clear, tls, broken };

Host host(std::size_t rank, hop::Policy policy, std::vector<Answer> answers) {
  Host one;
  one.rank = rank;
  hop::Connect plan;
  plan.policy = policy;
  plan.tls = policy == hop::Policy::dane ? hop::Tls::must : hop::Tls::if_offered;
  one.plan = plan;
  for (const Answer answer : answers) {
    Probe probe;
    probe.tls = answer == Answer::tls ? "TLSv1.3" : "none";
    if (answer == Answer::broken) probe.reason = hop::Reason::connection_lost;
    one.probes.push_back(probe);
  }
  return one;
}

Host refused(std::size_t rank) {
  Host one;
  one.rank = rank;
  one.plan = hop::Refuse{hop::Policy::dane, hop::Reason::dnssec_invalid, "bogus"};
  return one;
}

std::string verdict(std::vector<Host> hosts, Connecting connecting = Connecting::yes) {
  Finding finding;
  finding.hosts = std::move(hosts);
  return std::string(to_text(judge(finding, connecting)));
}

}  // namespace

TEST_CASE("judge: the first host that takes mail says how, and among equals the weakest") {
  using hop::Policy;
  const auto dane = [](std::size_t rank, Answer answer) { return host(rank, Policy::dane, {answer}); };
  const auto open = [](std::size_t rank, Answer answer) { return host(rank, Policy::opportunistic, {answer}); };
  CHECK(verdict({}) == "fail");
  CHECK(verdict({dane(10, Answer::tls)}) == "dane");
  CHECK(verdict({open(10, Answer::tls)}) == "opportunistic");
  CHECK(verdict({open(10, Answer::clear)}) == "plaintext");
  CHECK(verdict({dane(10, Answer::broken)}) == "fail");
  CHECK(verdict({refused(10)}) == "fail");
  CHECK_MESSAGE(verdict({dane(10, Answer::broken), open(20, Answer::tls)}) == "opportunistic",
                "the next host takes it");
  CHECK_MESSAGE(verdict({refused(10), dane(20, Answer::tls)}) == "dane", "the next host takes it");
  CHECK_MESSAGE(verdict({dane(10, Answer::tls), open(20, Answer::clear)}) == "dane", "the second is not asked");
  CHECK_MESSAGE(verdict({dane(10, Answer::tls), open(10, Answer::tls)}) == "opportunistic", "chance decides");
  CHECK_MESSAGE(verdict({dane(10, Answer::tls), open(10, Answer::broken)}) == "dane", "the other takes none");
  CHECK_MESSAGE(verdict({host(10, Policy::opportunistic, {Answer::tls, Answer::clear})}) == "plaintext",
                "an address of the host has no TLS");
  CHECK_MESSAGE(verdict({host(10, Policy::dane, {Answer::broken, Answer::tls})}) == "dane", "the second address");
  CHECK_MESSAGE(verdict({host(10, Policy::route, {Answer::tls})}) == "opportunistic", "a route's own rule");
  CHECK(verdict({host(10, Policy::sts, {Answer::tls})}) == "sts");
  CHECK(verdict({host(10, Policy::sts, {Answer::broken})}) == "fail");
  CHECK(verdict({host(10, Policy::sts_testing, {Answer::tls})}) == "sts-testing");
  CHECK_MESSAGE(verdict({host(10, Policy::sts_testing, {Answer::clear})}) == "plaintext", "testing demands no TLS");
  CHECK_MESSAGE(verdict({dane(10, Answer::tls), host(10, Policy::sts, {Answer::tls})}) == "sts", "chance decides");
}

TEST_CASE("judge: without connecting it is what the hosts publish") {
  using hop::Policy;
  CHECK(verdict({host(10, Policy::dane, {})}, Connecting::no) == "dane");
  CHECK(verdict({host(10, Policy::opportunistic, {})}, Connecting::no) == "opportunistic");
  CHECK(verdict({refused(10)}, Connecting::no) == "fail");
  CHECK(verdict({refused(10), host(20, Policy::opportunistic, {})}, Connecting::no) == "opportunistic");
  Host audited = host(10, Policy::dane, {});
  std::get<hop::Connect>(audited.plan).waived = hop::Refusal{hop::Reason::dnssec_invalid, "bogus"};
  CHECK_MESSAGE(verdict({audited}, Connecting::no) == "fail", "audit delivers, but not under what is published");
}

TEST_CASE("dnssec_of: bogus is worse than failed, and both than insecure") {
  dns::Answer answer;
  answer.status = dns::Status::no_data;
  CHECK(dnssec_of(answer) == Dnssec::insecure);
  answer.security = dns::Security::secure;
  CHECK(dnssec_of(answer) == Dnssec::secure);
  answer.status = dns::Status::failed;
  CHECK(dnssec_of(answer) == Dnssec::failed);
  answer.security = dns::Security::bogus;
  CHECK(dnssec_of(answer) == Dnssec::bogus);
  CHECK(worse(Dnssec::insecure, Dnssec::failed) == Dnssec::failed);
  CHECK(worse(Dnssec::bogus, Dnssec::secure) == Dnssec::bogus);
}

TEST_CASE("why: the sentence fits what was found") {
  const auto said = [](Finding finding) { return why(finding, judge(finding, Connecting::yes)); };
  Finding none;
  none.detail = "the domain gone.test does not exist";
  CHECK(said(none) == "the domain gone.test does not exist");
  Finding silent;
  silent.hosts = {host(10, hop::Policy::opportunistic, {Answer::broken})};
  silent.hosts[0].host = "mx.silent.test";
  CHECK(said(silent) == "no mail server could be reached (mx.silent.test: connection-lost)");
  Finding broken = silent;
  broken.hosts.push_back(refused(20));
  broken.hosts[1].host = "mx2.silent.test";
  CHECK(said(broken) ==
        "mail does not go: no host meets the policy that governs it (mx2.silent.test: dnssec-invalid, bogus)");
  Finding routed;
  routed.hosts = {host(10, hop::Policy::route, {Answer::clear})};
  routed.route = "exch01.test:25";
  CHECK(said(routed) == "mail goes to the hosts of the route in clear");
  Finding audited;
  audited.hosts = {host(10, hop::Policy::dane, {Answer::tls})};
  std::get<hop::Connect>(audited.hosts[0].plan).waived = hop::Refusal{};
  CHECK(said(audited).find("in audit") != std::string::npos);
  // "mail does not go: …, mail would go all the same"
  Finding asked;
  asked.hosts = {host(10, hop::Policy::dane, {Answer::broken, Answer::tls})};
  asked.hosts[0].host = "mx.audited.test";
  Probe& probe = asked.hosts[0].probes[1];
  probe.reason = hop::Reason::tlsa_invalid;
  probe.detail = "no TLSA record matches the certificate";
  probe.goes_anyhow = true;
  CHECK(said(asked) ==
        "mail goes, but only since the rules are in audit: no host meets the policy that the domain publishes "
        "(mx.audited.test: tlsa-invalid, no TLSA record matches the certificate)");
  // "TLSA records prove who receives it"
  Finding unusable;
  unusable.hosts = {host(10, hop::Policy::dane, {Answer::tls})};
  CHECK(said(unusable) == "mail goes under DANE: TLSA records prove who receives it");
  std::get<hop::Connect>(unusable.hosts[0].plan).tlsa_unusable = true;
  CHECK(said(unusable) ==
        "mail goes encrypted, as TLSA records demand, but none of a host's is usable, and nothing proves who receives "
        "it");
}

}  // namespace probe_finding_test
