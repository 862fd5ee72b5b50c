// SPDX-License-Identifier: Apache-2.0
#include "probe/check.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <chrono>
#include <functional>
#include <utility>

#include "mtasts/match.h"
#include "net/task_group.h"
#include "smtpclient/credentials.h"
#include "tlsrpt/classify.h"

namespace hoplock::probe {

namespace asio = boost::asio;

namespace {

constexpr std::size_t width = 16;
constexpr std::chrono::minutes patience{5};  // for all look-ups, and for all conversations
constexpr std::chrono::seconds last_words{5};

// Numbers 0 … count-1, each for one of a few workers.
struct Numbers {
  std::size_t next = 0;
  std::size_t count = 0;
};

std::string name_of(const route::Host& host) {
  return host.origin == route::Host::Origin::literal ? host.literal.literal() : host.name.text();
}

class Run {
 public:
  Run(Tools tools, Question question) : tools_(std::move(tools)), question_(std::move(question)) {
    finding_.domain = question_.domain;
  }

  asio::awaitable<Finding> go() {
    auto found = co_await tools_.router.find(finding_.domain);
    if (const auto* none = std::get_if<route::NoHosts>(&found)) {
      co_await tell_no_hosts(*none);
      co_return std::move(finding_);
    }
    hosts_ = std::get<route::Hosts>(std::move(found));
    take_hosts();
    co_await all(hosts_.hosts.size() + 2, &Run::look);
    make_plans();
    if (question_.connecting == Connecting::yes) {
      for (std::size_t i = 0; i < finding_.hosts.size(); ++i) {
        for (std::size_t j = 0; j < finding_.hosts[i].probes.size(); ++j) conversations_.emplace_back(i, j);
      }
      co_await all(conversations_.size(), &Run::converse);
    } else {
      for (Host& host : finding_.hosts) host.probes.clear();
    }
    co_return std::move(finding_);
  }

 private:
  using Step = asio::awaitable<void> (Run::*)(std::size_t);

  asio::awaitable<void> work(std::shared_ptr<Numbers> numbers, Step step) {
    while (numbers->next < numbers->count) co_await (this->*step)(numbers->next++);
  }
  asio::awaitable<void> all(std::size_t count, Step step) {
    net::TaskGroup tasks(co_await asio::this_coro::executor, tools_.log);
    auto numbers = std::make_shared<Numbers>();
    numbers->count = count;
    for (std::size_t i = 0; i < std::min(count, width); ++i) tasks.spawn("check", work(numbers, step));
    co_await tasks.join(std::chrono::steady_clock::now() + patience);
    tasks.stop();
    co_await tasks.join(std::chrono::steady_clock::now() + last_words);
  }

  asio::awaitable<void> tell_no_hosts(route::NoHosts none) {
    finding_.expanded = finding_.domain;
    finding_.reason = none.reason;
    finding_.detail = std::move(none.text);
    finding_.note = std::move(none.note);
    const auto answer = co_await tools_.resolver.find(finding_.domain, dns::Type::mx);
    finding_.dnssec = dnssec_of(answer);
    if (none.reason == hop::Reason::dnssec_invalid) finding_.dnssec = Dnssec::bogus;
  }

  void take_hosts() {
    using Origin = route::Host::Origin;
    std::stable_sort(hosts_.hosts.begin(), hosts_.hosts.end(), [](const auto& a, const auto& b) {
      return std::make_pair(a.preference, name_of(a)) < std::make_pair(b.preference, name_of(b));
    });
    finding_.expanded = hosts_.domain.expanded;
    finding_.dnssec = hosts_.domain.mx_security == dns::Security::secure ? Dnssec::secure : Dnssec::insecure;
    finding_.note = hosts_.note;
    facts_.resize(hosts_.hosts.size());
    for (route::Host& from : hosts_.hosts) {
      // what is published is told, whether a rule uses it or not; but what an unsigned "no MX records" leads to has none
      const bool unsure = from.origin == Origin::implicit_mx && finding_.dnssec != Dnssec::secure;
      if (question_.judging == Judging::published)
        from.tlsa = unsure ? route::Host::Tlsa::skip : route::Host::Tlsa::ask;
      Host host;
      host.host = name_of(from);
      if (from.origin == Origin::mx) host.preference = from.preference;
      host.rank = from.preference;
      host.port = from.port;
      const bool routed = from.origin == Origin::route_name || from.origin == Origin::literal;
      if (routed) finding_.route += (finding_.route.empty() ? "" : ", ") + host.host + ":" + std::to_string(host.port);
      finding_.hosts.push_back(std::move(host));
    }
  }

