// SPDX-License-Identifier: Apache-2.0
// The inside of PolicyCache. Only for sts.cpp and sts_refresh.cpp.
#pragma once
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "net/condition.h"
#include "net/single_flight.h"
#include "route/cache.h"
#include "route/sts.h"

namespace hoplock::route {

class PolicyCache::Impl {
 public:
  using Self = std::shared_ptr<Impl>;
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  Impl(Parts parts, PolicyOptions options) : parts_(parts), options_(options) {}
  void reload(PolicyOptions options);

  static awaitable<PolicyTxt> find_txt(Self self, dns::Name domain);
  static awaitable<hop::StsFact> find(Self self, dns::Name domain, PolicyTxt txt);
  std::optional<hop::StsFact> known(const dns::Name& domain);
  static awaitable<PolicyEvent> refresh(Self self, dns::Name domain);
  static awaitable<void> maintain(Self self);

 private:
  // A domain's row with its policy parsed; the row itself has no text.
  struct Entry {
    store::PolicyRow row;
    mtasts::Policy policy;
    std::string text;  // verbatim
    std::string
        refused;  // what the last fetch brought instead, as served; exactly when the problem is sts_policy_invalid
  };
  using EntryPtr = std::shared_ptr<const Entry>;

  // What a fetch under this id came to.
  struct Brought {
    std::string id;
    EntryPtr entry;  // null: nothing
  };
  struct Fetched {
    PolicyEvent news;
    EntryPtr brought;
  };
  class Place;
  Time now() const { return parts_.clock(); }
  bool is_crowded() const;
  Seconds failing(const dns::Name& domain, const PolicyTxt& txt);

  enum class Cause : std::uint8_t { delivery, schedule, request };

  // --- sts.cpp: what deliveries ask
  static awaitable<EntryPtr> load(Self self, dns::Name domain);
  static bool is_live(const store::PolicyRow& row, Time at);
  bool is_doubtful(const Entry& entry) const;
  static hop::StsFact in_force(const Entry& entry);
  hop::StsFact fact_of(const Entry& entry, const PolicyTxt& txt) const;
  static PolicyEvent news_of(const Entry& entry);
  EntryPtr entry_of(dns::Name domain, store::KeptPolicy kept) const;
  EntryPtr settle(EntryPtr entry);
  void keep(const EntryPtr& entry);
  static awaitable<Fetched> fetch(Self self, dns::Name domain, std::string id, Cause cause);
  static awaitable<Fetched> succeed(Self self, EntryPtr before, std::string id, FetchedPolicy fetched, Cause cause);
  static awaitable<PolicyEvent> fail(Self self, EntryPtr before, std::string id, NoPolicy why);
  void tell(const PolicyEvent& news);

  // --- sts_refresh.cpp: what nobody asks
  static awaitable<PolicyEvent> refresh_now(Self self, dns::Name domain, Cause cause);
  static awaitable<void> rest(Self self, std::chrono::milliseconds pause);
  static awaitable<void> look_at(Self self, std::vector<dns::Name> domains);
  static awaitable<void> look_at_one(Self self, dns::Name domain);
  static awaitable<void> expire(Self self, EntryPtr before);
  static awaitable<void> forget(Self self, EntryPtr before);

  Time next_look(const store::PolicyRow& row) const;
  void note_due(Time due);

  static constexpr std::size_t capacity = 4096;

  Parts parts_;
  PolicyOptions options_;
  Cache<dns::Name, EntryPtr> entries_{capacity};
  Cache<dns::Name, std::shared_ptr<const PolicyTxt>> txts_{capacity};
  Cache<dns::Name, std::chrono::steady_clock::time_point> silent_since_{capacity};  // TXT look-ups that only fail
  net::SingleFlight<dns::Name, Brought> flights_;
  std::multiset<std::chrono::steady_clock::time_point> fetching_;  // for deliveries: when each began
  net::Condition place_free_;
  Time look_at_;  // when the background looks again
  net::Condition due_sooner_;
};

}  // namespace hoplock::route
