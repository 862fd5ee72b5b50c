// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/places.h"

#include "store_sqlite/marks.h"
#include "store_sqlite/slice.h"

namespace hoplock::store_sqlite {
namespace {

constexpr std::size_t most_remembered = 20'000;
constexpr std::int64_t hastened_at_once = 16;        // recipients, each a page of its own
constexpr std::string_view hasten_mark = "hasten:";  // with the number of a domain; its value: due when
constexpr std::string_view behind_hasten_marks = "hasten;";

}  // namespace

void Places::forget() {
  places_.clear();
  backoffs_.clear();
  alive_.clear();
}

std::int64_t Places::alive_from(Id id) const {
  const auto known = alive_.find(id);
  return known == alive_.end() ? id.value << 15 : known->second;
}

void Places::note_alive(Id id, std::int64_t key) {
  if (key - alive_from(id) < 32) return;  // not worth it
  if (alive_.size() >= most_remembered) alive_.clear();
  alive_[id] = key;
}

std::optional<Place> Places::read(disk::Tx& tx, const std::string& domain) {
  auto row = tx.prepare(
      "SELECT d.id, d.destination, d.due, t.name FROM domain d JOIN destination t ON t.id = d.destination WHERE d.name "
      "= ?1");
  row.bind(domain);
  if (!row.step()) return {};
  Place place;
  place.domain = row.integer(0);
  place.destination = row.integer(1);
  place.due = row.null(2) ? never : row.integer(2);
  place.destination_name = row.text(3);
  return place;
}

std::optional<std::int64_t> Places::find_destination(disk::Tx& tx, const std::string& name) {
  auto row = tx.prepare("SELECT id FROM destination WHERE name = ?1");
  row.bind(name);
  if (!row.step()) return {};
  return row.integer(0);
}

std::int64_t Places::destination(disk::Tx& tx, const std::string& name) {
  if (const auto found = find_destination(tx, name)) return *found;
  auto insert = tx.prepare("INSERT INTO destination (name) VALUES (?1) RETURNING id");
  insert.bind(name).step();
  const auto id = insert.integer(0);
  backoffs_.erase(id);
  return id;
}

Places::Added Places::add(disk::Tx& tx, const std::string& domain, const std::string& destination_name,
                          std::int64_t due) {
  Added added;
  auto found = places_.find(domain);
  if (found == places_.end()) {
    if (places_.size() >= most_remembered) forget();
    auto place = read(tx, domain);
    if (!place) {
      place.emplace();
      place->destination = destination(tx, destination_name);
      place->destination_name = destination_name;
      auto insert = tx.prepare("INSERT INTO domain (name, destination) VALUES (?1, ?2) RETURNING id");
      insert.bind(domain, place->destination).step();
      place->domain = insert.integer(0);
    }
    found = places_.emplace(domain, std::move(*place)).first;
  }
  Place& place = found->second;
  if (place.destination_name != destination_name) {
    place.destination = destination(tx, destination_name);
    place.destination_name = destination_name;
    tx.prepare("UPDATE domain SET destination = ?2 WHERE id = ?1").bind(place.domain, place.destination).run();
    hasten_moved(tx, place.domain, due);  // what waited for the old one
    place.due = never;                    // the bound of the new destination is to be lowered too
  }
  if (due < place.due) {
    {
      auto row = tx.prepare("SELECT due IS NULL FROM destination WHERE id = ?1");
      added.alone = row.bind(place.destination).step() && row.integer(0) != 0;
    }
    tx.prepare("UPDATE domain SET due = ?2 WHERE id = ?1 AND (due > ?2 OR due IS NULL)").bind(place.domain, due).run();
    tx.prepare("UPDATE destination SET due = ?2 WHERE id = ?1 AND (due > ?2 OR due IS NULL)")
        .bind(place.destination, due)
        .run();
    place.due = due;
  }
  added.place = place;
  return added;
}

void Places::lower(disk::Tx& tx, std::int64_t domain, std::int64_t due) {
  tx.prepare("UPDATE domain SET due = ?2 WHERE id = ?1 AND (due > ?2 OR due IS NULL)").bind(domain, due).run();
  if (tx.changes() == 0) return;  // then the destination's is no later either
  tx.prepare(
        "UPDATE destination SET due = ?2 WHERE id = (SELECT destination FROM domain WHERE id = ?1) AND (due > ?2 OR "
        "due IS NULL)")
      .bind(domain, due)
      .run();
}

disk::More Places::hasten(disk::Tx& tx, std::int64_t domain, std::int64_t now) {
  tx.prepare(
        "UPDATE recipient SET due = ?2 WHERE id IN (SELECT id FROM recipient WHERE domain = ?1 AND state = ?3 AND due "
        "> "
        "?2 ORDER BY due LIMIT ?4)")
      .bind(domain, now, State::deferred, hastened_at_once)
      .run();
  const auto hastened = tx.changes();
  if (hastened > 0) lower(tx, domain, now);
  return hastened < hastened_at_once ? disk::More::no : disk::More::yes;
}

void Places::hasten_moved(disk::Tx& tx, std::int64_t domain, std::int64_t now) {
  if (hasten(tx, domain, now) == disk::More::no) return;
  set_mark(tx, std::string(hasten_mark) + std::to_string(domain), now);
}

disk::More Places::hasten_rest(disk::Tx& tx) {
  const Slice slice;
  do {
    std::string name;
    std::int64_t now = 0;
    {
      auto row = tx.prepare("SELECT name, value FROM mark WHERE name >= ?1 AND name < ?2 LIMIT 1");
      if (!row.bind(hasten_mark, behind_hasten_marks).step()) return disk::More::no;
      name = row.text(0);
      now = row.integer(1);
    }
    const auto domain = std::strtoll(name.c_str() + hasten_mark.size(), nullptr, 10);
    if (hasten(tx, domain, now) == disk::More::no) drop_mark(tx, name);
  } while (!slice.over());
  return disk::More::yes;
}

std::int64_t Places::earliest(disk::Tx& tx, std::int64_t domain, std::int64_t after) {
  std::int64_t due = never;
  for (const State state : {State::queued, State::deferred}) {
    auto row =
        tx.prepare("SELECT due FROM recipient WHERE domain = ?1 AND state = ?2 AND due > ?3 ORDER BY due LIMIT 1");
    if (row.bind(domain, state, after).step()) due = std::min(due, row.integer(0));
  }
  return due;
}

void Places::tidy(disk::Tx& tx, std::int64_t domain) {
  std::string name;
  {
    auto row = tx.prepare("SELECT name FROM domain WHERE id = ?1");
    if (!row.bind(domain).step()) return;
    name = row.text(0);
  }
  const auto due = earliest(tx, domain, std::numeric_limits<std::int64_t>::min());
  places_.erase(name);
  if (due != never) {
    tx.prepare("UPDATE domain SET due = ?2 WHERE id = ?1 AND due IS NOT ?2").bind(domain, due).run();
    return;
  }
  const bool used = tx.prepare("SELECT 1 FROM recipient WHERE domain = ?1 LIMIT 1").bind(domain).step();
  if (used)
    tx.prepare("UPDATE domain SET due = NULL WHERE id = ?1").bind(domain).run();
  else
    tx.prepare("DELETE FROM domain WHERE id = ?1").bind(domain).run();
}

void Places::tidy_destination(disk::Tx& tx, std::int64_t destination) {
  tx.prepare(
        "UPDATE destination SET due = (SELECT min(due) FROM domain WHERE destination = ?1 AND due IS NOT NULL) WHERE "
        "id = ?1")
      .bind(destination)
      .run();
  tx.prepare(
        "DELETE FROM destination WHERE id = ?1 AND failures = 0 AND due IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM domain WHERE destination = ?1)")
      .bind(destination)
      .run();
  if (tx.changes() > 0) backoffs_.erase(destination);
}

std::optional<Backoff> Places::backoff(disk::Tx& tx, std::int64_t destination) {
  if (const auto found = backoffs_.find(destination); found != backoffs_.end()) return found->second;
  if (backoffs_.size() >= most_remembered) backoffs_.clear();
  auto row =
      tx.prepare("SELECT hold, failures, interval, last, status, reply, reason, host FROM destination WHERE id = ?1");
  std::optional<Backoff> backoff;
  if (row.bind(destination).step() && row.integer(1) > 0) {
    backoff.emplace();
    backoff->until = from_millis(row.integer(0));
    backoff->failures = static_cast<std::uint32_t>(row.integer(1));
    backoff->interval = Milliseconds(row.integer(2));
    backoff->last = from_millis(row.integer(3));
    backoff->status = row.text(4);
    backoff->reply = row.text(5);
    backoff->reason = row.text(6);
    backoff->host = row.text(7);
  }
  backoffs_[destination] = backoff;
  return backoff;
}

constexpr std::int64_t most_destinations = 500;  // of a look at some

std::vector<Held> holds_after(disk::Tx& tx, const std::string& name, Time now) {
  std::vector<Held> holds;
  auto row = tx.prepare("SELECT name, reply FROM destination WHERE name > ?1 AND hold > ?2 ORDER BY name LIMIT ?3");
  for (row.bind(name, to_millis(now), most_destinations); row.step();)
    holds.push_back(Held{std::string(row.text(0)), std::string(row.text(1))});
  return holds;
}

std::vector<Waiting> waiting_after(disk::Tx& tx, const std::string& name, Time now) {
  std::vector<Waiting> waiting;
  auto row = tx.prepare(
      "SELECT name, hold > ?2, reason FROM destination WHERE name > ?1 AND due IS NOT NULL ORDER BY name LIMIT ?3");
  for (row.bind(name, to_millis(now), most_destinations); row.step();)
    waiting.push_back({std::string(row.text(0)), row.integer(1) != 0, std::string(row.text(2))});
  return waiting;
}

void Places::set_backoff(disk::Tx& tx, const DestinationChange& change) {
  const Backoff& b = change.backoff ? *change.backoff : Backoff{};
  if (!change.backoff) {
    const auto id = find_destination(tx, change.destination);
    if (!id || !backoff(tx, *id)) return;
  }
  const auto id = destination(tx, change.destination);
  tx.prepare(
        "UPDATE destination SET hold = ?2, failures = ?3, interval = ?4, last = ?5, status = ?6, reply = ?7, reason = "
        "?8, host = ?9"
        " WHERE id = ?1")
      .bind(id, change.backoff ? to_millis(b.until) : 0, change.backoff ? std::max<std::uint32_t>(b.failures, 1) : 0,
            b.interval.count(), change.backoff ? to_millis(b.last) : 0, b.status, b.reply, b.reason, b.host)
      .run();
  backoffs_.erase(id);
}

}  // namespace hoplock::store_sqlite
