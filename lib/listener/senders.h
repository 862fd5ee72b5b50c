// SPDX-License-Identifier: Apache-2.0
// How much each envelope sender sent of late, against `senders_limit`: a guard against a mailbox that somebody else sends from. A
// period begins with its first message. Counts what is asked for, so that no two sessions together get more; bounded in memory.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "listener/options.h"
#include "net/signal.h"

namespace hoplock::listener {

class Senders {
 public:
  static constexpr std::size_t most = 20000;  // counted at once

  enum class Over : std::uint8_t { no, messages, recipients };
  struct Verdict {
    Over over = Over::no;
    bool first = false;  // of this sender in this period: somebody should know
  };

  void set(SendersLimit limit) { limit_ = limit; }
  const SendersLimit& limit() const { return limit_; }
  // Another message; counts nothing.
  Verdict at_sender(const std::string& sender, net::SteadyTime now);
  // One recipient more, the first of a message or a further one; counted unless it is over.
  enum class Which : std::uint8_t { first, further };
  Verdict at_recipient(const std::string& sender, Which which, net::SteadyTime now);
  // A message that was refused after all.
  void give_back(const std::string& sender, std::size_t recipients);
  std::size_t size() const { return senders_.size(); }

 private:
  struct Window {
    net::SteadyTime since{};
    std::uint64_t used = 0;
    bool told = false;
  };
  struct Sender {
    Window messages;
    Window recipients;
  };
  bool is_off() const { return !limit_.messages && !limit_.recipients; }
  Sender& find(const std::string& sender, net::SteadyTime now);
  void make_room(net::SteadyTime now);
  static bool is_full(Window& window, const std::optional<Rate>& rate, net::SteadyTime now);
  static Verdict refuse(Window& window, Over over);

  SendersLimit limit_;
  std::map<std::string, Sender> senders_;
};

}  // namespace hoplock::listener
