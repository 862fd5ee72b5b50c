// SPDX-License-Identifier: Apache-2.0
// The queue: what is due, when and to whom, and leases on it. Every accepted message and recipient is in a store::MailStore, which it
// alone speaks to. It decides no schedule, no route and no outcome, and does not log.
//
// A destination is a next hop: the text that `route` gives for a recipient's domain. Leases are in memory and so void
// on restart. In memory there is a bounded window of fresh or prefetched messages; all else is in the store. One
// thread (the loop) calls it.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>

#include "base/log.h"
#include "queue/options.h"
#include "queue/writer.h"
#include "store/actions.h"
#include "store/mail_store.h"

namespace hoplock::queue {

struct LeaseLimit {
  std::size_t messages = 1;
  std::size_t bytes = 1 << 20;  // of bodies; at least one message is leased
};

class Queue {
 public:
  using RouteOf = std::function<std::string(const dns::Name& domain)>;

  // REQUIRES: the store outlives it; nothing but writers, which then do nothing, outlives it. `route` is called on the loop, often; it must be quick.
  Queue(store::MailStore& mail, Options options, RouteOf route);
  ~Queue();

  // Once, before anything else: sweeps half-received messages, rebases due times when `now` is before what the queue
  // last saw, and computes destinations anew.
  asio::awaitable<Result<>> start(Time now);

  // --- intake

  // The id is known at once (the Received field names it). `announced`: octets that will come, for which room is kept as far as there is
  // any; what comes beyond it is stored as long as there is room that nobody else has announced (DUR-04).
  Writer begin(Time received, std::uint64_t announced = 0);
  // 452 4.3.1 unless this is good: below min_free_space; 451 4.3.0: the store's log can take no more now. A store that cannot be written shows in write() and commit().
  Result<> accepting();
  // Whether mail may be brought to this node at all (421 4.3.2 unless this is good): not before start() is through, nor while the store is
  // away.
  Result<> available() const;
  // A new term of leases has begun: what was leased before is void. Good: this process goes on in it, under ids of its own.
  asio::awaitable<Result<>> renew();
  // Octets that new mail may still announce: free space above min_free_space and what others announced; 0 while accepting() is not good.
  std::uint64_t room();
  void set_min_free_space(std::uint64_t octets);

  // --- delivery

  // Called on the loop, once for all commits that came back together, with destinations that got fresh work and are not
  // held off.
  void on_work(std::function<void(std::vector<store::Ready>)> call);
  // Called on the loop with a message whose stored body proved damaged; it is held.
  void on_damage(std::function<void(store::Id)> call);
  // Called on the loop with recipients whose lease another process had taken over before it was settled: they may be sent twice.
  void on_lost(std::function<void(std::vector<store::Lease>)> call);
  // The term in which leases stand: to be asked before a message is begun, and before its final dot. Not that of the job: it is not to be
  // sent, others may send it.
  std::int64_t lease_term() const;
  // Destinations with due work that is not leased, held-off ones left out; those in `busy` are left out too (sorted;
  // for a scheduler that has all the sessions there that it wants). Ask at the start, at next_due, and when `limit` was
  // reached.
  asio::awaitable<Result<store::Work>> ready(Time now, std::size_t limit, std::vector<std::string> busy);
  // Jobs for that destination, oldest due first, hold or not; empty when nothing is due or all is leased. Every job
  // must come back in apply().
  asio::awaitable<Result<std::vector<store::Job>>> lease(std::string destination, Time now, LeaseLimit limit);
  // Before the attempt of a leased job begins: its recipients that an operator held or removed through another process since it was read
  // (sorted); they are not to be tried. Where it is all of them, the lease is over. An Error: it stands.
  asio::awaitable<Result<std::vector<store::Lease>>> withdrawn(const store::Job& job, Time now);
  // When the destination has work again, as far as that is known: after lease() gave nothing.
  std::optional<Time> next_due(const std::string& destination) const;
  // Waiting recipients of messages received before `before`, due or not: to expire those that wait behind a destination's hold.
  asio::awaitable<Result<std::vector<store::Job>>> lease_older(std::string destination, Time before, LeaseLimit limit);
  asio::awaitable<Result<store::HeldPage>> lease_waiting(std::string destination, store::HeldQuery waiting);
  // Chunk n of a message, its checksum verified. Error bad_message: damaged, and the message is now held; no_message:
  // gone.
  asio::awaitable<Result<std::string>> read_chunk(store::Id id, std::uint32_t n);
  // Ends of leases and changes of destinations, durable when it returns good. After an Error the leases stand and the
  // same Results may be given again: stop leasing until it succeeds.
  // Good: what became of the reports that were given up, in their order.
  using GivenUp = std::vector<std::optional<store::ReturnedReport>>;
  asio::awaitable<Result<GivenUp>> apply(store::Results results);
  // The destination's hold, if it is known to have one.
  asio::awaitable<Result<std::optional<store::Backoff>>> backoff(std::string destination);
  // Destinations that are held off then, by name, a part of them: those after that name; none: there are no more.
  asio::awaitable<Result<std::vector<store::Held>>> holds(std::string after, Time now);
  // Where mail waits, likewise.
  asio::awaitable<Result<std::vector<store::Waiting>>> waiting(std::string after, Time now);

