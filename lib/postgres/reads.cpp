// SPDX-License-Identifier: Apache-2.0
#include "postgres/reads.h"

#include <utility>

#include "postgres/errors.h"
#include "postgres/pause.h"

namespace hoplock::postgres {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t most_reads = 64;  // in one round trip
constexpr Milliseconds read_retry{200};

}  // namespace

asio::awaitable<Result<Answer>> Reads::run(Batch batch) {
  auto entry = std::make_shared<Entry>();
  entry->batch = std::make_shared<const Batch>(std::move(batch));
  entry->since = steady_clock::now();
  auto start = [this, entry](Completion<Result<Answer>> done) {
    entry->done = std::move(done);
    waiting_.push_back(entry);
    arrived_.notify_one();
  };
  co_return co_await completed<Result<Answer>>(loop_, std::move(start));
}

asio::awaitable<void> Reads::work() {
  std::unique_ptr<Connection> connection;
  for (;;) {
    while (waiting_.empty()) co_await arrived_.wait();
    Error why = fail(errc::device_or_resource_busy, "");
    if (!connection || !connection->is_open()) {
      connection.reset();
      auto made = co_await Connection::open(shared_, Use::read_only, "hoplock reads");
      if (made)
        connection = std::move(*made);
      else
        why.detail = made.error().detail;
    }
    Group group;
    Batches batches;
    for (; group.size() < most_reads && !waiting_.empty(); waiting_.pop_front()) {
      batches.push_back(waiting_.front()->batch);
      group.push_back(std::move(waiting_.front()));
    }
    if (group.empty()) continue;
    if (!connection) {
      again(group, why);
      co_await pause(read_retry);
      continue;
    }
    std::vector<Segment> segments =
        co_await connection->exchange(std::move(batches), Filling(), steady_clock::now() + shared_.options.deadline);
    Group unanswered;
    for (std::size_t i = 0; i < group.size(); ++i) {
      if (segments[i].lost)
        unanswered.push_back(group[i]);
      else if (segments[i].error)
        group[i]->done(*segments[i].error);
      else
        group[i]->done(std::move(segments[i].answer));
    }
    why.detail = connection->why();
    again(unanswered, why);
  }
}

// First of those that wait, unless they have waited too long.
void Reads::again(const Group& group, const Error& why) {
  const auto now = steady_clock::now();
  for (auto at = group.rbegin(); at != group.rend(); ++at) {
    if (now - (*at)->since >= shared_.options.patience)
      (*at)->done(why);
    else
      waiting_.push_front(*at);
  }
}

void Reads::end(const Error& why) {
  for (auto& entry : std::exchange(waiting_, {})) entry->done(why);
}

}  // namespace hoplock::postgres
