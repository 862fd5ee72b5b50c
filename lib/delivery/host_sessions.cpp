// SPDX-License-Identifier: Apache-2.0
#include "delivery/host_sessions.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "hop/sharing.h"
#include "queue/schedule.h"

namespace hoplock::delivery {

namespace {

using Steady = std::chrono::steady_clock;
using Heard = Transactions::Heard;

// RPT-18, RPT-45: no address of an inner network is told.
std::optional<Ip> if_public(std::optional<Ip> ip) { return ip && !ip->is_internal() ? ip : std::nullopt; }

bool uses_sts(const hop::Connect& plan) {
  const auto is_sts = [](hop::Policy policy) {
    return policy == hop::Policy::sts || policy == hop::Policy::sts_testing;
  };
  return is_sts(plan.policy) || (plan.required && is_sts(plan.required->underlying)) ||
         (plan.observed && is_sts(plan.observed->policy));
}

hop::Outcome without_tls_failure(hop::Outcome cut) {
  if (cut.stage <= hop::Stage::ehlo) return cut;
  cut.stage = hop::Stage::ehlo;
  cut.failure = hop::Refusal{hop::Reason::connection_lost, "the server did not answer in time"};
  return cut;
}

// TLS-14: EHLO got no answer, and so nothing was heard of STARTTLS; HELO gave up on it.
Hop without_ehlo(Hop hop, const hop::Connect& plan, const smtpclient::Opened& opened) {
  hop.refusal = opened.outcome.failure;
  hop.action = plan.on_failure == hop::OnFailure::audit ? Hop::Action::audit : Hop::Action::plaintext;
  hop.transcript = opened.transcript;
  return hop;
}

Hop with_opened(Hop hop, const hop::Connect& plan, const smtpclient::Opened& opened) {
  hop.tls = opened.outcome.tls;
  hop.transcript = opened.transcript;
  if (opened.outcome.dane) hop.matched = opened.outcome.dane->matched;
  hop.observed = hop::observe(plan, opened.outcome);
  hop.no_mail = opened.outcome.reply && opened.outcome.reply->code == 521;
  return hop;
}

}  // namespace

HostSessions::HostSessions(Progress& progress, AttemptLimits& limits, Transactions& transactions,
                           SessionRecorder& recorder)
    : progress_(progress),
      common_(progress.common),
      limits_(limits),
      transactions_(transactions),
      recorder_(recorder) {}

// Another domain's mail goes only over what was proved to the full: not in clear after TLS failed, nor past a defect.
bool HostSessions::may_carry(const hop::Connect& plan) const {
  const OpenSession& session = *progress_.session;
  if (session.destination == progress_.job->destination) return session.plan == plan;
  return !session.before && !session.hop.waived && hop::may_carry(session.plan, plan);
}

bool HostSessions::fits(const route::Host& host, const hop::HostFacts& facts, const hop::Connect& plan) const {
  if (!progress_.session) return false;
  const OpenSession& session = *progress_.session;
  return session.client->usable() && session.host == host_key(host) && may_carry(plan) &&
         session.route == progress_.hosts.route && session.message_class == progress_.message_class &&
         session.source == progress_.source && session.tls == common_.tls && may_ride() &&
         std::find(facts.addresses.begin(), facts.addresses.end(), session.ip) != facts.addresses.end();
}

// TLS-14: in clear after TLS failed only who has waited long enough, whoever opened the session; nobody's login goes that way.
hop::Fallback HostSessions::fallback() const {
  const route::RoutePtr& route = progress_.hosts.route;
  if (route && !route->username.empty()) return hop::Fallback::never;
  // its sender would rather have it delivered (RFC 8689 section 3); what tells of broken TLS is not to wait for it
  if (progress_.message_class == MessageClass::tls_required_no || progress_.message_class == MessageClass::report)
    return hop::Fallback::now;
  const queue::Retry& retry = common_.options.retry;
  const auto least = retry.first - std::chrono::round<Milliseconds>(retry.first * retry.jitter);
  return hop::fallback_after(std::chrono::floor<Milliseconds>(progress_.now() - progress_.job->received), least);
}

bool HostSessions::may_ride() const {
  const std::optional<Hop>& before = progress_.session->before;
  return !before || before->action == Hop::Action::audit || fallback() == hop::Fallback::now;
}

asio::awaitable<bool> HostSessions::use_open() {
  const std::vector<Hop> hops = progress_.attempt.hops;
  OpenSession& session = *progress_.session;
  if (session.before) {
    Hop failed = *session.before;
    failed.transcript = {};
    progress_.add_hop(std::move(failed));
  }
  progress_.add_hop(session.hop);
  session.client->until(limits_.deadline());
  session.client->be_found(progress_.access != nullptr ? progress_.access->speaks : nullptr);
  const Heard heard = co_await transactions_.transact();
  if (heard == Heard::something) {
    limits_.count_session();
    progress_.attempt.reached = true;
    co_return true;
  }
  transactions_.restore_hops(hops);
  progress_.attempt.put_off.reset();
  transactions_.forget_words(progress_.open);
  co_return false;
}

bool HostSessions::enter(const route::Host& host, const Ip& ip) {
  if (progress_.access == nullptr) return true;
  place_ = progress_.access->enter(ip);
  if (place_) return true;
  progress_.attempt.full = ip;
  progress_.attempt.full_from = progress_.source->towards(ip);
  limits_.note_full(host);
  return false;
}

asio::awaitable<bool> HostSessions::use_new(route::Host host, Ip ip, hop::Connect plan, tlsrpt::Question question) {
  const bool had_its_say = co_await try_address(std::move(host), ip, std::move(plan), question);
  place_.reset();
  co_return had_its_say;
}

asio::awaitable<bool> HostSessions::try_address(route::Host host, Ip ip, hop::Connect plan, tlsrpt::Question question) {
  const hop::Connect original = plan;
  const std::vector<Hop> before = progress_.attempt.hops;
  std::optional<Hop> failed;  // whose TLS did not come about
  for (;;) {
    Hop hop = begun(host, ip, plan);
    const Time began = progress_.now();
    smtpclient::Opened opened = co_await connect(host, ip, plan);
    if (is_cut(opened)) opened.outcome = without_tls_failure(std::move(opened.outcome));
    const bool banner = opened.outcome.stage > hop::Stage::greeting || opened.outcome.reply;
    if (banner) note_banner(host, ip);
    if (banner && plan == original) limits_.count_session();
    // RPT-10: where EHLO got no answer nothing is known of STARTTLS
    const hop::Outcome& told = opened.before_helo ? opened.before_helo->outcome : opened.outcome;
    if (plan == original) recorder_.record({question, plan, told, ends(opened, host, ip), began});
    if (opened.local) hop.src = opened.local;
    if (opened.before_helo) {
      failed = without_ehlo(hop, plan, *opened.before_helo);
      progress_.add_hop(*failed);
    }
    hop = with_opened(std::move(hop), plan, opened);
    const hop::Next next = hop::after(plan, opened.outcome, fallback());
    if (const auto* refused = std::get_if<hop::NextHost>(&next)) {
      hop.refusal = refused->why;
      progress_.add_hop(std::move(hop));
      note_failure(host, ip, opened);
      co_return false;
    }
    if (const auto* retry = std::get_if<hop::RetryInClear>(&next)) {
      hop.refusal = retry->why;
      hop.action = retry->rule == hop::OnFailure::audit ? Hop::Action::audit : Hop::Action::plaintext;
      failed = hop;
      progress_.add_hop(std::move(hop));
      plan = hop::in_clear(plan, *retry);
      continue;
    }
    const auto& proceed = std::get<hop::Proceed>(next);
    hop.policy = proceed.policy;
    hop.auth = proceed.auth;
    hop.waived = proceed.waived;
    OpenSession session = session_to(host, ip, std::move(opened.client));
    session.plan = original;
    session.hop = hop;
    session.before = failed;
    take_session(std::move(session));
    const Heard heard = co_await transactions_.transact();
    if (heard != Heard::too_little) co_return heard == Heard::something;
    transactions_.restore_hops(before);
    plan = original;
    failed.reset();
  }
}

// It is ready for mail.
void HostSessions::take_session(OpenSession session) {
  progress_.add_hop(session.hop);
  progress_.session = std::move(session);
  progress_.attempt.reached = true;
  if (progress_.access != nullptr) progress_.access->ready();
  if (transactions_.pace() == Pace::step_by_step) progress_.session->client->go_step_by_step();
}

Hop HostSessions::begun(const route::Host& host, const Ip& ip, const hop::Connect& plan) const {
  Hop hop = hop_of(host, plan.policy, plan.mx_security);
  hop.ip = ip;
  if (plan.required) hop.underlying = plan.required->underlying;
  if (uses_sts(plan)) hop.sts_id = progress_.hosts.domain.sts.id;
  hop.from = progress_.source->towards(ip);
  hop.src = hop.from;
  return hop;
}

OpenSession HostSessions::session_to(const route::Host& host, const Ip& ip,
                                     std::unique_ptr<smtpclient::Client> client) const {
  OpenSession session;
  session.client = std::move(client);
  session.host = host_key(host);
  session.ip = ip;
  session.route = progress_.hosts.route;
  session.message_class = progress_.message_class;
  session.source = *progress_.source;
  session.tls = common_.tls;
  session.place = place_;
  session.destination = progress_.job->destination;
  return session;
}

void HostSessions::note_banner(const route::Host& host, const Ip& ip) {
  common_.families.worked(host_key(host), ip);
  if (progress_.access != nullptr) progress_.access->answered(ip);
}

// We gave up on it for other mail that waited: nobody refused anything, and no TLS failed.
bool HostSessions::is_cut(const smtpclient::Opened& opened) const {
  const bool gave_way = progress_.access != nullptr && progress_.access->gives_way.is_made();
  return gave_way && opened.ours == smtpclient::Trouble::none && opened.outcome.failure && !opened.outcome.reply;
}

// No session came of it. What a rule refused says nothing about how many sessions the host takes.
void HostSessions::note_failure(const route::Host& host, const Ip& ip, const smtpclient::Opened& opened) {
  Attempt& attempt = progress_.attempt;
  Access* access = progress_.access;
  attempt.ours = opened.ours != smtpclient::Trouble::none && (failures_ == 0 || attempt.ours);
  ++failures_;
  attempt.at_login = opened.login_failed;
  if (opened.ours == smtpclient::Trouble::machine) return;
  const hop::Outcome& outcome = opened.outcome;
  if (is_cut(opened)) return access->silent(ip);
  const bool by_rule = outcome.failure && is_policy(outcome.failure->reason);
  const bool refuses_address = outcome.reply && is_about_our_address(outcome.reply->text);
  if (outcome.stage == hop::Stage::connect || refuses_address)
    common_.families.failed(host_key(host), ip, Steady::now());
  // a login is the route's own, whatever the code: it says nothing of sessions, in which others log in or need not
  const bool of_others = by_rule || opened.ours != smtpclient::Trouble::none || opened.login_failed;
  if (of_others || !outcome.failure || access == nullptr) return;
  place_.reset();
  if (outcome.stage == hop::Stage::connect) return access->unreachable(ip, outcome.failure->text);
  access->refused(ip, outcome.reply ? outcome.reply->text : outcome.failure->text);
}

// The two ends as the world may know them.
tlsrpt::Ends HostSessions::ends(const smtpclient::Opened& opened, const route::Host& host, const Ip& ip) const {
  const Counting& counting = common_.options.counting;
  const auto& known = ip.is_v4() ? counting.public_ipv4 : counting.public_ipv6;
  const bool configured = host.origin == route::Host::Origin::route_name;
  return {known ? known : if_public(opened.local), configured ? if_public(ip) : ip};
}

asio::awaitable<smtpclient::Opened> HostSessions::connect(route::Host host, Ip ip, hop::Connect plan) {
  Access* access = progress_.access;
  smtpclient::Target target;
  target.at = net::Endpoint{ip, host.port};
  target.plan = std::move(plan);
  target.fallback = fallback();
  target.deadline = limits_.deadline();
  if (access != nullptr) target.found_at = access->speaks;
  if (access != nullptr) target.cut = &access->gives_way;
  if (progress_.hosts.route) {
    auto credentials = common_.credentials.load(*progress_.hosts.route);
    if (!credentials) {
      smtpclient::Opened failed;
      failed.outcome.failure = hop::Refusal{hop::Reason::validation_failure, credentials.error().detail};
      failed.ours = smtpclient::Trouble::machine;
      co_return failed;
    }
    target.certificate = std::move(credentials->certificate);
    target.login = std::move(credentials->login);
  }
  const auto tls = common_.tls;
  smtpclient::Options options = common_.options;
  options.source_ipv4 = progress_.source->ipv4;
  options.source_ipv6 = progress_.source->ipv6;
  options.hostname = progress_.source->hostname;
  co_return co_await smtpclient::Client::open(std::move(target), *tls, std::move(options));
}

}  // namespace hoplock::delivery
