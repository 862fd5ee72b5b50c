// SPDX-License-Identifier: Apache-2.0
#include "store_postgres/statistics_fold.h"

#include <utility>

#include "statistics/batch.h"
#include "store_postgres/text.h"

namespace hoplock::store_postgres {

using statistics::Row;

void StatisticsFold::gather(statistics::Day day, std::string_view octets) {
  statistics::unpack(octets, day, [&](const statistics::Unpacked& one) {
    Row row{day, text_of(one.domain), one.kind, text_of(one.what)};
    const auto [at, fresh] = gathered_.try_emplace(std::move(row), one.sum);
    if (!fresh) at->second.add(one.sum);
  });
}

void StatisticsFold::know_row(Row row) {
  domains_.insert({row.day, row.domain});
  ++kinds_[{row.day, row.domain, row.kind}];
  known_.insert(std::move(row));
}

// Of a day that has no row of its domain yet.
bool StatisticsFold::has_place(const Row& row) {
  const Totals& day = totals_[row.day];
  return day.domains < limits_.domains && (seen_.contains(row.domain) || day.strangers < limits_.strangers);
}

bool StatisticsFold::has_room(const Row& row) {
  using statistics::Kind;
  if (row.kind == Kind::delivered) return true;
  if (totals_[row.day].rows >= limits_.rows) return false;
  if (row.kind == Kind::failed || row.kind == Kind::host) return true;  // closed lists of words, too, if longer ones
  const auto at = kinds_.find({row.day, row.domain, row.kind});
  return at == kinds_.end() || at->second < limits_.rows_of_kind;
}

void StatisticsFold::make(const Row& row) {
  Totals& day = totals_[row.day];
  if (!row.domain.empty() && !domains_.contains({row.day, row.domain})) {
    ++day.domains;
    if (seen_.insert(row.domain).second) ++day.strangers;
  }
  ++day.rows;
  day.changed = true;
  know_row(row);
}

void StatisticsFold::place() {
  for (const auto& [row, sum] : gathered_) {
    Row at = row;
    for (;;) {
      if (known_.contains(at)) break;
      if (!at.domain.empty() && !domains_.contains({at.day, at.domain}) && !has_place(at)) {
        at.domain.clear();
      } else if (!at.what.empty() && !has_room(at)) {
        at.what.clear();
      } else {
        make(at);
        break;
      }
    }
    const auto [place, fresh] = placed_.try_emplace(at, sum);
    if (!fresh) place->second.add(sum);
  }
}

}  // namespace hoplock::store_postgres
