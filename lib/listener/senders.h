// SPDX-License-Identifier: Apache-2.0
// How much each envelope sender sent of late, against `senders_limit`: a guard against a mailbox that somebody else sends from. A
// period begins with its first message. Counts what is asked for, so that no two sessions together get more; bounded in memory.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "listener/options.h"
#include "net/condition.h"

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
  class Message;
  std::unique_ptr<Message> begin(const std::string& sender) { return std::make_unique<Message>(*this, key_of(sender)); }
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
  static std::string key_of(const std::string& sender);
  bool is_off() const { return !limit_.messages && !limit_.recipients; }
  Sender& find(const std::string& key, net::SteadyTime now);
  void make_room(net::SteadyTime now);
  static bool is_full(Window& window, const std::optional<Rate>& rate, net::SteadyTime now);
  static Verdict refuse(Window& window, Over over);

  SendersLimit limit_;
  std::map<std::string, Sender> senders_;
};

// What one message on its way takes of its sender's share. Unless it is kept, everything goes back when this ends: after RSET, a lost
// connection or a refusal nothing was sent. Lives within the Senders that began it.
class Senders::Message {
 public:
  Message(Senders& senders, std::string key) : senders_(senders), key_(std::move(key)) {}
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;
  ~Message();

  // One recipient more; counted unless it is over.
  Verdict add_recipient(net::SteadyTime now);
  // It is on stable storage.
  void keep() { messages_ = recipients_ = Taken{}; }

 private:
  struct Taken {
    net::SteadyTime since{};  // of the period that it was taken from
    std::uint64_t amount = 0;
  };
  static void take(Window& window, Taken& taken);
  static void give_back(Window& window, const Taken& taken);

  Senders& senders_;
  std::string key_;
  Taken messages_, recipients_;
};

}  // namespace hoplock::listener