  // What waits at the destination comes due now, though neither its hold nor its own time is over: the wait of recipients that were
  // deferred for one of these reasons ends, in slices, then the hold, with one message to try first as ever.
  asio::awaitable<Result<>> wake(std::string destination, store::Wake wake);
  // Recipients whose last reply says so (asked on another thread) come due now, whatever their destination, in slices; holds stand.
  asio::awaitable<Result<>> wake_told(std::function<bool(std::string_view reply)> says_so, Time now);

  // --- operation

  // In bounded batches, each of them atomic. What is leased (active): hold and remove take effect when the lease ends,
  // unless it ends with the delivery; retry leaves it alone. Counts messages.
  // REQUIRES: not Action::bounce.
  using Progress = std::function<asio::awaitable<void>(std::uint64_t messages)>;
  struct Follow {
    std::function<void(const store::Affected& batch)> done;  // called with each batch as soon as it is stored
    Progress progress;                                       // awaited then, with the messages so far
  };
  asio::awaitable<Result<store::Affected>> act(store::Action action, store::Selection selection, Time now,
                                               Follow follow = {});
  // Messages that a selection means, in batches; those that came when it had begun, as the notices of a bounce do, are not among them.
  using Batch = std::function<asio::awaitable<Result<>>(std::vector<store::Id>)>;
  asio::awaitable<Result<>> in_batches(store::Selection selection, std::size_t messages, Time now, Batch call);
  // For a bounce: the recipients of these messages that the selection means, held or not, as leases that come back in apply().
  asio::awaitable<Result<store::LeasedBySelection>> pick(store::Selection selection, std::vector<store::Id> ids,
                                                         Time now);
  // After the routes changed: destinations are computed anew for all waiting mail, in bounded batches. What moves is due at once: the
  // next hop that it waited for is no longer its own (MX-20).
  asio::awaitable<Result<>> reroute(Time now);
  // After the clock was set back: no recipient and no destination waits longer than its own interval.
  asio::awaitable<Result<>> rebase(Time now);
  // Forgets the history of messages that left the queue before `before`, a part of it at a time: start with {}, go on with what it
  // gives, until it gives nothing.
  asio::awaitable<Result<std::optional<store::PruneFrom>>> prune(Time before, store::PruneFrom from);
  void set_history(store::Recording recording);
  // Recipients under way, sorted: for a reader of the database, which cannot see leases.
  std::vector<store::Lease> active() const;
  // The sweep in the background: looks at the next rows that find mail, and reads the next stored chunks after the one it last read;
  // holds messages with a damaged one. Error bad_message: those rows are damaged.
  struct Swept {
    std::vector<store::Id> damaged;
    bool end = false;             // came to the end of the bodies; the next call starts over
    bool rows = false;            // all the rows were looked at since the start
    std::optional<Error> unread;  // something could not be read, and was passed over until the next time
  };
  asio::awaitable<Result<Swept>> sweep(std::size_t bytes);

 private:
  friend class Writer;
  struct Core;
  std::shared_ptr<Core> core_;  // writers look whether it is still there
};

}  // namespace hoplock::queue
