// SPDX-License-Identifier: Apache-2.0
// Where an attempt ends, whatever a domain publishes (MX-26): its time, its connections, and its sessions. A host that never takes its
// mail has none of these, so that a large set is heard to its end. For this module's own sources.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>

#include "delivery/progress.h"

namespace hoplock::delivery {

class AttemptLimits {
 public:
  // REQUIRES: it outlives this.
  explicit AttemptLimits(Progress& progress);
  // Mail from another source has its turn, as in an attempt of its own.
  void begin_source();
  // Sooner once other mail waits.
  net::SteadyTime deadline();
  // `next` is left for the next attempt, or is worse than a host that is full: that one works, and is not gone around.
  bool is_enough(const route::Host& next);
  void note_full(const route::Host& host);
  void count_connection() { ++connections_; }
  std::size_t connections() const { return connections_; }
  // One that got a banner.
  void count_session() { ++sessions_; }
  bool had_session() const { return sessions_ > 0; }
  // The last session, and the connections since there were `before`, were a host's that never takes this mail.
  void count_out(std::size_t before);

 private:
  Progress& progress_;
  net::SteadyTime deadline_;
  std::size_t connections_ = 0;
  std::size_t sessions_ = 0;
  std::size_t closed_ = 0;                // connections that do not count
  std::optional<std::uint16_t> full_at_;  // the preference of a host that is full
};

}  // namespace hoplock::delivery
