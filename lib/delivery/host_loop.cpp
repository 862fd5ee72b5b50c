// SPDX-License-Identifier: Apache-2.0
#include "delivery/host_loop.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "delivery/outcome.h"

namespace hoplock::delivery {

namespace {

// Nothing is known of its addresses yet.
hop::HostFacts named(const route::Host& host) {
  hop::HostFacts facts;
  facts.origin = host.origin;
  facts.name = facts.expanded = host.name;
  facts.port = host.port;
  return facts;
}

}  // namespace

HostLoop::HostLoop(Progress& progress, RouteCheck& route_check, Transactions& transactions, SessionRecorder& recorder)
    : progress_(progress),
      common_(progress.common),
      route_check_(route_check),
      transactions_(transactions),
      recorder_(recorder),
      order_(progress),
      limits_(progress),
      sessions_(progress, limits_, transactions, recorder) {}

asio::awaitable<void> HostLoop::try_source() {
  Attempt& attempt = progress_.attempt;
  if (progress_.access != nullptr) progress_.access->source = *progress_.source;
  attempt.hostname = progress_.source->hostname;
  order_.begin_source();
  limits_.begin_source();
  const auto full = std::exchange(attempt.full, std::nullopt);
  const bool reached = std::exchange(attempt.reached, false);
  for (const std::size_t i : progress_.open) attempt.recipients[i].untouched = false;
  co_await try_hosts();
  transactions_.end_refused();
  if (attempt.full && !attempt.reached) {
    for (const std::size_t i : progress_.open) attempt.recipients[i].untouched = true;
  }
  attempt.reached = attempt.reached || reached;
  if (!attempt.full) attempt.full = full;
}

asio::awaitable<void> HostLoop::try_hosts() {
  co_await try_next_hosts();
  const Attempt& attempt = progress_.attempt;
  const bool only_old = progress_.passed_over && limits_.connections() == 0 && attempt.hops.empty() && !attempt.full;
  if (!only_old) co_return;
  order_.start_over();  // the addresses that were left are gone
  co_await try_next_hosts();
}

asio::awaitable<void> HostLoop::try_next_hosts() {
  order_.arrange();
  for (const route::Host& host : progress_.hosts.hosts) {
    if (progress_.open.empty() || !route_check_.holds() || limits_.is_enough(host)) break;
    co_await try_host(host);
  }
}

asio::awaitable<void> HostLoop::try_host(route::Host host) {
  const hop::LocalRule rule = rule_for(progress_.message_class, progress_.hosts.rule, host.origin);
  hop::HostFacts found = co_await facts_of(host, rule);
  const hop::Facts facts{progress_.hosts.domain, std::move(found)};
  const tlsrpt::Question question{facts, rule};
  const hop::Plan plan = hop::decide(facts, rule, asked(progress_.message_class));
  if (const auto* no = std::get_if<hop::Refuse>(&plan)) {
    recorder_.record(question, *no, progress_.now());
    refuse(host, *no);
    co_return;
  }
  const hop::Connect& connect = std::get<hop::Connect>(plan);
  const auto& known = facts.host.addresses;
  progress_.has_v4 = std::any_of(known.begin(), known.end(), [](const Ip& ip) { return ip.is_v4(); });
  const std::size_t before = limits_.connections();
  if (sessions_.fits(host, facts.host, connect)) {
    const bool had_its_say = co_await sessions_.use_open();
    if (had_its_say) {
      count_out_closed(before);
      co_return order_.note_heard(host);
    }
  }
  co_await progress_.leave_session();
  recorder_.expect(facts);
  co_await try_addresses(host, connect, question);
}

// REQUIRES: what `question` refers to outlives it; it is try_host's.
asio::awaitable<void> HostLoop::try_addresses(route::Host host, hop::Connect plan, tlsrpt::Question question) {
  const std::size_t before = limits_.connections();
  const std::vector<Ip> addresses =
      common_.families.ordered(host_key(host), question.facts.host.addresses, std::chrono::steady_clock::now());
  for (const Ip& ip : addresses) {
    if (progress_.open.empty() || !route_check_.holds() || limits_.is_enough(host)) co_return;
    const bool tried = order_.was_tried(host, ip);
    progress_.passed_over = progress_.passed_over || tried;
    if (tried) continue;
    if (!sessions_.enter(host, ip)) continue;
    limits_.count_connection();
    const bool had_its_say = co_await sessions_.use_new(host, ip, plan, question);
    if (had_its_say && took_any(progress_.attempt)) order_.note_good(host);
    count_out_closed(before);
    if (had_its_say) co_return order_.note_heard(host);
    co_await progress_.leave_session();  // it took nothing, and another address is asked
    order_.note_in_vain(host, ip);
  }
  order_.note_through(host);
}

void HostLoop::refuse(const route::Host& host, const hop::Refuse& refuse) {
  Hop refused = hop_of(host, refuse.policy, progress_.hosts.domain.mx_security);
  refused.definite = !refuse.reason;
  refused.refusal = hop::Refusal{refuse.reason.value_or(hop::Reason::dns_failure), refuse.text, "", refuse.status};
  progress_.add_hop(std::move(refused));
}

asio::awaitable<hop::HostFacts> HostLoop::facts_of(route::Host host, hop::LocalRule rule) {
  const bool from_dns = host.origin == route::Host::Origin::mx || host.origin == route::Host::Origin::implicit_mx;
  // REQUIRETLS makes more of DANE than the operator does, and who waives the policy is ruled out by nothing.
  const bool ruled_out = from_dns && progress_.message_class == MessageClass::ordinary &&
                         hop::is_ruled_out(progress_.hosts.domain, host.name, rule);
  if (ruled_out) co_return named(host);
  hop::HostFacts found = co_await look_up(host);
  co_return reachable(std::move(found));
}

asio::awaitable<hop::HostFacts> HostLoop::look_up(route::Host host) {
  const dns::Name domain = progress_.hosts.domain.domain;
  Access* access = progress_.access;
  if (access == nullptr) co_return co_await common_.router.look(host, domain);
  auto found = co_await common_.look_ups.unless_cut(common_.router.look(host, domain), access->gives_way);
  if (found) co_return std::move(*found);
  progress_.attempt.cut_at_look_up = true;
  hop::HostFacts none = named(host);
  none.address_failure = hop::Reason::dns_failure;
  none.why_no_address = LookUps::took_too_long;
  co_return none;
}

// Mail leaves from the address that `sources` names, or it waits.
hop::HostFacts HostLoop::reachable(hop::HostFacts host) {
  if (host.addresses.empty()) return host;
  const Source& source = *progress_.source;
  std::erase_if(host.addresses, [&source](const Ip& ip) { return !source.may_reach(ip); });
  if (!host.addresses.empty()) return host;
  const std::string family = source.uses_ipv4 ? "IPv4" : "IPv6";
  out_of_reach_ = true;
  host.address_failure = hop::Reason::dns_failure;
  host.why_no_address =
      "it has no " + family + " address, and sources names no address of another family to leave from";
  return host;
}

// A host that never takes this mail has no session of those that an attempt may use, nor had it connections: were the next one not asked,
// a large set would never be heard to its end. `before`: how many there were when its turn came.
void HostLoop::count_out_closed(std::size_t before) {
  if (progress_.open.empty() || progress_.attempt.hops.empty() || !limits_.had_session()) return;
  if (transactions_.is_closed_to_all()) limits_.count_out(before);
}

}  // namespace hoplock::delivery
