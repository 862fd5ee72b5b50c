// SPDX-License-Identifier: Apache-2.0
#include "store/stored_partner.h"

#include <string>
#include <utility>

namespace hoplock::store {

namespace {

constexpr std::int64_t level_encrypt = 1, level_verify = 2, level_dane = 3;
constexpr std::int64_t rule_mandate = 0, rule_dane = 1, rule_sts = 2;

std::optional<hop::Mandate> level_of(std::int64_t number) {
  if (number == level_encrypt) return hop::Mandate::encrypt;
  if (number == level_verify) return hop::Mandate::verify;
  return number == level_dane ? std::optional(hop::Mandate::dane) : std::nullopt;
}

}  // namespace

std::int64_t rule_number(partners::Rule rule) {
  return rule == partners::Rule::mandate ? rule_mandate : rule == partners::Rule::dane ? rule_dane : rule_sts;
}

std::int64_t level_number(hop::Mandate level) {
  switch (level) {
    case hop::Mandate::encrypt:
      return level_encrypt;
    case hop::Mandate::verify:
      return level_verify;
    case hop::Mandate::dane_audit:
    case hop::Mandate::dane:
      return level_dane;
    case hop::Mandate::none:
      break;
  }
  return 0;
}

Result<partners::Entry> entry_of(const StoredPartner& row) {
  auto domain = partners::parse_domain(row.domain);
  const auto level = level_of(row.level);
  const bool mandate = row.rule == rule_mandate;
  const bool known = mandate || row.rule == rule_dane || row.rule == rule_sts;
  if (!domain || !known || (mandate && !level) || (!mandate && !row.until))
    return fail(errc::bad_message, "the row '" + std::string(row.domain) + "' of the table of partners cannot be read");
  partners::Entry entry;
  entry.domain = std::move(*domain);
  entry.rule = mandate                 ? partners::Rule::mandate
               : row.rule == rule_dane ? partners::Rule::dane
                                       : partners::Rule::mta_sts;
  if (mandate) entry.level = *level;
  if (row.until) entry.until = partners::Day{std::chrono::days{*row.until}};
  entry.note = row.note;
  entry.by = row.by;
  entry.since = row.since;
  entry.told = row.told;
  return entry;
}

}  // namespace hoplock::store
