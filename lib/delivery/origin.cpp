// SPDX-License-Identifier: Apache-2.0
#include "delivery/origin.h"

#include <algorithm>
#include <functional>

namespace hoplock::delivery {

std::string origin_of(const store::Envelope& envelope, By by) {
  if (by == By::client) return envelope.client;
  const std::string& sender = envelope.sender;
  const auto at = std::min(sender.rfind('@'), sender.size());
  if (by == By::domain) return sender.substr(std::min(at + 1, sender.size()));
  return sender.substr(0, std::min(sender.find('+'), at)) + sender.substr(at);
}

std::size_t Origins::mark_of(const store::Envelope& envelope, By by) {
  return std::hash<std::string>{}(origin_of(envelope, by)) | 1U;
}

void Origins::add(const store::Envelope& envelope) {
  for (const By by : all_origins) {
    Mark& one = marks_[static_cast<std::size_t>(by)];
    const std::size_t mark = mark_of(envelope, by);
    if (one.first == 0) one.first = mark;
    one.several = one.several || mark != one.first;
  }
}

std::optional<By> Origins::confined_to(const Origins& known) const {
  const auto found = std::find_if(all_origins.begin(), all_origins.end(), [&](By by) {
    return !at(by).several && at(by).first != 0 && known.at(by).has_others_than(at(by).first);
  });
  return found == all_origins.end() ? std::nullopt : std::optional<By>(*found);
}

bool Origins::has_others_than(const store::Envelope& envelope, By by) const {
  return at(by).has_others_than(mark_of(envelope, by));
}

void Origins::join(const Origins& others) {
  for (std::size_t i = 0; i < marks_.size(); ++i) {
    Mark& mine = marks_[i];
    const Mark& its = others.marks_[i];
    if (mine.first == 0) mine.first = its.first;
    mine.several = its.several || mine.several || (its.first != 0 && its.first != mine.first);
  }
}

void LateOrigins::add(const store::Envelope& envelope, Clock::time_point now) {
  if (now >= since_ + turn) {
    before_ = now < since_ + 2 * turn ? late_ : Origins();
    late_.clear();
    since_ = now;
  }
  late_.add(envelope);
}

Origins LateOrigins::at(Clock::time_point now) const {
  Origins all;
  if (now >= since_ + 2 * turn) return all;
  all = late_;
  if (now < since_ + turn) all.join(before_);
  return all;
}

}  // namespace hoplock::delivery