  // The policy, whether reports are wanted, then the hosts.
  asio::awaitable<void> look(std::size_t number) {
    if (number == 0) return look_for_policy();
    if (number == 1) return look_for_reporting();
    return look_at(number - 2);
  }

  // STS-02: what is published is told, whether a rule uses it or not; but a configured host has none.
  asio::awaitable<void> look_for_policy() {
    using Origin = route::Host::Origin;
    const Origin origin = hosts_.hosts.front().origin;
    if (origin != Origin::mx && origin != Origin::implicit_mx) co_return;
    if (question_.judging == Judging::configured && !hop::needs_sts(origin, hosts_.rule)) co_return;
    Sts unknown;
    unknown.error = "not looked up to the end: there was no time left";
    unknown.fact.state = hop::StsFact::State::unknown;
    finding_.sts = std::move(unknown);
    const auto published = co_await route::find_published(tools_.resolver, tools_.fetch, question_.domain);
    finding_.sts = sts_of(published, question_.kept, question_.now);
  }

  asio::awaitable<void> look_for_reporting() {
    if (question_.judging == Judging::configured) co_return;
    hop::Facts facts{hosts_.domain, {}};
    facts.host.origin = hosts_.hosts.front().origin;
    facts.host.name = hosts_.hosts.front().name;
    const auto domain = tlsrpt::report_domain(facts);
    if (!domain) co_return;
    const auto owner = domain->under(tlsrpt::record_label);
    if (!owner) co_return;  // no such name can exist
    const auto answer = co_await tools_.resolver.find(*owner, dns::Type::txt);
    finding_.reporting = reporting_of(*domain, answer);
  }

  asio::awaitable<void> look_at(std::size_t index) {
    const route::Host from = hosts_.hosts[index];
    const hop::HostFacts facts = co_await tools_.router.look(from);
    const Dnssec dnssec = co_await dnssec_of_host(from, facts);
    Host& host = finding_.hosts[index];
    const bool from_dns = from.origin == route::Host::Origin::mx || from.origin == route::Host::Origin::implicit_mx;
    host.dnssec = from_dns ? worse(finding_.dnssec, dnssec) : dnssec;
    host.tlsa = facts.tlsa.records;
    if (!facts.tlsa.records.empty()) host.tlsa_base = facts.tlsa.base;
    host.addresses = facts.addresses;
    facts_[index] = facts;
    for (const Ip& ip : facts.addresses) {
      Probe probe;
      probe.ip = ip;
      probe.reason = hop::Reason::connect_timeout;
      probe.detail = "not tried: there was no time left";
      host.probes.push_back(std::move(probe));
    }
  }

  // CONTRACT: it is about what is published, so an MTA-STS policy that the operator only watches or ignores counts in full.
  void make_plans() {
    if (question_.judging == Judging::published) hosts_.rule.mta_sts = hop::Mode::enforce;
    if (finding_.sts) hosts_.domain.sts = finding_.sts->fact;
    const auto* policy = finding_.sts && finding_.sts->policy ? &*finding_.sts->policy : nullptr;
    for (std::size_t i = 0; i < finding_.hosts.size(); ++i) {
      finding_.hosts[i].plan = hop::decide(hop::Facts{hosts_.domain, facts_[i]}, hosts_.rule);
      if (policy != nullptr && !policy->mx.empty()) {
        finding_.hosts[i].in_policy = mtasts::matches(*policy, hosts_.hosts[i].name);
      }
    }
  }

  asio::awaitable<Dnssec> dnssec_of_host(route::Host from, hop::HostFacts facts) {
    if (from.origin == route::Host::Origin::literal) co_return Dnssec::insecure;
    if (facts.address_failure == hop::Reason::dnssec_invalid) co_return Dnssec::bogus;
    if (facts.address_failure) co_return Dnssec::failed;
    if (facts.tlsa.state == hop::TlsaFact::State::failed) {
      const auto name = facts.tlsa.base.under("_" + std::to_string(from.port) + "._tcp");
      if (!name) co_return Dnssec::failed;
      const auto answer = co_await tools_.resolver.find(*name, dns::Type::tlsa);
      co_return worse(Dnssec::failed, dnssec_of(answer));
    }
    if (facts.tlsa.state != hop::TlsaFact::State::not_asked) co_return Dnssec::secure;
    if (!facts.addresses.empty()) co_return Dnssec::insecure;
    const auto answer = co_await tools_.resolver.find(from.name, dns::Type::a);
    co_return dnssec_of(answer);
  }

