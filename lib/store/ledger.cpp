// SPDX-License-Identifier: Apache-2.0
#include "store/ledger.h"

#include <algorithm>
#include <array>

namespace hoplock::store {

namespace {

constexpr std::array<std::string_view, 6> state_words{"collecting", "due", "built", "sent", "failed", "skipped"};

}  // namespace

std::string_view to_text(ReportState state) { return state_words.at(static_cast<std::size_t>(state)); }

void LedgerCounts::add(const ReportKey& key, const std::vector<tlsrpt::Sessions>& session) {
  if (session.empty()) return;
  Account& account = accounts_.try_emplace(key, key.domain).first->second;
  ++account.sessions;
  const bool failed = std::any_of(session.begin(), session.end(), [](const auto& one) { return one.failures > 0; });
  if (failed) ++account.failures;
  for (const auto& one : session) account.tally.add(one);
}

void LedgerCounts::add(const LedgerCounts& more) {
  for (const auto& [key, from] : more.accounts_) {
    Account& account = accounts_.try_emplace(key, key.domain).first->second;
    account.sessions += from.sessions;
    account.failures += from.failures;
    for (const auto& one : from.tally.sum()) account.tally.add(one);
  }
}

}  // namespace hoplock::store
