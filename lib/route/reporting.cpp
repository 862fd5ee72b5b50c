// SPDX-License-Identifier: Apache-2.0
#include "route/reporting.h"

#include <algorithm>
#include <utility>

#include "tlsrpt/record.h"

namespace hoplock::route {

namespace {
constexpr std::chrono::seconds keep_records_at_most{300};
constexpr std::chrono::seconds keep_failed_records{60};
}  // namespace

boost::asio::awaitable<ReportingPtr> gather_reporting(resolver::Resolver& resolver, SettingsPtr, dns::Name domain) {
  auto entry = std::make_shared<ReportingEntry>();
  entry->keep = keep_records_at_most;
  const auto owner = domain.under(tlsrpt::record_label);
  if (!owner) co_return entry;  // no such name can exist
  const dns::Answer answer = co_await resolver.find(*owner, dns::Type::txt);
  entry->keep = answer.failed() ? keep_failed_records : std::min(answer.ttl, keep_records_at_most);
  entry->wanted = tlsrpt::choose_record(answer.all<std::string>()).state == tlsrpt::Choice::State::valid;
  co_return entry;
}

}  // namespace hoplock::route
