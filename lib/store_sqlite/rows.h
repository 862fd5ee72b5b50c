// SPDX-License-Identifier: Apache-2.0
// Messages, recipients and chunks as rows: written, read back as jobs, settled, removed. On the disk thread, inside jobs.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "disk/job.h"
#include "store/actions.h"
#include "store/draft.h"
#include "store/stored.h"
#include "store/waiting.h"
#include "store_sqlite/bodies.h"
#include "store_sqlite/places.h"

namespace hoplock::store_sqlite {

using namespace store;

constexpr std::int64_t first_key(Id id) { return id.value << 15; }
constexpr std::int64_t last_key(Id id) { return (id.value << 15) | 32767; }
constexpr Id id_of_key(std::int64_t key) { return Id{key >> 15}; }
constexpr std::uint32_t number_of_key(std::int64_t key) { return static_cast<std::uint32_t>(key & 32767); }

// What a job and what people see of a message have in common. REQUIRES: the row's columns begin with received, size, chunks, flags, sender,
// client, envid.
template <class Message>
void read_message_columns(disk::Statement& row, Id id, Message& to) {
  to.id = id;
  to.received = from_millis(row.integer(0));
  to.size = static_cast<std::uint64_t>(row.integer(1));
  to.chunks = static_cast<std::uint32_t>(row.integer(2));
  to.envelope = with_flags(std::move(to.envelope), row.integer(3));
  to.envelope.sender = row.text(4);
  to.envelope.client = row.text(5);
  to.envelope.envid = row.text(6);
}

void insert_chunk(disk::Tx& tx, Id id, std::uint32_t n, std::string_view octets);
void note_draft(disk::Tx& tx, Id id);
std::vector<Enqueued> insert_message(disk::Tx& tx, Places& places, const Draft& draft);
// Chunks that belong to no message: of one that was never committed, or whose body went apart. A part of them, which keeps nobody
// waiting; yes: there are more.
disk::More drop_part_of_draft(disk::Tx& tx, Id id);
// Message, recipients and chunks.
void remove_message(disk::Tx& tx, Id id, Bodies bodies);

// A chunk, or nothing when there is no such row. Error bad_message: its checksum does not fit.
Result<std::optional<std::string>> load_chunk(disk::Tx& tx, Id id, std::uint32_t n);

// Which of a message's recipients make a job.
struct Wanted {
  std::int64_t destination = 0;
  std::string destination_name;
  std::int64_t due = never;  // or earlier
};
// Nothing when the message is gone or none of its recipients is wanted. Error bad_message: its only chunk is damaged.
Result<std::optional<Job>> load_job(disk::Tx& tx, Id id, const Wanted& wanted);

// The message's recipients that an operator's selection means, held ones too, as a job without a body or a destination, and whether
// others of them are `leased` (sorted).
struct Selected {
  std::optional<Job> job;
  bool leased = false;
};
Selected load_selected(disk::Tx& tx, Id id, const Selection& selection, const std::vector<Lease>& leased);

// `unnamed`: those that the lease had and that `settled` does not name.
struct Ended {
  const Settled& settled;
  const std::vector<std::uint32_t>& unnamed;
  Bodies bodies = Bodies::along;
};
void settle(disk::Tx& tx, Places& places, const Ended& ended, Time now);
// Recipients that wait become held, with the reason as their `reply`.
void hold_damaged(disk::Tx& tx, Id id);
// When no recipient is waiting or under way any more, the message goes.
void remove_if_done(disk::Tx& tx, Places& places, Id id, Bodies bodies);

// Numbers on disk that SQL of this module has as digits (DUR-06).
static_assert(static_cast<int>(State::queued) == 0 && static_cast<int>(State::deferred) == 1 &&
              static_cast<int>(State::held) == 2 && static_cast<int>(State::removed) == 6);
static_assert(smtp::notify_never == 1 && smtp::notify_success == 2 && smtp::notify_failure == 4 &&
              smtp::notify_delay == 8);

static_assert(told_of_delay == 16 && static_cast<int>(HeldQuery::Kind::notices) == 0 &&
              static_cast<int>(HeldQuery::Kind::untold) == 1);

struct NoticeRow {
  const RoutedNotice& routed;
  // damaged: a page under the message that it is about; no transaction that writes may touch that
  enum class Original : std::uint8_t { readable, damaged } original = Original::readable;
};
// Writes the notice; nothing when nobody is left that it would tell of.
std::optional<EnqueuedNotice> insert_notice(disk::Tx& tx, Places& places, const NoticeRow& row, Time now);

}  // namespace hoplock::store_sqlite
