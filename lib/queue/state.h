// The inside of Writer.
#pragma once
#include "queue/core.h"
#include "queue/writer.h"

namespace hoplock::queue {

struct Writer::State {
  Queue::Core* core = nullptr;
  Id id;
  Time received;
  std::uint64_t size = 0;
  std::uint32_t chunks = 0;  // that streamed ahead
  std::string buffer;
  bool committed = false;

  // The first chunk_bytes of the buffer become a row.
  asio::awaitable<Result<>> stream();
};

}  // namespace hoplock::queue
