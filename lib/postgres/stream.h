// SPDX-License-Identifier: Apache-2.0
// For its own sources: one stream of jobs, written in their order by one incarnation. All that wait become one transaction under a number
// that no other transaction of this incarnation has had or will have.
//
// The outcome of a transaction is unknown when its connection is lost, our deadline passes, the server warns or no standby proves to have
// it. The same content is then sent again under the same number, for as long as it takes, until the row of `writer` has an answer: applied
// (then one more synchronous write behind it proves that it is replicated), not applied (then it is by this try), or gone: fenced. When such
// a transaction proves impossible instead (one of its jobs fails), its number is passed over first, which shuts out a try that is still
// on its way; only then the jobs are tried apart, each under a number of its own.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/histogram.h"
#include "net/condition.h"
#include "postgres/completion.h"
#include "postgres/connection.h"
#include "postgres/database.h"
#include "postgres/transaction.h"

namespace hoplock::postgres {

class Stream {
 public:
  // REQUIRES: what is referred to outlives it.
  Stream(asio::any_io_executor loop, Connecting& shared, Counters& counters, Histogram& commits, StreamKind kind);

  // This incarnation's, from the beginning: its writer row stands at 0.
  void begin(std::int64_t incarnation, int slot);
  // Nothing more is sent; everybody who waits is told why.
  void end(const Error& why);
  // The writer's row is gone. Set it before work().
  void on_fenced(std::function<void(std::int64_t incarnation, std::string why)> call) { fenced_ = std::move(call); }

  asio::awaitable<Result<Written>> write(Job job, net::SteadyTime deadline);
  void post(Job job);

  // The server has fewer of the durable batches than were acknowledged. Likewise.
  void on_lost(std::function<void(std::int64_t batches)> call) { lost_ = std::move(call); }

  // Both run until they are cancelled.
  asio::awaitable<void> work();
  asio::awaitable<void> expire();
  // Until nothing waits and nothing is under way, or the deadline.
  asio::awaitable<void> drain(net::SteadyTime deadline);

  // The last failure of what it is at; good once something was applied, and while a batch has not taken too long.
  Result<> health() const;

 private:
  struct Entry {
    Job job;
    std::size_t bytes = 0;
    net::SteadyTime since{};
    bool posted = false;
    bool taken = false;
    bool abandoned = false;
    Completion<Result<Written>> done;
    std::unique_ptr<asio::steady_timer> timer;  // of the caller's deadline
  };
  using Group = std::vector<std::shared_ptr<Entry>>;
  // How a transaction ended. failed: written by nobody, ever, because of that job (or none of them: as many as there are). unavailable: likewise, and it
  // may be tried again.
  struct End {
    enum class How : std::uint8_t { applied, replayed, failed, unavailable, fenced } how = How::applied;
    std::optional<Error> error;
    std::size_t job = 0;
    std::vector<Answer> rows;
  };
  enum class Found : std::uint8_t { applied, not_applied, passed_over, fenced, unknown };
  // One transaction on its way: what all the tries have in common.
  struct Try {
    std::int64_t number = 0;
    std::int64_t incarnation = 0;
    Durability durability = Durability::relaxed;
    bool anew = false;              // it was tried on a new connection, for its plans' sake
    bool doubt = false;             // a try of it may have been applied, or may yet be
    std::int64_t passed_over = -1;  // by this number, once that is in the writer's row
    net::SteadyTime began{};
  };

  void enqueue(std::shared_ptr<Entry> entry);
  asio::awaitable<void> gather();
  Group take();
  asio::awaitable<void> commit(Group group);
  void complete(const Group& group, End& end, const Try& one);
  void put_back(const Group& group);
  void give_up_at(const std::shared_ptr<Entry>& entry, net::SteadyTime deadline);

  // The protocol (carry.cpp). REQUIRES: what is referred to lives until it ends: commit() holds it.
  asio::awaitable<End> carry(const Group& group, Try& one);
  asio::awaitable<std::optional<End>> attempt(const Group& group, Try& one);
  asio::awaitable<std::optional<End>> after_failure(const Group& group, Try& one, Error error, std::size_t job);
  asio::awaitable<std::optional<End>> after_look(const Group& group, Try& one);
  asio::awaitable<Found> look(const Try& one);
  asio::awaitable<Found> prove(const Try& one);
  asio::awaitable<End> pass_over(const Group& group, Try& one, End failed);
  asio::awaitable<End> read_back(const Group& group, const Try& one);
  asio::awaitable<Segment> send(std::shared_ptr<const Batch> batch, const Try& one);
  asio::awaitable<Segment> ask(Statement asked);  // behind a ROLLBACK
  asio::awaitable<void> roll_back();
  asio::awaitable<bool> connected(const Try& one);
  bool is_over(const Try& one) const { return incarnation_ != one.incarnation; }
  bool is_patient(const Try& one) const;
  End fence_off(const Try& one, std::string why);

  asio::any_io_executor loop_;
  Connecting& shared_;
  Counters& counters_;
  Histogram& commits_;
  const StreamKind kind_;
  std::function<void(std::int64_t, std::string)> fenced_;
  std::function<void(std::int64_t)> lost_;
  std::unique_ptr<Connection> connection_;
  std::int64_t connected_as_ = 0;  // by which incarnation
  std::int64_t incarnation_ = 0;
  int slot_ = 0;
  std::int64_t from_ = 0;     // what the writer's row says, as far as is known
  std::int64_t durable_ = 0;  // the last one that was acknowledged as durable
  std::int64_t last_ = 0;     // number that was given to a transaction
  std::deque<std::shared_ptr<Entry>> waiting_;
  net::Condition wake_;     // of work()
  net::Condition arrived_;  // of expire()
  net::Condition idle_;     // of drain()
  bool busy_ = false;
  net::SteadyTime busy_since_{}, committed_{};
  net::SteadyTime::duration commit_took_{};
  std::size_t last_group_ = 0;
  std::optional<Error> failure_;
};

}  // namespace hoplock::postgres
