// SPDX-License-Identifier: Apache-2.0
// The table of MTA-STS policies: what each domain's last successful fetch brought, as it was served, and the fetches that failed since
// (RFC 8461 sections 3.2, 3.3, 5.1). Its rows are what survives a restart (STS-33). Functions inside a disk job; rules about times are
// mtasts::Freshness's, and who fetches is sts.h's.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "disk/job.h"
#include "disk/migrations.h"
#include "dns/name.h"
#include "hop/plan.h"
#include "mtasts/freshness.h"

namespace hoplock::route {

// One domain's row.
struct PolicyRow {
  dns::Name domain;
  mtasts::Freshness freshness;
  std::optional<std::string> text;      // verbatim; exactly when freshness.held
  std::optional<hop::Refusal> problem;  // of the last fetch; exactly when failures.count > 0
  Time checked;                         // when the last fetch ended, however it ended
  Time due;                             // when it is looked after next: refreshed, told expired, or removed
};

std::vector<disk::Migration> migrations();
// Later than the first tables of other modules.
disk::Migration refused_migration();

std::optional<PolicyRow> find_policy(disk::Tx& tx, const dns::Name& domain);
// With the text that the last fetch brought and that could not be accepted ("": none), which reports tell (RPT-46).
struct KeptPolicy {
  std::optional<PolicyRow> row;
  std::string refused;
};
KeptPolicy find_kept(disk::Tx& tx, const dns::Name& domain);
void put_refused(disk::Tx& tx, const dns::Name& domain, std::string_view text);  // "": none
// The whole row, anew or over the old one.
void put_policy(disk::Tx& tx, const PolicyRow& row);
// All but the text of a policy that is there already.
void update_policy(disk::Tx& tx, const PolicyRow& row);
void remove_policy(disk::Tx& tx, const dns::Name& domain);

// By domain, at most `limit`, beginning after the name `after` ("": from the first).
std::vector<PolicyRow> list_policies(disk::Tx& tx, std::string_view after, std::size_t limit);

struct DuePolicies {
  std::vector<dns::Name> domains;  // at most as many as asked for, the longest overdue first
  std::optional<Time> next;        // when the first row of all is due
};
// Rows that are due at `now`, or, set by another clock, only after `horizon`.
struct DueBy {
  Time now;
  Time horizon;
  std::size_t limit = 0;
};
DuePolicies due_policies(disk::Tx& tx, const DueBy& by);

}  // namespace hoplock::route
