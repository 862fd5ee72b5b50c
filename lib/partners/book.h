// SPDX-License-Identifier: Apache-2.0
// All entries by domain, for look-ups that mail waits for: by name, whatever their number. A copy shares what it does not change, so that
// one entry more costs no more among 100,000. Pure; one thread.
#pragma once
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "partners/entry.h"

namespace hoplock::partners {

using EntryPtr = std::shared_ptr<const Entry>;

// What counts for one domain: of each rule the entry of the domain itself, else that of the nearest domain above it whose subdomains have
// one. Null: none.
struct Terms {
  EntryPtr mandate;
  EntryPtr dane;     // exceptions
  EntryPtr mta_sts;  // likewise
  bool any() const { return mandate || dane || mta_sts; }
};
// why() of each, joined.
std::string why(const Terms& terms);

// Whether entries of one of these may count for mail to the domain; "*" is for all.
using Patterns = std::set<dns::Pattern>;
bool is_among(const Patterns& patterns, const dns::Name& domain);

class Book {
 public:
  Book();

  Terms find(const dns::Name& domain, Time now) const;
  // That one entry, over or not.
  EntryPtr at(const dns::Pattern& domain, Rule rule) const;
  // In place of the entry of that rule of the domain, if there is one.
  void put(Entry entry);
  void remove(const dns::Pattern& domain, Rule rule);

  std::size_t size() const { return size_; }
  // When the next of all ends, of those that count at `after`.
  std::optional<Time> next_end(Time after) const;
  // Whoever has the last copy of many entries lets go of them a part at a time: false: nothing is left. It is of no use for anything else
  // from the first call on.
  bool shed();
  // In no order.
  void each(const std::function<void(const EntryPtr&)>& call) const;

 private:
  struct Key {
    dns::Pattern domain;
    Rule rule = Rule::mandate;
    auto operator<=>(const Key&) const = default;
  };
  using Shard = std::map<Key, EntryPtr>;
  static std::size_t place_of(const dns::Name& name);
  Shard& own(std::size_t place);
  EntryPtr counting(const Key& key, Time now) const;
  EntryPtr find(const dns::Name& domain, Rule rule, Time now) const;
  void count(const Entry& entry, int by);

  std::vector<std::shared_ptr<Shard>> shards_;
  std::map<Day, std::size_t> ends_;  // how many entries each day is the last of
  std::size_t size_ = 0;
  std::size_t patterns_ = 0;  // entries for subdomains
};
using BookPtr = std::shared_ptr<const Book>;

}  // namespace hoplock::partners
