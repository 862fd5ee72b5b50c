// The inside of Writer.
#pragma once
#include "queue/core.h"
#include "queue/writer.h"

namespace hoplock::queue {

struct Writer::State {
  std::weak_ptr<Queue::Core> core;  // a session that is cut off at the end may die after the queue
  Id id;
  Time received;
  std::uint64_t size = 0;
  std::uint32_t chunks = 0;  // that streamed ahead
  std::string buffer;
  bool committed = false;

  // The first chunk_bytes of the buffer become a row.
  asio::awaitable<Result<>> stream(Queue::Core& queue);
};

}  // namespace hoplock::queue
