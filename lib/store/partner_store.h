// SPDX-License-Identifier: Apache-2.0
// Where partners are kept: what survives a restart of the book (partners/book.h). Errors as MailStore has them.
//
// A row belongs to a batch, and counts once its batch is committed: many rows are written in short steps and come to count in one moment.
// Where a rule of a domain has rows of several committed batches, the latest counts; the others are dropped afterwards. A removal is a row,
// too, until it was told of.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "partners/entry.h"
#include "store/admin.h"

namespace hoplock::store {

namespace asio = boost::asio;

struct PartnerAt {
  std::string domain;  // as stored
  std::int64_t rule = 0;
};
struct PartnerPage {
  std::vector<partners::Entry> entries;  // by domain and rule
  std::optional<PartnerAt> next;         // where to go on; nothing: that was the last
};

enum class PartnerRow : std::uint8_t { there, gone };  // gone: the entry is removed
struct PartnerChange {
  partners::Entry entry;
  PartnerRow row = PartnerRow::there;
};
struct ChangedPartner {
  partners::Entry entry;
  PartnerRow row = PartnerRow::there;
  PartnerAt at;
};

using PartnerBatch = std::int64_t;
// A batch is followed when it was told of, and what waits was tried on it.
struct PartnerBatches {
  PartnerBatch followed = 0;
  PartnerBatch committed = 0;
};

class PartnerStore {
 public:
  PartnerStore() = default;
  PartnerStore(const PartnerStore&) = delete;
  PartnerStore& operator=(const PartnerStore&) = delete;
  virtual ~PartnerStore() = default;

  // How often batches() is to be asked for what other processes changed; nothing: no other does.
  virtual std::optional<Milliseconds> look_again() const = 0;
  // Of the disk, as last looked at; others may take them.
  virtual std::uint64_t free_bytes() = 0;
  // Error bad_message: a row that is none of ours, so that nobody knows what was agreed on.
  virtual asio::awaitable<Result<PartnerPage>> list(PartnerAt after, std::size_t limit) = 0;
  enum class Part : std::uint8_t { some, last };
  // Into the batch behind the committed one; with the last part, durable, that batch is committed.
  virtual asio::awaitable<Result<>> write(std::vector<PartnerChange> changes, Part part) = 0;
  // What earlier batches than the committed one had in their place; all of it, where that batch removed it. With the last part it is followed.
  virtual asio::awaitable<Result<>> drop_earlier(std::vector<partners::Entry> entries, Part part) = 0;
  // Rows of a batch that never came to count.
  virtual asio::awaitable<Result<More>> drop_uncommitted(std::size_t limit) = 0;
  virtual asio::awaitable<Result<PartnerBatches>> batches() = 0;
  // What committed batches changed last, after that one, by domain and rule; `after` as in list().
  virtual asio::awaitable<Result<std::vector<ChangedPartner>>> changed_since(PartnerBatch followed, PartnerAt after,
                                                                             std::size_t limit) = 0;
  virtual asio::awaitable<Result<>> mark_followed(PartnerBatch batch) = 0;
  // entry.told of each
  virtual asio::awaitable<Result<>> mark_told(std::vector<partners::Entry> entries) = 0;
};

}  // namespace hoplock::store
