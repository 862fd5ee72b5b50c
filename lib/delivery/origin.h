// SPDX-License-Identifier: Apache-2.0
// Where mail comes from, as a receiver's judgement may mean it: one mailbox, one domain, or one client that hands mail in. An application
// may use a sender of its own for each message (VERP), and a domain may have one bad mailbox among many: what is told to all of one kind
// of origin, while there are others, says nothing of those. Does no I/O.
#pragma once
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "store/message.h"

namespace hoplock::delivery {

enum class By : std::uint8_t { sender, domain, client };
inline constexpr std::array<By, 3> all_origins{By::sender, By::domain, By::client};  // the narrowest first

// "bounce@app.example" of "bounce+ann=a.example@app.example"; the domain of the empty sender is "".
std::string origin_of(const store::Envelope& envelope, By by);

// Whether they are several: by hash, and no more than needed, for a site has thousands.
class Origins {
 public:
  void add(const store::Envelope& envelope);
  bool are_several(By by) const { return at(by).several; }
  bool is_nobody() const { return marks_.front().first == 0; }
  void clear() { *this = Origins(); }
  // All of one mailbox, domain or client, and `known` has others.
  bool are_confined(const Origins& known) const { return confined_to(known).has_value(); }
  // The narrowest of which that is so; nothing: of none.
  std::optional<By> confined_to(const Origins& known) const;
  bool has_others_than(const store::Envelope& envelope, By by) const;
  void join(const Origins& others);

 private:
  struct Mark {
    std::size_t first = 0;  // 0: nobody
    bool several = false;
    bool has_others_than(std::size_t mark) const { return several || (first != 0 && first != mark); }
  };
  static std::size_t mark_of(const store::Envelope& envelope, By by);
  const Mark& at(By by) const { return marks_[static_cast<std::size_t>(by)]; }
  std::array<Mark, all_origins.size()> marks_;
};

// Of the last ten to twenty minutes: who was there weeks ago is nobody else today.
class LateOrigins {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::minutes turn{10};
  void add(const store::Envelope& envelope, Clock::time_point now);
  Origins at(Clock::time_point now) const;
  void clear() { *this = LateOrigins(); }

 private:
  Origins late_, before_;
  Clock::time_point since_{};  // when late_ began
};

}  // namespace hoplock::delivery
