// SPDX-License-Identifier: Apache-2.0
#include "delivery/origin.h"

#include <algorithm>
#include <functional>

namespace hoplock::delivery {

std::string origin_of(const queue::Envelope& envelope, By by) {
  if (by == By::client) return envelope.client;
  const std::string& sender = envelope.sender;
  const auto at = std::min(sender.rfind('@'), sender.size());
  if (by == By::domain) return sender.substr(std::min(at + 1, sender.size()));
  return sender.substr(0, std::min(sender.find('+'), at)) + sender.substr(at);
}

void Origins::add(const queue::Envelope& envelope) {
  for (const By by : all_origins) {
    Mark& one = marks_[static_cast<std::size_t>(by)];
    const std::size_t mark = std::hash<std::string>{}(origin_of(envelope, by)) | 1U;
    if (one.first == 0) one.first = mark;
    one.several = one.several || mark != one.first;
  }
}

bool Origins::are_confined(const Origins& known) const {
  return std::any_of(all_origins.begin(), all_origins.end(),
                     [&](By by) { return !are_several(by) && known.are_several(by); });
}

}  // namespace hoplock::delivery
