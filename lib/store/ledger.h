// SPDX-License-Identifier: Apache-2.0
// The ledger of TLS reports (RFC 8460), as values: what became of each outbound session, added up per report domain and UTC day, and from
// the day's end on what became of that day's report.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "store/id.h"
#include "tlsrpt/report.h"
#include "tlsrpt/tally.h"

namespace hoplock::store {

// One account, one report (RPT-30). Orders by day, then by domain.
struct ReportKey {
  tlsrpt::Day day{};
  dns::Name domain;  // at which the TLSRPT record stands
  auto operator<=>(const ReportKey&) const = default;
};

// Sessions of many deliveries, added up in memory before they are written.
class LedgerCounts {
 public:
  struct Account {
    std::uint64_t sessions = 0;
    std::uint64_t failures = 0;
    explicit Account(dns::Name domain) : tally(std::move(domain)) {}
    tlsrpt::Tally tally;
  };
  // One session: what one call of tlsrpt::classify gave. Nothing is added when that is empty.
  void add(const ReportKey& key, const std::vector<tlsrpt::Sessions>& session);
  void add(const LedgerCounts& more);
  bool empty() const { return accounts_.empty(); }

  const std::map<ReportKey, Account>& accounts() const { return accounts_; }

 private:
  std::map<ReportKey, Account> accounts_;
};

// The numbers are on disk (tlsrpt_account.state, DUR-06), and from `sent` on it is over: none is ever renumbered.
enum class ReportState : std::uint8_t {
  collecting = 0,  // sessions are added; nothing is planned yet
  due = 1,         // its report's time is fixed; still collecting
  built = 2,       // the report is stored and never changes again; being sent
  sent = 3,        // at least one destination took it
  failed = 4,      // nobody took it, and the time for trying is over
  skipped = 5,     // nobody is to be told: the record is gone or names no usable destination
};
std::string_view to_text(ReportState state);  // the words above

struct ReportAccount {
  ReportKey key;
  ReportState state = ReportState::collecting;
  std::uint64_t sessions = 0;  // each once, however many policies applied to it
  std::uint64_t failures = 0;  // of them, those that failed under any policy
  std::optional<Time> due;     // when it is looked at next; while due or built
  std::optional<Time> since;   // when it was first due, then first tried: there the 24 hours for trying begin (RPT-43)
  std::uint32_t attempts = 0;  // rounds of sending so far
  std::string error;           // why it was skipped or failed, or of the last round
};

struct ReportSelection {
  std::optional<tlsrpt::Day> day;
  std::optional<dns::Name> domain;
  std::optional<ReportKey> after;  // the last one of the page before
  std::size_t limit = 1000;
};

// What is sent, and what `tlsrpt show` prints.
struct BuiltReport {
  std::string report_id;
  std::string file_name;
  std::string gzip;            // of tlsrpt::to_json
  std::uint32_t policies = 0;  // elements of the report
  std::uint64_t sessions = 0;  // as in Account
  std::uint64_t failures = 0;
};

struct DueReports {
  std::vector<ReportKey> keys;  // due or built, their time come, the longest overdue first
  std::optional<Time> next;     // when the first of the others is due
};

// One rua of one report.
struct ReportDestination {
  enum class State : std::uint8_t { waiting = 0, accepted = 1, failed = 2 };  // on disk (tlsrpt_destination.state)
  std::string rua;                                                            // tlsrpt::to_text of it
  State state = State::waiting;
  std::uint32_t attempts = 0;
  std::optional<Time> next;  // waiting: not before
  std::string error;         // of the last attempt
};

// A round of sending is over and another one follows.
struct ReportPause {
  Time since;  // of the first round
  Time next;
};

enum class PruneReports : std::uint8_t {
  ended,
  all
};  // ended: sent, failed or skipped; all: nobody sends what is left

// That a mail of the queue carries the report to this destination, which took it; and that one came back.
struct ReportMark {
  ReportKey key;
  ReportDestination destination;
};
struct GivenUpReport {
  Id mail;
  std::string why;
};
// An account whose mail came back, as it is from now on.
struct ReturnedReport {
  ReportAccount account;
  std::string rua;
};

struct LedgerRow {
  ReportAccount account;
  std::string report_id;  // "": not built
  std::vector<ReportDestination> destinations;
  std::string node;  // that sends it, where several share the ledger; "": none, or there is only one
};

// One day's accounts, added up.
struct LedgerSummary {
  struct Count {
    ReportState state = ReportState::collecting;
    std::uint64_t accounts = 0;
  };
  std::uint64_t sessions = 0;
  std::uint64_t failures = 0;
  std::vector<Count> states;  // those that occur
};

}  // namespace hoplock::store
