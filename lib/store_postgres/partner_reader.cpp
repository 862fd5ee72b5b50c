// SPDX-License-Identifier: Apache-2.0
#include "store_postgres/partner_reader.h"

#include <optional>
#include <utility>

#include "store_postgres/partner_rows.h"

namespace hoplock::store_postgres {

namespace {

constexpr std::size_t partners_at_once = 256;

}  // namespace

Result<> PostgresPartnerReader::list(const std::function<void(const partners::Entry&)>& call) {
  std::optional<PartnerAt> at = PartnerAt{};
  while (at) {
    const auto rows = connection_.run(select_partner_page(*at, partners_at_once));
    if (!rows) return rows.error();
    auto page = partner_page_of(*rows, partners_at_once);
    if (!page) return page.error();
    for (const partners::Entry& entry : page->entries) call(entry);
    at = std::move(page->next);
  }
  return {};
}

// In their order, and by rule.
Result<std::vector<partners::Entry>> PostgresPartnerReader::find(const std::vector<std::string>& patterns) {
  const auto rows = connection_.run(postgres::statement(
      select_partners("NOT p.gone AND p.domain = ANY($1) ORDER BY array_position($1, p.domain), p.rule"), patterns));
  if (!rows) return rows.error();
  std::vector<partners::Entry> found;
  for (const postgres::Row row : *rows) {
    auto entry = partner_of(row);
    if (!entry) return entry.error();
    found.push_back(std::move(*entry));
  }
  return found;
}

Result<std::vector<partners::Entry>> PostgresPartnerReader::find(const dns::Pattern& pattern) {
  return find(std::vector<std::string>{dns::to_text(pattern)});
}

Result<std::vector<partners::Entry>> PostgresPartnerReader::find(const dns::Name& domain) {
  std::vector<std::string> patterns{dns::to_text(dns::Pattern{dns::Pattern::Kind::exact, domain})};
  for (dns::Name above = domain.parent(); !above.is_root(); above = above.parent())
    patterns.push_back(dns::to_text(dns::Pattern{dns::Pattern::Kind::subdomains, above}));
  return find(patterns);
}

}  // namespace hoplock::store_postgres
