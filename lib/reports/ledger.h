// SPDX-License-Identifier: Apache-2.0
// The ledger of TLS reports (RFC 8460): what became of each outbound session, added up per report domain and UTC day, and from the
// day's end on what became of that day's report. Owns the tables tlsrpt_account, tlsrpt_element, tlsrpt_detail and
// tlsrpt_destination. Its functions run inside disk jobs; callers open the transactions, so that counts are stored together with the
// delivery they tell of, and a report is marked together with the mail that carries it. It asks no DNS, sends nothing, knows no clock.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "disk/job.h"
#include "disk/migrations.h"
#include "tlsrpt/report.h"
#include "tlsrpt/tally.h"

namespace hoplock::reports {

std::vector<disk::Migration> migrations();

// One account, one report (RPT-30). Orders by day, then by domain.
struct Key {
  tlsrpt::Day day{};
  dns::Name domain;  // at which the TLSRPT record stands
  auto operator<=>(const Key&) const = default;
};

// --- counting ----------------------------------------------------------------------------------------------------------

// Sessions of many deliveries, added up in memory before they are written.
class Counts {
 public:
  // One session: what one call of tlsrpt::classify gave. Nothing is added when that is empty.
  void add(const Key& key, const std::vector<tlsrpt::Sessions>& session);
  void add(const Counts& more);
  bool empty() const { return accounts_.empty(); }

 private:
  friend void add(disk::Tx& tx, const Counts& counts);
  struct Account {
    std::uint64_t sessions = 0;
    std::uint64_t failures = 0;
    explicit Account(dns::Name domain) : tally(std::move(domain)) {}
    tlsrpt::Tally tally;
  };
  std::map<Key, Account> accounts_;
};

// Counts are exact; of policy texts and failure details an account keeps as many as tlsrpt::Limits allows, and fewer once a day's
// accounts together hold very many (RPT-34), but always some: no domain's displace another's (RPT-48). A session whose day's report is
// built already is counted for the next day whose is not.
void add(disk::Tx& tx, const Counts& counts);

// --- reading -----------------------------------------------------------------------------------------------------------

// The numbers are on disk (tlsrpt_account.state, DUR-06), and from `sent` on it is over: none is ever renumbered.
enum class State : std::uint8_t {
  collecting = 0,  // sessions are added; nothing is planned yet
  due = 1,         // its report's time is fixed; still collecting
  built = 2,       // the report is stored and never changes again; being sent
  sent = 3,        // at least one destination took it
  failed = 4,      // nobody took it, and the time for trying is over
  skipped = 5,     // nobody is to be told: the record is gone or names no usable destination
};
std::string_view to_text(State state);  // the words above

struct Account {
  Key key;
  State state = State::collecting;
  std::uint64_t sessions = 0;  // each once, however many policies applied to it
  std::uint64_t failures = 0;  // of them, those that failed under any policy
  std::optional<Time> due;     // when it is looked at next; while due or built
  std::optional<Time> since;   // when it was first due, then first tried: there the 24 hours for trying begin (RPT-43)
  std::uint32_t attempts = 0;  // rounds of sending so far
  std::string error;           // why it was skipped or failed, or of the last round
};
std::optional<Account> find(disk::Tx& tx, const Key& key);

struct Selection {
  std::optional<tlsrpt::Day> day;
  std::optional<dns::Name> domain;
  std::optional<Key> after;  // the last one of the page before
  std::size_t limit = 1000;
};
std::vector<Account> list(disk::Tx& tx, const Selection& selection);  // by Key

// --- the report ---------------------------------------------------------------------------------------------------------

// What is sent, and what `tlsrpt show` prints.
struct Built {
  std::string report_id;
  std::string file_name;
  std::string gzip;            // of tlsrpt::to_json
  std::uint32_t policies = 0;  // elements of the report
  std::uint64_t sessions = 0;  // as in Account
  std::uint64_t failures = 0;
};
// The report as it would be built now, from an account that is not built yet; nothing: there is none, or it is built. Its id is the
// one that build() will give it.
std::optional<tlsrpt::Report> preview(disk::Tx& tx, const Key& key, const tlsrpt::Submitter& submitter);
// Built once: stored with the first call, after which counts and details are dropped, the state is `built` and every call gives the
// same octets, whatever `submitter` is by then. Nothing: no such account. Works on days that are not over, too. A skipped account is
// built as well, and so comes back to life.
std::optional<Built> build(disk::Tx& tx, const Key& key, const tlsrpt::Submitter& submitter);
// What build() stored, never building.
std::optional<Built> stored(disk::Tx& tx, const Key& key);

// --- sending --------------------------------------------------------------------------------------------------------------

// Accounts of days before `today` for which nothing is planned yet.
std::vector<Key> unplanned(disk::Tx& tx, tlsrpt::Day today, std::size_t limit);
// collecting becomes due; any other state stays as it is: the time is fixed once (RPT-32).
void plan(disk::Tx& tx, const Key& key, Time due);
// After the clock was set back: what would be due later than any plan makes it, for a day before that of `now`, is due now.
void rebase(disk::Tx& tx, Time now, Time latest);
struct Due {
  std::vector<Key> keys;     // due or built, their time come, the longest overdue first
  std::optional<Time> next;  // when the first of the others is due
};
Due due(disk::Tx& tx, Time now, std::size_t limit);
// For an operator: due now, whatever it waits for; one that failed or was skipped gets another 24 hours. False: it is sent, or unknown.
bool send_now(disk::Tx& tx, const Key& key, Time now);

// One rua of one report.
struct Destination {
  enum class State : std::uint8_t { waiting = 0, accepted = 1, failed = 2 };  // on disk (tlsrpt_destination.state)
  std::string rua;                                                            // tlsrpt::to_text of it
  State state = State::waiting;
  std::uint32_t attempts = 0;
  std::optional<Time> next;  // waiting: not before
  std::string error;         // of the last attempt
};
std::vector<Destination> destinations(disk::Tx& tx, const Key& key);  // by rua
void put_destination(disk::Tx& tx, const Key& key, const Destination& destination);

// A round of sending is over and another one follows.
struct Pause {
  Time since;  // of the first round
  Time next;
};
void postpone(disk::Tx& tx, const Key& key, const Pause& pause, std::string_view error);
// REQUIRES: `end` is sent, failed or skipped.
void finish(disk::Tx& tx, const Key& key, State end, std::string_view error);

// Forgets accounts of days before `before`, at most `limit` of them. True: there are more.
enum class Prune : std::uint8_t { ended, all };  // ended: sent, failed or skipped; all: nobody sends what is left
bool prune(disk::Tx& tx, tlsrpt::Day before, Prune which, std::size_t limit);

}  // namespace hoplock::reports