  asio::awaitable<void> converse(std::size_t index) {
    const auto [host, number] = conversations_[index];
    const hop::Plan plan = finding_.hosts[host].plan;
    Probe probe;
    probe.ip = finding_.hosts[host].probes[number].ip;
    if (const auto* refuse = std::get_if<hop::Refuse>(&plan)) {
      probe.reason = refuse->reason.value_or(hop::Reason::dns_failure);
      probe.detail = refuse->text;
    } else {
      smtpclient::Target target;
      target.at = net::Endpoint{probe.ip, finding_.hosts[host].port};
      target.plan = std::get<hop::Connect>(plan);
      probe = co_await try_address(std::move(target));
    }
    finding_.hosts[host].probes[number] = std::move(probe);
  }

  // As delivery/host_sessions.cpp goes about it.
  asio::awaitable<Probe> try_address(smtpclient::Target target) {
    Probe probe;
    probe.ip = target.at.ip;
    probe.reason = hop::Reason::validation_failure;
    if (hosts_.route) {
      auto credentials = smtpclient::load_credentials(*hosts_.route);
      if (!credentials) {
        probe.detail = credentials.error().detail;
        co_return probe;
      }
      target.certificate = std::move(credentials->certificate);
      target.login = std::move(credentials->login);
    }
    std::optional<hop::Refusal> waived = target.plan.waived;
    for (;;) {
      auto opened = co_await smtpclient::Client::open(target, *tools_.tls, tools_.options);
      take_session(probe, opened.outcome);
      const hop::Next next = hop::after(target.plan, opened.outcome);
      if (auto observed = hop::observe(target.plan, opened.outcome)) probe.observed = std::move(observed);
      if (opened.client) co_await opened.client->quit();
      if (const auto* refused = std::get_if<hop::NextHost>(&next)) {
        probe.reason = refused->why.reason;
        probe.detail = refused->why.text;
        co_return probe;
      }
      if (const auto* retry = std::get_if<hop::RetryInClear>(&next)) {
        if (retry->rule == hop::OnFailure::audit) waived = retry->why;
        probe.detail = "mail would go in clear: " + std::string(to_text(retry->why.reason)) + ": " + retry->why.text;
        target.plan = hop::in_clear(target.plan, *retry);
        continue;
      }
      const auto& proceed = std::get<hop::Proceed>(next);
      probe.auth = proceed.auth;
      if (proceed.waived) waived = proceed.waived;
      probe.reason = waived ? std::optional(waived->reason) : std::nullopt;
      probe.goes_anyhow = waived.has_value();
      if (waived) probe.detail = waived->text + "; only watched (audit), mail would go all the same";
      if (!waived && probe.tls == "none" && probe.detail.empty() && target.plan.tls != hop::Tls::never)
        probe.detail = "the server does not offer STARTTLS";
      if (target.plan.tlsa_unusable) probe.detail = "no TLSA record is usable: encrypted, but nothing proves who it is";
      co_return probe;
    }
  }

  static void take_session(Probe& probe, const hop::Outcome& outcome) {
    probe.tls = outcome.tls ? outcome.tls->version : "none";
    probe.cipher = outcome.tls ? outcome.tls->cipher : "";
    probe.key = outcome.tls ? outcome.tls->key : "";
    probe.matched = outcome.dane ? outcome.dane->matched : std::nullopt;
  }

  Tools tools_;
  Question question_;
  Finding finding_;
  route::Hosts hosts_;
  std::vector<hop::HostFacts> facts_;                               // of each of hosts_
  std::vector<std::pair<std::size_t, std::size_t>> conversations_;  // host, probe
};

}  // namespace

asio::awaitable<Finding> check(Tools tools, Question question) {
  Run run(std::move(tools), std::move(question));
  co_return co_await run.go();
}

}  // namespace hoplock::probe
