// SPDX-License-Identifier: Apache-2.0
// The table of partners: what survives a restart of the book (partners/book.h). Functions inside a disk job.
//
// A row belongs to a batch, and counts once its batch is committed: many rows are written in short jobs and come to count in one moment.
// Where a rule of a domain has rows of several committed batches, the latest counts; the others are dropped afterwards.
#pragma once
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

void put_partner(disk::Tx& tx, const partners::Entry& entry, Batch batch);
// What earlier batches had in its place.
void drop_earlier(disk::Tx& tx, const partners::Entry& entry, Batch batch);
void remove_partner(disk::Tx& tx, const dns::Pattern& domain, partners::Rule rule);
void mark_told(disk::Tx& tx, const partners::Entry& entry);
// Rows of a batch that never came to count; true: there are none left.
bool drop_uncommitted(disk::Tx& tx, std::size_t limit);

}  // namespace hoplock::route
