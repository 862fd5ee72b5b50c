// SPDX-License-Identifier: Apache-2.0
#include "delivery/delivery_attempt.h"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <utility>
#include <vector>

#include "delivery/outcome.h"
#include "delivery/remembered.h"
#include "queue/schedule.h"

namespace hoplock::delivery {

namespace {

bool same_policy(const hop::StsFact& a, const hop::StsFact& b) {
  return a.state == b.state && a.id == b.id && a.policy == b.policy;
}

}  // namespace

DeliveryAttempt::DeliveryAttempt(Common& common, std::shared_ptr<const store::Job> job,
                                 std::optional<OpenSession>& session, Access* access)
    : common_(common),
      progress_(common, std::move(job), session, access),
      route_check_(progress_),
      recorder_(interests(), common.options.counting.except),
      transactions_(progress_, route_check_),
      hosts_(progress_, route_check_, transactions_, recorder_) {}

DeliveryAttempt::~DeliveryAttempt() {
  if (!told_) common_.cut_off.add(recorder_.counts());
}

ReportInterests* DeliveryAttempt::interests() {
  return common_.options.counting.enabled && is_counted(progress_.message_class) ? &common_.interests : nullptr;
}

asio::awaitable<Attempt> DeliveryAttempt::go() {
  try {
    co_await carry();
    progress_.attempt.ended = progress_.now();
    if (recorder_.waits()) co_await recorder_.wait();
  } catch (const std::exception& error) {
    if (!is_partly_over()) throw;
    end_here(error);
  }
  co_return ended();
}

Attempt DeliveryAttempt::ended() {
  Attempt& attempt = progress_.attempt;
  if (attempt.displaced) leave_undecided_out();
  if (!attempt.displaced) transactions_.limit_rounds();
  const auto apart = std::erase_if(attempt.recipients, [](const RecipientStatus& one) { return one.untouched; });
  attempt.rest_back = apart > 0;
  attempt.hosts_left = progress_.cut_short || progress_.passed_over || attempt.full;
  attempt.ours = (attempt.ours || hosts_.is_out_of_reach()) && !attempt.reached;
  if (took_any(attempt)) attempt.put_off.reset();
  attempt.counts = recorder_.counts();
  told_ = true;
  return concluded(std::move(attempt));
}

asio::awaitable<void> DeliveryAttempt::carry() {
  Attempt& attempt = progress_.attempt;
  auto found = co_await find();
  if (!route_check_.holds()) co_return;
  if (auto* none = std::get_if<route::NoHosts>(&found)) {
    attempt.note = none->note;
    attempt.no_hosts = std::move(*none);
    co_return;
  }
  take_hosts(std::get<route::Hosts>(std::move(found)));
  if (!route_check_.holds()) co_return;
  attempt.note = progress_.hosts.note;
  attempt.exception = exception_of(progress_.hosts);
  attempt.agreed = exceptions_agreed(progress_.hosts);
  progress_.hosts.site += from_where();
  attempt.by_rule = progress_.source_of(domain()) != progress_.default_source();
  if (progress_.access != nullptr && !progress_.access->admit(progress_.hosts)) {
    attempt.turned_away = TurnedAway::by_site;
    co_return;
  }
  co_await try_sources();
  if (!attempt.displaced && co_await has_new_policy()) co_await try_sources();
  if (!attempt.displaced && co_await is_to_go_redacted()) co_await try_sources();
  hosts_.remember();
  // hosts that are full now are waited for, unless the mail went meanwhile
  if (attempt.full && !attempt.reached && !attempt.displaced) attempt.turned_away = TurnedAway::by_host;
  if (!progress_.open.empty()) route_check_.holds();  // what was refused under a rule that counts no more does not wait
}

void DeliveryAttempt::take_hosts(route::Hosts found) {
  progress_.hosts = std::move(found);
  route_check_.begin_anew();
}

// A TXT record that cannot be looked up counts for as long as the message is young (STS-06).
asio::awaitable<route::Found> DeliveryAttempt::find() {
  auto found = co_await look_up();
  if (auto* hosts = std::get_if<route::Hosts>(&found)) {
    const auto waited = std::chrono::floor<Seconds>(progress_.now() - progress_.job->received);
    auto counts = hop::after_waiting(hosts->domain.sts, waited);
    const bool waited_enough = counts.state != hosts->domain.sts.state;
    progress_.attempt.overlooked = waited_enough ? counts.problem : std::nullopt;
    hosts->domain.sts = std::move(counts);
  }
  co_return found;
}

asio::awaitable<route::Found> DeliveryAttempt::look_up() {
  Access* access = progress_.access;
  if (access == nullptr) co_return co_await common_.router.find(domain());
  auto found = co_await common_.look_ups.unless_cut(common_.router.find(domain()), access->gives_way);
  if (found) co_return std::move(*found);
  progress_.attempt.cut_at_look_up = true;
  route::NoHosts none;
  none.reason = hop::Reason::dns_failure;
  none.text = LookUps::took_too_long;
  co_return none;
}

// A receiver knows us by our address and name: what it says to one says nothing of another.
std::string DeliveryAttempt::from_where() const {
  std::string text;
  const Options& options = common_.options;
  if (options.sources.empty()) return text;
  const Source source = progress_.source_of(domain());
  if (source.ipv4) text += " from " + source.ipv4->text();
  if (source.ipv6) text += " from " + source.ipv6->text();
  if (source.hostname != options.hostname) text += " as " + source.hostname.text();
  return text;
}

// Recipients whose mail leaves from different addresses never share a session.
asio::awaitable<void> DeliveryAttempt::try_sources() {
  const auto& recipients = progress_.job->recipients;
  std::vector<std::size_t> waiting = std::exchange(progress_.open, {});
  std::vector<std::size_t> left;
  while (!waiting.empty()) {
    const Source source = progress_.source_of(recipients[waiting.front()].domain);
    const auto others = std::stable_partition(waiting.begin(), waiting.end(), [&](std::size_t i) {
      return progress_.source_of(recipients[i].domain) == source;
    });
    progress_.source = source;
    progress_.open.assign(waiting.begin(), others);
    waiting.erase(waiting.begin(), others);
    co_await hosts_.try_source();
    left.insert(left.end(), progress_.open.begin(), progress_.open.end());
  }
  progress_.open = std::move(left);
}

// STS-25: before an MTA-STS refusal may be the last word (this attempt's, and so perhaps the message's), the id is looked at once
// more. A policy that came of it is tried at once; what the old one refused decides nothing any more.
asio::awaitable<bool> DeliveryAttempt::has_new_policy() {
  const auto refused = [](const Hop& hop) {
    return hop.underlying.value_or(hop.policy) == hop::Policy::sts && hop.refusal && is_policy(hop.refusal->reason);
  };
  std::vector<Hop>& hops = progress_.attempt.hops;
  if (progress_.open.empty() || std::none_of(hops.begin(), hops.end(), refused)) co_return false;
  auto found = co_await find();
  auto* hosts = std::get_if<route::Hosts>(&found);
  if (hosts == nullptr || same_policy(hosts->domain.sts, progress_.hosts.domain.sts)) co_return false;
  // one that ended meanwhile governs this attempt to its end (STS-17): nothing came of it that could be tried
  using State = hop::StsFact::State;
  if (progress_.hosts.domain.sts.state == State::live && hosts->domain.sts.state != State::live) co_return false;
  take_hosts(std::move(*hosts));
  recorder_.forget_sts_refusals();
  for (Hop& hop : hops) hop.outdated = refused(hop);
  co_return true;
}

// RTLS-10: a notice of ours whose way back nowhere offers REQUIRETLS leaves without what it would have protected.
asio::awaitable<bool> DeliveryAttempt::is_to_go_redacted() {
  Attempt& attempt = progress_.attempt;
  const std::vector<std::size_t>& open = progress_.open;
  const store::Job& job = *progress_.job;
  const bool wanted =
      progress_.message_class == MessageClass::requiretls && job.envelope.kind == store::Kind::notice && !open.empty();
  if (!wanted) co_return false;
  // where it is not that clear, the last attempt is the time to give in
  const bool last = queue::is_over({job.received, common_.options.expire_bounces}, progress_.now());
  if (!last && !is_unfit_everywhere(attempt, attempt.recipients[open.front()])) co_return false;
  const auto redacted = co_await transactions_.redact();
  if (!redacted) co_return false;
  progress_.message_class = MessageClass::ordinary;
  attempt.redacted = true;
  for (Hop& hop : attempt.hops) hop.outdated = true;
  co_return true;
}

// The daemon ends, or something breaks, while hosts are tried for the others: what was said of these stands, or they would get it twice.
bool DeliveryAttempt::is_partly_over() const {
  const auto& recipients = progress_.attempt.recipients;
  return std::any_of(recipients.begin(), recipients.end(),
                     [](const RecipientStatus& one) { return one.fate != Fate::deferred; });
}

void DeliveryAttempt::end_here(const std::exception& why) {
  Attempt& attempt = progress_.attempt;
  const auto* system = dynamic_cast<const boost::system::system_error*>(&why);
  const bool stopped = system != nullptr && system->code() == asio::error::operation_aborted;
  if (!stopped) attempt.broken = why.what();
  progress_.session.reset();  // no telling where its conversation stands
  attempt.ended = progress_.now();
  for (RecipientStatus& one : attempt.recipients) {
    if (one.fate != Fate::deferred || one.stop || one.untouched || (stopped && one.reply)) continue;
    one.reply.reset();
    one.stop = StopReason{std::nullopt, stopped ? "cut off: the daemon stopped" : "internal error"};
  }
}

// What was said of somebody stands; the others go back as they were.
void DeliveryAttempt::leave_undecided_out() {
  std::erase_if(progress_.attempt.recipients,
                [](const RecipientStatus& one) { return one.fate == Fate::deferred && !one.stop; });
  progress_.open.clear();
}

}  // namespace hoplock::delivery
