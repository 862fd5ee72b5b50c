// SPDX-License-Identifier: Apache-2.0
#include "route/partners.h"

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <string_view>
#include <utility>

#include "net/clock.h"

namespace hoplock::route {

namespace asio = boost::asio;
using asio::awaitable;
using partners::Book;
using partners::Entry;
using partners::Order;
using Part = store::PartnerStore::Part;

namespace {

constexpr std::size_t rows_at_once = 512;     // in one job
constexpr std::size_t entries_at_once = 512;  // on the loop
constexpr std::size_t puts_at_once = 32;      // likewise: each may copy its part of the book
constexpr Milliseconds partners_look_again{30'000};
constexpr std::uint64_t octets_of_any_row = 128;  // beside its texts
constexpr std::uint64_t times_written = 3;        // into the log, into the database, and when it is cleared behind
constexpr std::uint64_t mebibyte = 1 << 20;

// Others get their turn on the loop.
awaitable<void> breathe() {
  const auto executor = co_await asio::this_coro::executor;
  co_await asio::post(executor, asio::use_awaitable);
}

// What is many goes a few at a time, too.
template <class T>
awaitable<void> dismantle(std::vector<T> all) {
  while (!all.empty()) {
    all.erase(all.end() - static_cast<std::ptrdiff_t>(std::min(all.size(), entries_at_once)), all.end());
    co_await breathe();
  }
}

void add_entry(Event& event, const Entry& entry) {
  event.add("rule", std::string(kind_of(entry))).add("level", std::string(word_of(entry)));
  event.add("until", entry.until ? partners::to_text(*entry.until) : "").add("note", entry.note).add("by", entry.by);
}

Event event_of(const Entry& entry, std::string_view action) {
  Event event(action == "ended" ? Level::warn : Level::info, "partner");
  event.add("domain", dns::to_text(entry.domain)).add("action", std::string(action));
  add_entry(event, entry);
  return event;
}

std::string_view action_word(const Entry& entry, store::PartnerRow row) {
  if (row == store::PartnerRow::gone) return "removed";
  return entry.rule == partners::Rule::mandate ? "required" : "excepted";
}

// What counts in place of the entry until it comes.
partners::EntryPtr before(const Book& book, const Entry& entry, Time now) {
  if (entry.domain.kind == dns::Pattern::Kind::exact) {
    const partners::Terms terms = book.find(entry.domain.name, now);
    return entry.rule == partners::Rule::mandate ? terms.mandate
           : entry.rule == partners::Rule::dane  ? terms.dane
                                                 : terms.mta_sts;
  }
  const auto there = book.at(entry.domain, entry.rule);
  return there && !is_over(*there, now) ? there : nullptr;
}

constexpr std::array partner_rules{partners::Rule::mandate, partners::Rule::dane, partners::Rule::mta_sts};

}  // namespace

class Partners::Turn {
 public:
  explicit Turn(std::shared_ptr<Lock> lock) : lock_(std::move(lock)) { lock_->taken = true; }
  ~Turn() {
    lock_->taken = false;
    lock_->free.notify_one();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  std::shared_ptr<Lock> lock_;
};

void Partners::publish(std::shared_ptr<Book> book, std::vector<dns::Pattern> changed) {
  retired_.push_back(std::exchange(book_, std::move(book)));
  if (follow_) follow_(book_, std::move(changed));
  news_.notify_all();
}

// What was in force goes when nobody reads it any more, a part at a time: all 100,000 entries of it may have been changed.
awaitable<void> Partners::retire() {
  for (;;) {
    const auto unread = std::find_if(retired_.begin(), retired_.end(), [](auto& one) { return one.use_count() == 1; });
    if (unread == retired_.end()) co_return;
    const auto old = std::move(*unread);
    retired_.erase(unread);
    while (old->shed()) co_await breathe();
  }
}

awaitable<void> Partners::look_for_others() {
  while (lock_->taken) co_await lock_->free.wait();
  const Turn turn(lock_);
  co_await see_others();
}

awaitable<Result<partners::Done>> Partners::carry_out(std::vector<Order> orders, std::string by) {
  while (lock_->taken) co_await lock_->free.wait();
  const Turn turn(lock_);
  co_await see_others();
  const auto ordered = std::make_shared<std::vector<Order>>(std::move(orders));
  const auto planned = co_await plan(ordered, std::move(by));
  co_await dismantle(std::move(*ordered));
  Result<> stored;
  if (planned->done.refused.empty() && planned->done.changed > 0) {
    stored = has_room(*planned);
    if (stored) stored = co_await write(planned);
    if (stored) co_await take_up(planned);
    if (stored) co_await see_own();
    if (!stored) co_await clean();  // of what was written; where that fails, too, watch() does it later
  }
  co_await dismantle(std::move(planned->changes));
  co_await retire();
  if (!stored) co_return stored.error();
  co_return planned->done;
}

awaitable<std::shared_ptr<Partners::Plan>> Partners::plan(OrdersPtr orders, std::string by) {
  const auto made = std::make_shared<Plan>();
  Plan& to = *made;
  const Time now = clock_();
  to.changes.reserve(orders->size());
  for (std::size_t i = 0; i < orders->size(); ++i) {
    if (i % entries_at_once == entries_at_once - 1) co_await breathe();
    Order& order = (*orders)[i];
    if (order.what == Order::What::remove) {
      const auto note = partners::parse_note(order.entry.note);
      if (!note) {
        to.done.refused = note.error().detail;
        co_return made;
      }
      for (const partners::Rule rule : partner_rules) {
        const auto there = book_->at(order.entry.domain, rule);
        if (!there || (order.only && rule != *order.only)) continue;
        to.changes.push_back({*there, store::PartnerRow::gone, ""});
        to.changes.back().entry.by = by;
        if (!note->empty()) to.changes.back().entry.note = *note;
      }
      continue;
    }
    auto entry = partners::admitted(std::move(order.entry), now);
    if (!entry) {
      to.done.refused = entry.error().detail;
      co_return made;
    }
    to.done.until = entry->until;
    const auto there = book_->at(entry->domain, entry->rule);
    if (there && !is_over(*there, now) && says_the_same(*there, *entry)) {
      ++to.done.unchanged;
      continue;
    }
    const auto counted = before(*book_, *entry, now);
    to.done.before = counted ? why(*counted) : "";
    entry->by = by;
    entry->since = now;
    entry->told = false;
    to.changes.push_back({std::move(*entry), store::PartnerRow::there, counted ? std::string(word_of(*counted)) : ""});
  }
  to.done.changed = to.changes.size();
  for (const Change& one : to.changes)
    to.octets += octets_of_any_row + 2 * one.entry.domain.name.text().size() + one.entry.note.size();
  co_return made;
}

Result<> Partners::has_room(const Plan& plan) const {
  const std::uint64_t needed = plan.octets * times_written;
  const std::uint64_t free = kept_.free_bytes();
  if (plan.changes.size() <= rows_at_once || free >= min_free_space_ + needed) return {};
  const std::uint64_t left = free - std::min(free, min_free_space_);
  return fail(errc::no_space_on_device, std::to_string(needed / mebibyte + 1) + " MiB are needed for it, and " +
                                            std::to_string(left / mebibyte) +
                                            " MiB are free beyond limits.min_free_space");
}

// A batch that came to nothing must be gone before another one takes its number.
awaitable<Result<>> Partners::clean() {
  while (unclean_) {
    const auto more = co_await kept_.drop_uncommitted(rows_at_once);
    if (!more) co_return more.error();
    unclean_ = *more == store::More::yes;
  }
  co_return Result<>();
}

// Rows of a change that came to nothing, which a full disk did not let go: they count for nothing, and take room.
awaitable<void> Partners::tidy() {
  if (!unclean_) co_return;
  while (lock_->taken) co_await lock_->free.wait();
  const Turn turn(lock_);
  co_await clean();
}

awaitable<Result<>> Partners::write(PlanPtr plan) {
  const auto cleaned = co_await clean();
  if (!cleaned) co_return cleaned.error();
  unclean_ = true;
  const Changes& changes = plan->changes;
  for (std::size_t at = 0; at < changes.size();) {
    const std::size_t end = std::min(at + rows_at_once, changes.size());
    const bool last = end == changes.size();
    std::vector<store::PartnerChange> some;
    for (std::size_t i = at; i < end; ++i) some.push_back({changes[i].entry, changes[i].row});
    const auto done = co_await kept_.write(std::move(some), last ? Part::last : Part::some);
    if (!done) co_return done.error();
    at = end;
  }
  unclean_ = false;
  co_return Result<>();
}

// It counts from here on; what stood in its place is cleared away behind it.
awaitable<void> Partners::take_up(PlanPtr plan) {
  auto book = std::make_shared<Book>(*book_);
  std::vector<dns::Pattern> changed;
  changed.reserve(plan->changes.size());
  std::size_t n = 0;
  for (const auto& [entry, row, was] : plan->changes) {
    if (row == store::PartnerRow::gone) {
      book->remove(entry.domain, entry.rule);
    } else {
      book->put(entry);
    }
    changed.push_back(entry.domain);
    if (++n % puts_at_once == 0) co_await breathe();
  }
  publish(std::move(book), std::move(changed));
  for (const auto& [entry, row, was] : plan->changes) {
    Event event = event_of(entry, action_word(entry, row));
    event.add("was", was);
    log_.write(event);
    if (++n % entries_at_once == 0) co_await breathe();
  }
  co_await clear_behind(std::move(plan));
}

// The last part says that all was told.
awaitable<void> Partners::clear_behind(PlanPtr plan) {
  for (std::size_t at = 0; at < plan->changes.size();) {
    const std::size_t end = std::min(at + rows_at_once, plan->changes.size());
    const bool last = end == plan->changes.size();
    Entries some;
    for (std::size_t i = at; i < end; ++i) some.push_back(plan->changes[i].entry);
    const auto done = co_await kept_.drop_earlier(std::move(some), last ? Part::last : Part::some);
    if (!done) co_return;  // they count no more; they only take room
    at = end;
  }
}

// The daemon was killed when a change was stored and not yet told of: that is made up for.
awaitable<void> Partners::follow_up() {
  while (lock_->taken) co_await lock_->free.wait();
  const Turn turn(lock_);
  const auto batches = co_await kept_.batches();
  if (!batches || batches->followed >= batches->committed) co_return;
  const auto [followed, committed] = *batches;
  bool told = true;
  for (store::PartnerAt at;;) {
    const auto page = co_await kept_.changed_since(followed, at, rows_at_once);
    told = page.has_value();
    if (!told || page->empty()) break;
    for (const store::ChangedPartner& one : *page) log_.write(event_of(one.entry, action_word(one.entry, one.row)));
    at = page->back().at;
  }
  if (follow_) follow_(book_, {dns::Pattern{}});
  if (told) co_await kept_.mark_followed(committed);  // else it is at the next start
}

// Those that have ended and are not told of; and mandates that were, and count again, for the clock was set back. Marked as they are now.
awaitable<Partners::Entries> Partners::turned(Time at) const {
  Entries entries;
  std::vector<partners::EntryPtr> found;
  book_->each([&](const partners::EntryPtr& entry) {
    if (is_over(*entry, at) != entry->told) found.push_back(entry);
  });
  for (const partners::EntryPtr& entry : found) {
    entries.push_back(*entry);
    entries.back().told = !entry->told;
    if (entries.size() % entries_at_once == 0) co_await breathe();
  }
  co_return entries;
}

awaitable<void> Partners::count(std::shared_ptr<const Entries> entries) {
  auto book = std::make_shared<Book>(*book_);
  std::vector<dns::Pattern> changed;
  for (const Entry& entry : *entries) {
    changed.push_back(entry.domain);
    book->put(entry);
    if (changed.size() % puts_at_once == 0) co_await breathe();
  }
  publish(std::move(book), std::move(changed));
}

awaitable<void> Partners::tell_ended(Time at) {
  while (lock_->taken) co_await lock_->free.wait();
  const Turn turn(lock_);
  Entries found = co_await turned(at);
  const auto entries = std::make_shared<Entries>(std::move(found));
  if (entries->empty()) co_return;
  for (std::size_t from = 0; from < entries->size();) {
    const std::size_t end = std::min(from + rows_at_once, entries->size());
    for (std::size_t i = from; i < end; ++i) {
      const Entry& entry = (*entries)[i];
      log_.write(event_of(entry, entry.told ? "ended" : action_word(entry, store::PartnerRow::there)));
    }
    Entries some(entries->begin() + static_cast<std::ptrdiff_t>(from),
                 entries->begin() + static_cast<std::ptrdiff_t>(end));
    const auto done = co_await kept_.mark_told(std::move(some));
    if (!done) log_.write(Event(Level::error, "store-failed").add("error", "partners: " + done.error().detail));
    from = end;
  }
  co_await count(entries);
  co_await dismantle(std::move(*entries));
}

awaitable<void> Partners::tell_soon_over(Time at) {
  const auto today = std::chrono::floor<std::chrono::days>(at);
  std::vector<partners::EntryPtr> soon;
  book_->each([&](const partners::EntryPtr& entry) {
    const bool ends = entry->until && !is_over(*entry, at) && *entry->until - today < partners::last_days;
    if (ends) soon.push_back(entry);
  });
  std::size_t n = 0;
  for (const partners::EntryPtr& entry : soon) {
    Event event(Level::warn, "partner-ends");
    event.add("domain", dns::to_text(entry->domain));
    add_entry(event, *entry);
    event.add("days", std::int64_t{(*entry->until - today).count() + 1});
    log_.write(event);
    if (++n % entries_at_once == 0) co_await breathe();
  }
}

awaitable<void> Partners::watch() {
  co_await follow_up();
  std::optional<partners::Day> warned;
  for (;;) {
    co_await tidy();
    const auto others = kept_.look_again();
    if (others) co_await look_for_others();
    co_await retire();
    const Time at = clock_();
    const auto today = std::chrono::floor<std::chrono::days>(at);
    const auto passed = looked_ ? book_->next_end(*looked_) : std::nullopt;
    const bool due = !looked_ || at < *looked_ || (passed && *passed <= at);
    if (due) co_await tell_ended(at);
    looked_ = at;
    const bool told = std::exchange(warned, today) == today;
    if (!told) co_await tell_soon_over(at);
    const auto next = book_->next_end(at);
    const Milliseconds longest = std::min(others.value_or(partners_look_again), partners_look_again);
    const Milliseconds rest = next ? std::clamp(*next - at, Milliseconds(0), longest) : longest;
    co_await news_.wait_until(std::chrono::steady_clock::now() + rest);
  }
}

}  // namespace hoplock::route
