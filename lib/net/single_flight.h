// SPDX-License-Identifier: Apache-2.0
// What several ask for at the same time is found out once: the first one works, the others wait. Of one loop, as Condition is. Keeps
// nothing: what was found lives as long as somebody who waited for it.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "net/condition.h"

namespace hoplock::net {

template <class Key, class Found>
class SingleFlight {
 public:
  class InFlight {
   public:
    // Until it has come to its end. REQUIRES: the caller holds it meanwhile.
    boost::asio::awaitable<void> wait() { return done_.wait(); }
    // Nothing: whoever was at it was cut off, and who still wants to know asks anew.
    const std::optional<Found>& found() const { return found_; }

   private:
    friend SingleFlight;
    Condition done_;
    std::optional<Found> found_;
  };

  // Who works at it now; null: nobody.
  std::shared_ptr<InFlight> find(const Key& key) const {
    const auto at = flights_.find(key);
    return at == flights_.end() ? nullptr : at->second;
  }

  // Held while one works for all; its end, however it comes, wakes them.
  class Work {
   public:
    // REQUIRES: nobody is at it; `flights` outlives this.
    Work(SingleFlight& flights, Key key)
        : flights_(flights), at_(flights.flights_.emplace(std::move(key), std::make_shared<InFlight>()).first) {}
    ~Work() {
      const auto flight = std::move(at_->second);
      flights_.flights_.erase(at_);
      flight->done_.notify_all();
    }
    Work(const Work&) = delete;
    Work& operator=(const Work&) = delete;
    void done(Found found) { at_->second->found_ = std::move(found); }

   private:
    SingleFlight& flights_;
    typename std::map<Key, std::shared_ptr<InFlight>>::iterator at_;
  };

 private:
  std::map<Key, std::shared_ptr<InFlight>> flights_;
};

}  // namespace hoplock::net
