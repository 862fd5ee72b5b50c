// SPDX-License-Identifier: Apache-2.0
// Statements as values: what is sent to the server in one round trip. A Batch only reads; a Job writes, under the fence of a stream
// (stream.h).
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "postgres/parameter.h"
#include "postgres/rows.h"

namespace hoplock::postgres {

struct Statement {
  // One statement. It is prepared on each connection by its text: so a bounded number of texts, values as parameters.
  std::string sql;
  std::vector<Parameter> parameters;  // $1, $2, …
};
// statement("DELETE FROM chunk WHERE message = ANY($1)", ids)
template <class... Values>
Statement statement(std::string sql, const Values&... values) {
  Statement made;  // an aggregate's own braces are a false -Warray-bounds of GCC 12
  made.sql = std::move(sql);
  made.parameters.reserve(sizeof...(values));
  (made.parameters.emplace_back(values), ...);
  return made;
}

using Batch = std::vector<Statement>;
// The rows of each statement, in their order.
using Answer = std::vector<Rows>;

// durable: flushed by the synchronous standby too (as far as Synchronous says) when it completes. relaxed: seen by all, but a crash may
// undo it until the next durable one of the same server.
enum class Durability : std::uint8_t { relaxed, durable };

// What is written as a whole or not at all. It is sent with others in one transaction, and again when its outcome is unknown, until it is
// known: the values in it do not change. A statement that must find something asserts it by a division by zero: SELECT 1/count(*) FROM …;
// the job then fails with bad_message, alone.
// REQUIRES: no BEGIN, COMMIT, SAVEPOINT, NOTIFY or SET in it; rows are locked in the order of (message, seq), accounts of (day, domain).
struct Job {
  Batch statements;
  Durability durability = Durability::durable;
  // When the answer was lost although it was committed, its rows are gone: these are asked instead, behind it, each for itself. As many
  // as there are to be answers; none: Written has no rows then.
  Batch read_back;
  // Written behind it, in a job of its own, when it turns out to be committed after its caller gave up (deadline): what makes it undone.
  Batch undo;
};

struct Written {
  Answer rows;            // of `statements`, or of `read_back`
  bool replayed = false;  // the rows are those of `read_back`
  std::int64_t incarnation = 0;
  std::int64_t batch = 0;  // the number that it was written under
};

}  // namespace hoplock::postgres
