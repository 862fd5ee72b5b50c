// SPDX-License-Identifier: Apache-2.0
// Messages that come into the store, and those that leave it, as statements over arrays for a postgres::Job. For this module's mail_*.cpp.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "postgres/batch.h"
#include "store/draft.h"
#include "store/history.h"
#include "store/stored.h"

namespace hoplock::store_postgres {

using namespace store;

// The columns of a hold, as every statement here selects them: backoff_of() reads them from that column on.
inline constexpr std::string_view hold_columns =
    "h.until, h.failures, h.interval, h.last, h.status, h.reply, h.reason, h.host";
// Nothing where there is no such row.
std::optional<Backoff> backoff_of(const postgres::Row& row, int first);

// Which messages are written, of those that are given: all; or a notice only where somebody is left whom it tells of.
enum class Write : std::uint8_t { all, notices };
struct Adding {
  std::vector<const Draft*> drafts;
  Write which = Write::all;
  Recording recording = Recording::off;
  std::vector<const Notice*> about;  // of notices: what each tells of
};
// Appends them. What came of it is read by Added.
void add_messages(postgres::Batch& batch, const Adding& adding);
// What is asked instead when the answer was lost.
void read_back_messages(postgres::Batch& batch, const Adding& adding);
// Of messages that turned out to be stored though nobody was told: gone again, unless another node has them.
postgres::Batch undo_messages(const std::vector<Id>& ids);

class Added {
 public:
  // The rows of what add_messages() or read_back_messages() appended, from that statement on.
  Added(const postgres::Answer& answer, std::size_t first);
  bool stored(Id id) const { return ids_.contains(id.value); }
  // Of each destination of the draft once. `alone` is said to the first that asks for a destination only.
  std::vector<Enqueued> enqueued(const Draft& draft);

 private:
  struct Place {
    bool alone = false;
    bool kept = true;
    std::optional<Backoff> backoff;
  };
  std::unordered_map<std::int64_t, bool> ids_;
  std::unordered_map<std::string, Place> places_;
};

std::vector<std::int64_t> numbers(const std::vector<Id>& ids);
// Those of the messages that have no recipient that waits or is under way: message, recipients and chunks.
void remove_if_done(postgres::Batch& batch, const std::vector<std::int64_t>& ids);
// Whoever may end a message's last recipient waits here for others that may.
postgres::Statement lock_messages(const std::vector<std::int64_t>& ids);
void record(postgres::Batch& batch, const std::vector<Id>& ids, Time at, const std::vector<std::string>& lines);

}  // namespace hoplock::store_postgres
