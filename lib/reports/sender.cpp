// SPDX-License-Identifier: Apache-2.0
#include "reports/sender.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "reports/returned.h"
#include "reports/sender_impl.h"

namespace hoplock::reports {

using boost::asio::awaitable;
using Steady = std::chrono::steady_clock;

namespace {

constexpr std::size_t page = 500;                                             // accounts of one look
constexpr std::chrono::milliseconds longest_rest = std::chrono::seconds{10};  // the wall clock may be set meanwhile
constexpr std::chrono::milliseconds shortest_rest{200};
constexpr std::chrono::milliseconds rest_after_failure = std::chrono::seconds{10};

}  // namespace

Sender::Impl::Impl(Parts parts_, std::mt19937_64 random_)
    : parts(std::move(parts_)), random(random_), tasks(parts.executor, parts.log) {}

bool Sender::Impl::can_sign() const {
  return options && keyring && !keyring->for_domain(options->submitter.domain).empty();
}

void Sender::Impl::disk_failed(const Error& error) {
  parts.log.write(Event(Level::error, "tlsrpt").add("action", "failed").add("error", "the ledger: " + error.detail));
  parts.log.count(counted::Report{"failed"});
}

Sender::Sender(Parts parts, std::mt19937_64 random) : impl_(std::make_shared<Impl>(std::move(parts), random)) {}
Sender::~Sender() { stop(); }

void Sender::set(std::optional<SenderOptions> options, std::shared_ptr<const dkim::Keyring> keyring) {
  if (options) impl_->keep = std::chrono::ceil<std::chrono::days>(options->keep);
  impl_->pruned.reset();
  impl_->options = std::move(options);
  impl_->keyring = std::move(keyring);
  impl_->kicked = true;
  impl_->changed.notify_all();
}

awaitable<void> Sender::run() { return Impl::run(impl_); }
awaitable<std::optional<Time>> Sender::round(Time now) { return Impl::round(impl_, now); }
awaitable<Result<Sender::SendNowResult>> Sender::send_now(store::ReportSelection which, Time now) {
  return Impl::send_now(impl_, std::move(which), now);
}
awaitable<void> Sender::take_bounce(std::string content) { return Impl::take_bounce(impl_, std::move(content)); }
void Sender::stop() { impl_->tasks.stop(); }

awaitable<void> Sender::Impl::run(Self self) {
  for (;;) {
    self->kicked = false;
    self->unsaved.clear();
    const Time now = self->parts.clock();
    co_await plan(self, now);
    co_await prune(self, now);
    std::optional<Time> next;
    for (bool more = true; more;) {
      const Looked looked = co_await look(self, self->parts.clock());
      next = looked.next;
      more = looked.begun > 0;
    }
    std::chrono::milliseconds rest = longest_rest;
    if (next) rest = std::clamp<std::chrono::milliseconds>(*next - self->parts.clock(), shortest_rest, longest_rest);
    if (!self->unsaved.empty()) rest = rest_after_failure;
    const auto until = Steady::now() + rest;
    while (!self->kicked && Steady::now() < until) co_await self->changed.wait_until(until);
  }
}

awaitable<std::optional<Time>> Sender::Impl::round(Self self, Time now) {
  self->unsaved.clear();
  co_await plan(self, now);
  co_await prune(self, now);
  for (;;) {
    const Looked looked = co_await look(self, now);
    if (looked.begun > 0) continue;
    if (self->active.empty()) co_return looked.next;
    co_await self->changed.wait();
  }
}

// Begins jobs for what is due, as places become free.
awaitable<Sender::Impl::Looked> Sender::Impl::look(Self self, Time now) {
  Looked looked;
  if (!self->options) co_return looked;
  const std::size_t limit = self->active.size() + self->unsaved.size() + 4 * self->options->at_once;
  auto found = co_await self->parts.ledger.due(now, limit);
  if (!found) {
    self->disk_failed(found.error());
    co_return looked;
  }
  looked.next = found->next;
  for (store::ReportKey& key : found->keys) {
    while (self->options && self->active.size() >= self->options->at_once) co_await self->changed.wait();
    if (!self->options) co_return looked;  // switched off meanwhile
    if (self->active.contains(key) || self->unsaved.contains(key)) continue;
    auto report = std::make_shared<ReportJob>(self, std::move(key), now);
    self->tasks.spawn("tlsrpt", ReportJob::go(std::move(report)));
    ++looked.begun;
  }
  co_return looked;
}

// RPT-32: a time for each report of a day that is over, drawn once.
awaitable<void> Sender::Impl::plan(Self self, Time now) {
  for (;;) {
    if (!self->options) co_return;
    store::ReportPlan plan;
    plan.now = now;
    plan.latest = now + self->options->send_at + self->options->spread + self->options->patience;
    plan.send_at = self->options->send_at;
    const auto spread = static_cast<double>(self->options->spread.count());
    for (std::size_t i = 0; i < page; ++i)
      plan.delays.emplace_back(static_cast<std::int64_t>(self->fraction() * spread));
    const auto planned = co_await self->parts.ledger.plan(std::move(plan));
    if (!planned) self->disk_failed(planned.error());
    if (!planned || *planned < page) co_return;
  }
}

// What is still to be sent stays until it is, however long the daemon was down or the clock was wrong.
awaitable<void> Sender::Impl::prune(Self self, Time now) {
  const tlsrpt::Day today = tlsrpt::day_of(now);
  if (self->pruned == today) co_return;
  const tlsrpt::Day before = today - self->keep;
  const store::PruneReports which = self->options ? store::PruneReports::ended : store::PruneReports::all;
  for (bool more = true; more;) {
    const auto pruned = co_await self->parts.ledger.prune(before, which, today);
    if (!pruned) co_return self->disk_failed(pruned.error());
    more = *pruned == store::More::yes;
  }
  self->pruned = today;
}

awaitable<Result<Sender::SendNowResult>> Sender::Impl::send_now(Self self, store::ReportSelection which, Time now) {
  if (!self->options) co_return fail(errc::operation_not_permitted, "tls_rpt.enabled is false: no reports are sent");
  SendNowResult all;
  which.limit = page;
  for (;;) {
    const auto done = co_await self->parts.ledger.send_now(which, now);
    if (!done) co_return done.error();
    all.found += done->found;
    all.sending += done->sending;
    if (done->found < page) break;
    which.after = done->last;
  }
  self->kicked = true;
  self->changed.notify_all();
  co_return all;
}

awaitable<void> Sender::Impl::take_bounce(Self self, std::string content) {
  const auto bounce = tlsrpt::parse_bounce(content);
  if (!bounce) co_return;
  const auto mail = mail_of(bounce->message_id);
  if (!mail) co_return;
  const auto returned = co_await self->parts.ledger.take_bounce(*mail, *bounce);
  if (!returned) co_return self->disk_failed(returned.error());
  if (!*returned) co_return;
  self->parts.log.write(event_of(**returned, bounce->why, mail->text()));
  self->parts.log.count(counted::Report{"failed"});
}

}  // namespace hoplock::reports
