// SPDX-License-Identifier: Apache-2.0
// Messages whose commit or end has not come back to the loop yet, or came back while a lease was on its way: what such a lease brings of them
// is out of date, whichever of the connections was faster.
#pragma once
#include <algorithm>
#include <cstdint>
#include <deque>
#include <unordered_map>
#include <utility>
#include <vector>

#include "store/id.h"

namespace hoplock::store_postgres {

using store::Id;

class Passing {
 public:
  // A commit, as long as it lives.
  class Commit {
   public:
    Commit(Passing& passing, Id id) : passing_(passing), id_(id) { ++passing_.commits_[id_]; }
    Commit(const Commit&) = delete;
    Commit& operator=(const Commit&) = delete;
    ~Commit() {
      if (const auto at = passing_.commits_.find(id_); --at->second == 0) passing_.commits_.erase(at);
      passing_.passed(id_);
    }

   private:
    Passing& passing_;
    Id id_;
  };
  // A look at what can be leased, as long as it lives.
  class Look {
   public:
    explicit Look(Passing& passing) : passing_(passing), begun_(passing.count_) { ++passing_.looks_; }
    Look(const Look&) = delete;
    Look& operator=(const Look&) = delete;
    ~Look() {
      if (--passing_.looks_ == 0) passing_.past_.clear();
    }
    // What it found of that message may be old.
    bool outdated(Id id) const {
      if (passing_.commits_.contains(id)) return true;
      return std::any_of(passing_.past_.begin(), passing_.past_.end(),
                         [&](const auto& one) { return one.first >= begun_ && one.second == id; });
    }

   private:
    Passing& passing_;
    std::uint64_t begun_;
  };

  // A lease came to its end.
  void passed(Id id) {
    if (looks_ > 0) past_.emplace_back(count_, id);
    ++count_;
  }
  std::vector<Id> commits() const {
    std::vector<Id> ids;
    for (const auto& [id, times] : commits_) ids.push_back(id);
    return ids;
  }

 private:
  std::unordered_map<Id, int> commits_;
  std::deque<std::pair<std::uint64_t, Id>> past_;  // while there is a look
  std::uint64_t count_ = 0;
  int looks_ = 0;
};

}  // namespace hoplock::store_postgres
