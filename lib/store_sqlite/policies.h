// SPDX-License-Identifier: Apache-2.0
// The tables of MTA-STS policies. Functions inside a disk job.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "disk/job.h"
#include "disk/migrations.h"
#include "store/policies.h"

namespace hoplock::store_sqlite {

using namespace store;

std::vector<disk::Migration> policy_migrations();
// Later than the first tables of other modules.
disk::Migration refused_migration();

std::optional<PolicyRow> find_policy(disk::Tx& tx, const dns::Name& domain);
KeptPolicy find_kept(disk::Tx& tx, const dns::Name& domain);
void put_refused(disk::Tx& tx, const dns::Name& domain, std::string_view text);  // "": none
// The whole row, anew or over the old one.
void put_policy(disk::Tx& tx, const PolicyRow& row);
// All but the text of a policy that is there already.
void update_policy(disk::Tx& tx, const PolicyRow& row);
void remove_policy(disk::Tx& tx, const dns::Name& domain);

// By domain, at most `limit`, beginning after the name `after` ("": from the first).
std::vector<PolicyRow> list_policies(disk::Tx& tx, std::string_view after, std::size_t limit);

DuePolicies due_policies(disk::Tx& tx, const DueBy& by);

}  // namespace hoplock::store_sqlite
