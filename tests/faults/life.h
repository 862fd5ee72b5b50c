// SPDX-License-Identifier: Apache-2.0
// One life of a store under a fault, in a child process: it opens the store, accepts, delivers, bounces, obeys an operator, copies
// the log, forgets, closes and opens again, and tells over a pipe what it was told. The parent holds the store that is left against that.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/storage.h"

namespace hoplock::faults {

struct Plan {
  storage_fault fault{};
  int acknowledged_after =
      0;  // so many more good answers after the fault, then the machine stops; 0: it lives to its end
};

// What the child saw, by message.
struct Ledger {
  enum class Hold { no, maybe, yes };
  struct Fate {
    bool tried = false;
    bool accepted = false;  // the answer was good
    bool settling = false;  // delivery or bounce is on its way to the store
    bool settled = false;   // and is stored, as it was told
    bool bounced = false;
    Hold hold = Hold::no;   // by an operator; maybe: the order was not said to be done
    bool removing = false;  // an operator's order is on its way to the store
    bool removed = false;   // and was said to be done
  };
  std::map<std::int64_t, Fate> messages;
  std::vector<std::string> errors;  // in order, as an operator would read them
  std::string where;                // "write queue.db-wal": the call that failed
  bool struck = false;
  bool loop_hung = false;  // the call that hung was one of the loop's, after the start
  int acknowledged_after_strike = 0;
  enum class End { finished, stopped, ended, crashed, hung } end = End::crashed;
  std::vector<long> calls;  // by kind, of a life without a fault
};

// A store with some mail in it, as kill -9 left it.
void prepare(const std::filesystem::path& directory, Ledger& ledger);
// `ledger` goes on from what prepare() said. Stable storage is kept in `shadow`.
void live(const std::filesystem::path& directory, const std::filesystem::path& shadow, const Plan& plan,
          Ledger& ledger);

// What is on the disk after a power cut.
enum class Survival { nothing_unsynced, sectors_at_random };
void cut_power(const std::filesystem::path& directory, const std::filesystem::path& shadow,
               const std::filesystem::path& out, Survival survival, unsigned seed);

// Opens the store as the next start does, and gives what is wrong with it; empty: all is well.
std::vector<std::string> verify(const std::filesystem::path& directory, const Ledger& ledger);

}  // namespace hoplock::faults
