// SPDX-License-Identifier: Apache-2.0
#include "reports/sender.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "reports/returned.h"
#include "reports/sender_impl.h"

namespace hoplock::reports {

using boost::asio::awaitable;
using disk::Durability;
using Steady = std::chrono::steady_clock;

namespace {

constexpr std::size_t page = 500;                                             // accounts of one look
constexpr std::size_t prune_page = 50;                                        // each may have many rows
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
  if (options) impl_->keep = options->keep;
  impl_->pruned.reset();
  impl_->options = std::move(options);
  impl_->keyring = std::move(keyring);
  impl_->kicked = true;
  impl_->changed.notify_all();
}

awaitable<void> Sender::run() { return Impl::run(impl_); }
awaitable<std::optional<Time>> Sender::round(Time now) { return Impl::round(impl_, now); }
awaitable<Result<Sender::SendNowResult>> Sender::send_now(Selection which, Time now) {
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
  auto job = [now, limit](disk::Tx& tx) -> Result<Due> { return due(tx, now, limit); };
  auto found = co_await self->parts.disk.run(Durability::read, std::move(job));
  if (!found) {
    self->disk_failed(found.error());
    co_return looked;
  }
  looked.next = found->next;
  for (Key& key : found->keys) {
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
    std::vector<Milliseconds> delays;
    const auto spread = static_cast<double>(self->options->spread.count());
    for (std::size_t i = 0; i < page; ++i) delays.emplace_back(static_cast<std::int64_t>(self->fraction() * spread));
    const Time latest = now + self->options->send_at + self->options->spread + self->options->patience;
    auto job = [now, latest, today = tlsrpt::day_of(now), send_at = self->options->send_at,
                delays = std::move(delays)](disk::Tx& tx) -> Result<std::size_t> {
      rebase(tx, now, latest);
      const auto keys = unplanned(tx, today, delays.size());
      for (std::size_t i = 0; i < keys.size(); ++i) {
        const Time begin = tlsrpt::begin_of(keys[i].day + std::chrono::days{1});
        reports::plan(tx, keys[i], std::max(now, begin + send_at + delays[i]));
      }
      return keys.size();
    };
    const auto planned = co_await self->parts.disk.run(Durability::relaxed, std::move(job));
    if (!planned) self->disk_failed(planned.error());
    if (!planned || *planned < page) co_return;
  }
}

// What is still to be sent stays until it is, however long the daemon was down or the clock was wrong.
awaitable<void> Sender::Impl::prune(Self self, Time now) {
  const tlsrpt::Day today = tlsrpt::day_of(now);
  if (self->pruned == today) co_return;
  const tlsrpt::Day before = today - self->keep;
  const Prune which = self->options ? Prune::ended : Prune::all;
  for (bool more = true; more;) {
    auto job = [before, which, today](disk::Tx& tx) -> Result<bool> {
      forget_quota(tx, today);
      return reports::prune(tx, before, which, prune_page);
    };
    const auto pruned = co_await self->parts.disk.run(Durability::relaxed, std::move(job));
    if (!pruned) co_return self->disk_failed(pruned.error());
    more = *pruned;
  }
  self->pruned = today;
}

awaitable<Result<Sender::SendNowResult>> Sender::Impl::send_now(Self self, Selection which, Time now) {
  if (!self->options) co_return fail(errc::operation_not_permitted, "tls_rpt.enabled is false: no reports are sent");
  SendNowResult all;
  which.limit = page;
  for (;;) {
    auto job = [which, now](disk::Tx& tx) -> Result<std::pair<SendNowResult, std::optional<Key>>> {
      std::pair<SendNowResult, std::optional<Key>> done;
      for (const Account& account : list(tx, which)) {
        ++done.first.found;
        if (reports::send_now(tx, account.key, now)) ++done.first.sending;
        done.second = account.key;
      }
      return done;
    };
    auto done = co_await self->parts.disk.run(Durability::durable, std::move(job));
    if (!done) co_return done.error();
    all.found += done->first.found;
    all.sending += done->first.sending;
    if (done->first.found < page) break;
    which.after = done->second;
  }
  self->kicked = true;
  self->changed.notify_all();
  co_return all;
}

awaitable<void> Sender::Impl::take_bounce(Self self, std::string content) {
  const auto bounce = tlsrpt::parse_bounce(content);
  if (!bounce) co_return;
  auto job = [bounce = *bounce](disk::Tx& tx) -> Result<std::optional<Returned>> {
    return reports::take_bounce(tx, bounce);
  };
  const auto returned = co_await self->parts.disk.run(Durability::durable, std::move(job));
  if (!returned) co_return self->disk_failed(returned.error());
  if (!*returned) co_return;
  const auto mail = mail_of(bounce->message_id);
  self->parts.log.write(event_of(**returned, bounce->why, mail ? mail->text() : std::string()));
  self->parts.log.count(counted::Report{"failed"});
}

}  // namespace hoplock::reports
