// SPDX-License-Identifier: Apache-2.0
// The order in which an attempt goes to the hosts of its destination: by preference, those that were tried in vain lately last, whoever
// told this message to come later behind the others, and the one that a session is open to first of its preference. Afterwards it keeps
// what the next attempt goes on behind. For this module's own sources.
#pragma once
#include <map>
#include <string>

#include "delivery/progress.h"

namespace hoplock::delivery {

class HostOrder {
 public:
  // REQUIRES: it outlives this.
  explicit HostOrder(Progress& progress) : progress_(progress) {}
  // Mail from progress.source has its turn.
  void begin_source();
  // Orders the hosts. REQUIRES: begin_source().
  void arrange();
  // No address counts as tried any more.
  void start_over();
  // Lately, and in vain.
  bool was_tried(const route::Host& host, const Ip& ip) const;

  // What became of it: nothing came of this address;
  void note_in_vain(const route::Host& host, const Ip& ip);
  // nor of any other one;
  void note_through(const route::Host& host);
  // it had its say: others of the set come first when the message is tried again;
  void note_heard(const route::Host& host);
  // it took mail.
  void note_good(const route::Host& host);

  // The attempt ended.
  void remember();

 private:
  void arrange_by_destination();
  void arrange_by_message();
  void prefer_open_session();
  std::string heard_key(const Source& source) const;
  void remember_heard();

  Progress& progress_;
  Rotation::Seen seen_;
  std::map<std::string, Rotation::Seen> heard_;  // by heard_key, of every source that had its turn
  std::string heard_at_;                         // of the one whose turn it is
};

}  // namespace hoplock::delivery
