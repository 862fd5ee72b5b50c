// SPDX-License-Identifier: Apache-2.0
#include "queue/waking.h"

#include <algorithm>
#include <array>
#include <utility>

#include "queue/message.h"

namespace hoplock::queue {
namespace {

// Why it may wait that has nothing to do with a rule; '' before any attempt.
constexpr std::array<std::string_view, 5> no_rule{"", "smtp-reply", "connect-timeout", "connect-refused",
                                                  "connection-lost"};
bool waits_for_rule(const Waits& waits) {
  return std::find(no_rule.begin(), no_rule.end(), waits.reason) == no_rule.end();
}

// The next domain, in the order of ids, which what comes due meanwhile does not move.
struct NextDomain {
  std::int64_t id = 0;    // 0: there is none
  bool is_there = false;  // else the slice was over before
};
NextDomain next_domain(disk::Tx& tx, std::int64_t after, std::int64_t destination, const Slice& slice) {
  NextDomain next;
  auto rows = tx.prepare("SELECT id, destination FROM domain NOT INDEXED WHERE id > ?1 ORDER BY id");
  for (rows.bind(after); rows.step();) {
    next = {rows.integer(0), rows.integer(1) == destination};
    if (next.is_there || slice.over()) return next;
  }
  return {};
}

}  // namespace

Waking Waking::from(std::string destination, std::int64_t now) {
  return {std::move(destination), WaitingAt::before_all(now)};
}

std::optional<Waking> wake_some(disk::Tx& tx, Places& places, Waking from) {
  const Slice slice;
  const auto destination = places.find_destination(tx, from.destination);
  if (!destination) return {};
  do {
    if (from.at.is_through()) {
      const NextDomain next = next_domain(tx, from.at.domain, *destination, slice);
      if (next.id == 0) return {};
      from.at.domain = next.id;
      if (!next.is_there) return from;
      from.at.begin(static_cast<std::int64_t>(State::deferred));
    }
    if (from.at.bring_forward(tx, places, slice, waits_for_rule)) from.at.end();
  } while (!slice.over());
  return from;
}

}  // namespace hoplock::queue
