// SPDX-License-Identifier: Apache-2.0
// Where mail is kept: every accepted message and recipient on stable storage. The interface that the queue speaks to, in values and
// whole operations, whatever keeps them. It knows no route and no schedule, and gives the same job to whoever asks: leases, and what is
// held in memory, are the queue's.
//
// An operation that changes something stands as a whole when it returns good, on stable storage ("durable") or by the next durable one,
// and leaves nothing behind when it does not. Errors: the store's room or its files, of which it recovers (no_space_on_device, io_error,
// read_only_file_system, device_or_resource_busy: ask again); bad_message: what was asked for is damaged. Operations may wait for each
// other and are done in the order in which they were asked for, but for those that only read: these see what was stored before.
// None is cancelled; all complete on the loop.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/admin.h"
#include "store/draft.h"
#include "store/history.h"
#include "store/leasing.h"
#include "store/waiting.h"

namespace hoplock::store {

namespace asio = boost::asio;

class MailStore {
 public:
  MailStore() = default;
  MailStore(const MailStore&) = delete;
  MailStore& operator=(const MailStore&) = delete;
  virtual ~MailStore() = default;

  // Once, before anything else, and in each new lease_term(). Durable.
  virtual asio::awaitable<Result<Recovered>> recover() = 0;
  // Of later messages and actions; off at first.
  virtual void set_history(Recording recording) = 0;

  // --- intake

  // Whether it takes new mail, as far as the store's own limits go: device_or_resource_busy, io_error.
  virtual Result<> writable() const = 0;
  // Whether mail may be brought to this node at all; a store on this machine is always there. Error: it is away, cannot keep mail on two
  // machines as it must, or takes this node for dead. In one sentence, for people.
  virtual Result<> available() const { return {}; }
  virtual std::uint64_t free_bytes() = 0;
  virtual std::string name() const = 0;    // of the store, for people
  virtual std::string volume() const = 0;  // that runs out of room, for people
  // Chunk n of a message that is to come; no reader sees it before the commit. The first makes the message a draft.
  virtual asio::awaitable<Result<>> append_chunk(Id id, std::uint32_t n, std::string octets) = 0;
  // Durable: the message and the mark of the report that it carries. Of each destination once, in the order of the recipients.
  virtual asio::awaitable<Result<std::vector<Enqueued>>> commit(std::shared_ptr<const Draft> draft) = 0;
  // A part of what belongs to no message: of a draft, or what was left (Applied). A message is left alone.
  virtual asio::awaitable<Result<More>> discard_some(Id id) = 0;
  virtual void discard(Id id) = 0;  // all of it, without waiting
  // All that discard_some() has something to do for.
  virtual asio::awaitable<Result<std::vector<Id>>> drafts() = 0;

  // --- delivery

  // Destinations with something due that are not held off, oldest first as far as that is known; `busy` (sorted) left out.
  virtual asio::awaitable<Result<Work>> due(Time now, std::size_t limit, std::vector<std::string> busy) = 0;
  // Jobs of a destination by message, what is due first the earliest first; at least one as long as there are any.
  virtual asio::awaitable<Result<Leased>> lease(LeaseQuery query) = 0;
  // What waits of these messages at that destination and is leased to this process is anybody's from now on. In its order with lease(),
  // without waiting.
  virtual void release(std::string destination, std::vector<Id> ids) = 0;
  // The term in which this process holds its leases, asked before a message is begun and before its final dot: another number when what was
  // leased before is no longer its own (then recover() again), 0 while nothing may be begun or ended.
  virtual std::int64_t lease_term() const = 0;
  // Before an attempt begins, where look_again() says that other processes change things: of these leases of this process, those that an
  // operator held or removed through another one, or that are no longer its own (sorted). What was held of them is anybody's from now on,
  // what was removed goes.
  virtual asio::awaitable<Result<std::vector<Lease>>> withdraw(std::vector<Lease> leased) = 0;
  // How long holds what due() and lease() say of the future; nothing: until this process changes it, for no other does.
  virtual std::optional<Milliseconds> look_again() const = 0;
  // Verified. Error bad_message: damaged; no_message: there is none.
  virtual asio::awaitable<Result<std::string>> read_chunk(Id id, std::uint32_t n) = 0;
  // The waiting recipients of a message whose body proved damaged are held. Without waiting; durable.
  virtual void hold_damaged(Id id) = 0;
  // Durable: ends of leases, changes of destinations, notices as messages, and what is to be written along. A message whose last
  // recipient came to an end goes. A notice is not written when nobody is left whom it would tell of.
  virtual asio::awaitable<Result<Applied>> settle(std::shared_ptr<const RoutedResults> results) = 0;
  virtual asio::awaitable<Result<std::optional<Backoff>>> backoff(std::string destination) = 0;
  // Some of the destinations that are held off then, by name, behind that one; none: there are no more.
  virtual asio::awaitable<Result<std::vector<Held>>> holds(std::string after, Time now) = 0;
  virtual asio::awaitable<Result<std::vector<Waiting>>> waiting(std::string after, Time now) = 0;
  // What was deferred there for these reasons comes due, then the hold ends: as many parts as it takes. False: no such destination.
  virtual asio::awaitable<Result<bool>> wake(std::string destination, Wake wake) = 0;
  // Whatever the destination, by the last reply. `says_so` is called on another thread, perhaps more than once.
  virtual asio::awaitable<Result<>> wake_told(std::function<bool(std::string_view reply)> says_so, Time now) = 0;

  // --- operation

  // Durable. REQUIRES: not Action::bounce.
  virtual asio::awaitable<Result<AdminResult>> act(std::shared_ptr<const AdminBatch> batch) = 0;
  // By domain a message may come again on a later page; else in the order of ids. REQUIRES: not By::ids.
  virtual asio::awaitable<Result<SelectionPage>> select(Selection selection, SelectionCursor from,
                                                        std::size_t rows) = 0;
  // The recipients of these messages that the selection means, held ones too, but for `leased` (sorted): jobs without body or destination.
  virtual asio::awaitable<Result<LeasedBySelection>> pick(Selection selection, std::vector<Id> ids,
                                                          std::vector<Lease> leased) = 0;
  // Some domains behind that one, in an order of their own; none: there are no more.
  virtual asio::awaitable<Result<std::vector<RoutedDomain>>> domains(std::int64_t after) = 0;
  // Durable: these go elsewhere from now on, and what waits there is due, the earliest first. Those that it had no time for.
  virtual asio::awaitable<Result<std::vector<RoutedDomain>>> reroute(std::vector<RoutedDomain> moved, Time now) = 0;
  // Where more waited than reroute() or a commit could make due.
  virtual asio::awaitable<Result<More>> hasten_some() = 0;
  // Durable: the clock was set back to this. From then on rebase_some() makes due what waits longer than its own interval.
  virtual asio::awaitable<Result<>> begin_rebase(Time now) = 0;
  virtual asio::awaitable<Result<More>> rebase_some() = 0;
  // What an operator removed while it was under way and that nobody leases any more (sorted) goes.
  virtual asio::awaitable<Result<More>> void_some(std::vector<Lease> leased) = 0;
  // Start with {}, go on with what it gives, until it gives nothing.
  virtual asio::awaitable<Result<std::optional<PruneFrom>>> prune(Time before, PruneFrom from) = 0;
  // The next rows that find mail, and the next bodies; from the start again behind their end. Error bad_message: the rows are damaged.
  virtual asio::awaitable<Result<Inspection>> inspect_some() = 0;
  virtual asio::awaitable<Result<Verified>> verify_some(std::size_t bytes) = 0;
};

}  // namespace hoplock::store
