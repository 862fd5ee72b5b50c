// SPDX-License-Identifier: Apache-2.0
// Where mail comes from, as a receiver's judgement may mean it: one mailbox, one domain, or one client that hands mail in. An application
// may use a sender of its own for each message (VERP), and a domain may have one bad mailbox among many: what is told to all of one kind
// of origin, while there are others, says nothing of those. Does no I/O.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "queue/message.h"

namespace hoplock::delivery {

enum class By : std::uint8_t { sender, domain, client };
inline constexpr std::array<By, 3> all_origins{By::sender, By::domain, By::client};  // the narrowest first

// "bounce@app.example" of "bounce+ann=a.example@app.example"; the domain of the empty sender is "".
std::string origin_of(const queue::Envelope& envelope, By by);

// Whether they are several: by hash, and no more than needed, for a site has thousands.
class Origins {
 public:
  void add(const queue::Envelope& envelope);
  bool are_several(By by) const { return marks_[static_cast<std::size_t>(by)].several; }
  void clear() { *this = Origins(); }
  // All of one mailbox, domain or client, though `known` has others.
  bool are_confined(const Origins& known) const;

 private:
  struct Mark {
    std::size_t first = 0;  // 0: nobody
    bool several = false;
  };
  std::array<Mark, all_origins.size()> marks_;
};

}  // namespace hoplock::delivery
