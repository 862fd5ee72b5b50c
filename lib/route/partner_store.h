// SPDX-License-Identifier: Apache-2.0
// The table of partners: what survives a restart of the book (partners/book.h). Functions inside a disk job.
//
// A row belongs to a batch, and counts once its batch is committed: many rows are written in short jobs and come to count in one moment.
// Where a rule of a domain has rows of several committed batches, the latest counts; the others are dropped afterwards. A removal is a row,
// too, until it was told of.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "disk/job.h"
#include "disk/migrations.h"
#include "partners/entry.h"

namespace hoplock::route {

// Later than the first tables of other modules.
disk::Migration partner_migration();

using Batch = std::int64_t;
Batch committed_batch(disk::Tx& tx);
void commit_batch(disk::Tx& tx, Batch batch);

struct PartnerAt {
  std::string domain;  // as stored
  std::int64_t rule = 0;
};
struct PartnerPage {
  std::vector<partners::Entry> entries;  // by domain and rule
  std::optional<PartnerAt> next;         // where to go on; nothing: that was the last
};
// Error bad_message: a row that is none of ours, so that nobody knows what was agreed on.
Result<PartnerPage> list_partners(disk::Tx& tx, const PartnerAt& after, std::size_t limit);
// Those that may count for mail to the domain: its own, and those for the subdomains of a domain above it.
Result<std::vector<partners::Entry>> find_partners(disk::Tx& tx, const dns::Name& domain);

// Exactly those of the pattern.
Result<std::vector<partners::Entry>> find_partners(disk::Tx& tx, const dns::Pattern& pattern);

enum class PartnerRow : std::uint8_t { there, gone };  // gone: the entry is removed
void put_partner(disk::Tx& tx, const partners::Entry& entry, Batch batch, PartnerRow row = PartnerRow::there);
// What earlier batches had in its place; all of it, where that batch removed it.
void drop_earlier(disk::Tx& tx, const partners::Entry& entry, Batch batch);
// entry.told
void mark_told(disk::Tx& tx, const partners::Entry& entry);

// A batch is followed when it was told of, and what waits was tried on it.
Batch followed_batch(disk::Tx& tx);
void mark_followed(disk::Tx& tx, Batch batch);
struct Changed {
  partners::Entry entry;
  PartnerRow row = PartnerRow::there;
  PartnerAt at;
};
// What committed batches changed last, after that one, by domain and rule; `after` as in list_partners().
Result<std::vector<Changed>> changed_since(disk::Tx& tx, Batch followed, const PartnerAt& after, std::size_t limit);
// Rows of a batch that never came to count; true: there are none left.
bool drop_uncommitted(disk::Tx& tx, std::size_t limit);

}  // namespace hoplock::route
