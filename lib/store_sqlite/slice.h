// SPDX-License-Identifier: Apache-2.0
// How long one piece of background work may keep the disk thread: it gets on, and nobody who waits behind it notices (BND-03).
#pragma once
#include <chrono>

namespace hoplock::store_sqlite {

class Slice {
 public:
  explicit Slice(std::chrono::milliseconds longest = std::chrono::milliseconds(4))
      : end_(std::chrono::steady_clock::now() + longest) {}
  bool over() const { return std::chrono::steady_clock::now() >= end_; }

 private:
  std::chrono::steady_clock::time_point end_;
};

}  // namespace hoplock::store_sqlite
