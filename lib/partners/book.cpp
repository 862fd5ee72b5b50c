// SPDX-License-Identifier: Apache-2.0
#include "partners/book.h"

#include <algorithm>
#include <utility>

namespace hoplock::partners {

namespace {

constexpr std::size_t shard_count = 512;
constexpr std::size_t shed_at_once = 8;  // shards

}  // namespace

std::string why(const Terms& terms) {
  std::string text;
  for (const EntryPtr& one : {terms.mandate, terms.dane, terms.mta_sts}) {
    if (one) text += (text.empty() ? "" : "; ") + why(*one);
  }
  return text;
}

bool is_among(const Patterns& patterns, const dns::Name& domain) {
  if (patterns.contains(dns::Pattern{}) || patterns.contains({dns::Pattern::Kind::exact, domain})) return true;
  for (dns::Name above = domain.parent(); !above.is_root(); above = above.parent()) {
    if (patterns.contains({dns::Pattern::Kind::subdomains, above})) return true;
  }
  return false;
}

Book::Book() : shards_(shard_count) {}

std::size_t Book::place_of(const dns::Name& name) { return std::hash<dns::Name>{}(name) % shard_count; }

// Nobody else sees what is written to it.
Book::Shard& Book::own(std::size_t place) {
  auto& shard = shards_[place];
  if (!shard) {
    shard = std::make_shared<Shard>();
  } else if (shard.use_count() > 1) {
    shard = std::make_shared<Shard>(*shard);
  }
  return *shard;
}

EntryPtr Book::at(const dns::Pattern& domain, Rule rule) const {
  const auto& shard = shards_[place_of(domain.name)];
  if (!shard) return nullptr;
  const auto found = shard->find(Key{domain, rule});
  return found == shard->end() ? nullptr : found->second;
}

EntryPtr Book::counting(const Key& key, Time now) const {
  EntryPtr entry = at(key.domain, key.rule);
  return entry && !is_over(*entry, now) ? entry : nullptr;
}

EntryPtr Book::find(const dns::Name& domain, Rule rule, Time now) const {
  if (auto entry = counting({{dns::Pattern::Kind::exact, domain}, rule}, now)) return entry;
  if (patterns_ == 0) return nullptr;
  for (dns::Name above = domain.parent(); !above.is_root(); above = above.parent()) {
    if (auto entry = counting({{dns::Pattern::Kind::subdomains, above}, rule}, now)) return entry;
  }
  return nullptr;
}

Terms Book::find(const dns::Name& domain, Time now) const {
  if (size_ == 0) return {};
  return {find(domain, Rule::mandate, now), find(domain, Rule::dane, now), find(domain, Rule::mta_sts, now)};
}

void Book::count(const Entry& entry, int by) {
  const auto add = [by](std::size_t& number) { by > 0 ? ++number : --number; };
  add(size_);
  if (entry.domain.kind == dns::Pattern::Kind::subdomains) add(patterns_);
  if (!entry.until) return;
  auto& day = ends_[*entry.until];
  add(day);
  if (day == 0) ends_.erase(*entry.until);
}

void Book::put(Entry entry) {
  Shard& shard = own(place_of(entry.domain.name));
  EntryPtr& place = shard[Key{entry.domain, entry.rule}];
  if (place) count(*place, -1);
  count(entry, 1);
  place = std::make_shared<const Entry>(std::move(entry));
}

void Book::remove(const dns::Pattern& domain, Rule rule) {
  const EntryPtr there = at(domain, rule);
  if (!there) return;
  count(*there, -1);
  own(place_of(domain.name)).erase(Key{domain, rule});
}

std::optional<Time> Book::next_end(Time after) const {
  // A day that is the last of some ends with it: that of `after` too.
  const auto next = ends_.lower_bound(std::chrono::floor<std::chrono::days>(after));
  if (next == ends_.end()) return std::nullopt;
  return Time{next->first + std::chrono::days(1)};
}

bool Book::shed() {
  shards_.resize(shards_.size() - std::min(shards_.size(), shed_at_once));
  return !shards_.empty();
}

void Book::each(const std::function<void(const EntryPtr&)>& call) const {
  for (const auto& shard : shards_) {
    if (!shard) continue;
    for (const auto& [key, entry] : *shard) call(entry);
  }
}

}  // namespace hoplock::partners
