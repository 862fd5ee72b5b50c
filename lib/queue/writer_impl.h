// SPDX-License-Identifier: Apache-2.0
// The inside of Writer.
#pragma once
#include <algorithm>

#include "queue/queue_impl.h"
#include "queue/writer.h"

namespace hoplock::queue {

// Room for new mail that is spoken for, as long as it lives.
class Claim {
 public:
  Claim(std::shared_ptr<std::uint64_t> sum, std::uint64_t octets) : sum_(std::move(sum)), octets_(octets) {
    *sum_ += octets_;
  }
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;
  ~Claim() { *sum_ -= octets_; }
  std::uint64_t octets() const { return octets_; }
  void reduce(std::uint64_t by) {
    by = std::min(by, octets_);
    octets_ -= by;
    *sum_ -= by;
  }

 private:
  std::shared_ptr<std::uint64_t> sum_;
  std::uint64_t octets_;
};

struct Writer::State {
  std::weak_ptr<Queue::Core> core;  // a session that is cut off at the end may die after the queue
  Id id;
  Time received;
  std::uint64_t size = 0;
  std::uint32_t chunks = 0;  // that streamed ahead
  std::string buffer;
  bool committed = false;
  std::unique_ptr<Claim> announced;  // what it may still bring

  // The first chunk_bytes of the buffer become a row.
  asio::awaitable<Result<>> stream(Queue::Core& queue);
};

}  // namespace hoplock::queue
