// SPDX-License-Identifier: Apache-2.0
// The table of partners (store/partner_store.h). Functions inside a disk job.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "disk/job.h"
#include "disk/migrations.h"
#include "store/partner_store.h"

namespace hoplock::store_sqlite {

using namespace store;

// Later than the first tables of other modules.
disk::Migration partner_migration();

PartnerBatch committed_batch(disk::Tx& tx);
void commit_batch(disk::Tx& tx, PartnerBatch batch);

// Error bad_message: a row that is none of ours, so that nobody knows what was agreed on.
Result<PartnerPage> list_partners(disk::Tx& tx, const PartnerAt& after, std::size_t limit);
// Those that may count for mail to the domain: its own, and those for the subdomains of a domain above it.
Result<std::vector<partners::Entry>> find_partners(disk::Tx& tx, const dns::Name& domain);

// Exactly those of the pattern.
Result<std::vector<partners::Entry>> find_partners(disk::Tx& tx, const dns::Pattern& pattern);

void put_partner(disk::Tx& tx, const partners::Entry& entry, PartnerBatch batch, PartnerRow row = PartnerRow::there);
// What earlier batches had in its place; all of it, where that batch removed it.
void drop_earlier(disk::Tx& tx, const partners::Entry& entry, PartnerBatch batch);
// entry.told
void mark_told(disk::Tx& tx, const partners::Entry& entry);

// A batch is followed when it was told of, and what waits was tried on it.
PartnerBatch followed_batch(disk::Tx& tx);
void mark_followed(disk::Tx& tx, PartnerBatch batch);
// What committed batches changed last, after that one, by domain and rule; `after` as in list_partners().
Result<std::vector<ChangedPartner>> changed_since(disk::Tx& tx, PartnerBatch followed, const PartnerAt& after,
                                                  std::size_t limit);
// Rows of a batch that never came to count; true: there are none left.
bool drop_uncommitted(disk::Tx& tx, std::size_t limit);

}  // namespace hoplock::store_sqlite
