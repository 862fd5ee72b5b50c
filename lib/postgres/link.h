// SPDX-License-Identifier: Apache-2.0
// For its own sources: libpq without waiting. A connection that is being made, then one in pipeline mode: segments go out, each up to a
// Sync, and come back, each with its rows or its first error. Whoever drives it waits for the socket (Connection, BlockingConnection).
//
// A server's warning is kept with what is under way: a COMMIT whose wait for the standby was cut comes back as COMMIT, with nothing but a
// warning before it (SCALE 0, 1).
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "postgres/batch.h"
#include "postgres/blocking.h"
#include "postgres/target.h"

struct pg_conn;
struct ssl_st;

namespace hoplock::postgres {

// What stands in the parameters that a job leaves open.
struct Filling {
  std::int64_t incarnation = 0;
  std::int64_t batch = 0;
  int slot = 0;
};

// What became of what was sent up to one Sync. lost: the connection was, before all of it was answered.
struct Segment {
  Answer answer;
  std::optional<Error> error;
  std::size_t at = 0;  // the statement that failed
  bool lost = false;
};

class Link {
 public:
  // What the socket is to be ready for before it goes on.
  struct Wants {
    bool read = false;
    bool write = false;
  };

  // Begins; the host's name is looked up here unless it has its address.
  static Result<Link> start(const Target& target, const Host& host, const Options& options, Use use,
                            const std::string& application);
  // Nothing in Wants: connected, to a primary of a version that we know. Errors as BlockingConnection::open.
  Result<Wants> connect(Use use);

  // REQUIRES: connected.
  void send(const Batch& batch, const Filling& filling);
  // Reads and writes what can be, without waiting.
  Wants advance();
  bool done() const { return expected_.empty(); }  // all that was sent came to an end
  bool lost() const { return lost_; }
  std::string why() const;  // it was lost
  // The ends of what was sent, in order; nothing is under way any more. What did not end is lost.
  std::vector<Segment> take();
  // A server's WARNING since take(), as "SQLSTATE text".
  const std::string& warning() const;
  std::vector<std::string> notifications();
  int socket() const;

 private:
  struct Notices {
    std::string warning;
  };
  struct Close {
    void operator()(pg_conn* connection) const;
  };
  enum class Kind : std::uint8_t { prepare, statement, sync };
  struct Expected {
    Kind kind = Kind::statement;
    std::size_t segment = 0;
    std::size_t statement = 0;
    std::string sql, name;  // of prepare
  };
  explicit Link(pg_conn* connection);
  void send_statement(const Statement& statement, const Filling& filling, std::map<std::string, std::string>& pending,
                      Expected place);
  void collect();
  void note(const Expected& what, std::shared_ptr<const pg_result> result);
  void note_error(const Expected& what, const pg_result& result);
  void lose(std::string why);
  bool has_decrypted() const;

  std::unique_ptr<Notices> notices_;  // before the connection, which calls it
  std::unique_ptr<pg_conn, Close> connection_;
  std::map<std::string, std::string> prepared_;  // SQL to its name there
  std::uint64_t names_ = 0;
  std::deque<Expected> expected_;
  std::vector<Segment> segments_;
  bool lost_ = false;
  std::string why_;
};

}  // namespace hoplock::postgres
