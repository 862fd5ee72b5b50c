// SPDX-License-Identifier: Apache-2.0
// A real PostgreSQL 15 in a directory of the test's own, on a free port of 127.0.0.1; what initdb makes is made once a test run and copied.
// Run as an unprivileged user where the test is root. Gone with it.
#pragma once
#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "postgres/blocking.h"
#include "tests/support/temp_directory.h"

namespace hoplock::support {

class PostgresServer {
 public:
  // Whether Debian's postgresql-15 is there. A test that needs it says so and ends; in CI it fails.
  static bool is_installed();

  // fsync only where a test is about what a crash leaves behind.
  enum class Files : std::uint8_t { unsynced, synced };
  explicit PostgresServer(Files files = Files::unsynced, std::vector<std::string> settings = {});
  // A copy of that one which streams from it, called `name` there; synchronous once that one is told so.
  static std::unique_ptr<PostgresServer> standby_of(PostgresServer& primary, const std::string& name);
  ~PostgresServer();
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  void start();
  void stop();     // fast: sessions are ended
  void kill();     // -9, all its processes
  void promote();  // of a standby: returns when it is a primary

  std::uint16_t port() const { return port_; }
  std::string url(const std::string& user = "hoplock") const { return url_of(port_, user); }
  static std::string url_of(std::uint16_t port, const std::string& user = "hoplock");
  postgres::Options options() const;
  // As the superuser `hoplock`: the first column of the first row, as text. Throws what the server says.
  std::string sql(const std::string& statement) const { return sql_in("postgres", statement); }
  std::string sql_in(const std::string& database, const std::string& statement) const;
  // Until the statement gives that.
  void await(const std::string& statement, const std::string& wanted) const;
  // ALTER SYSTEM and a reload that the sessions have seen.
  void set(const std::string& name, const std::string& value) const;
  // From now on with this certificate, for those that ask for TLS.
  void use_tls(const std::string& certificate, const std::string& key) const;
  void require_password(const std::string& role) const;
  std::string log() const;
  std::vector<pid_t> processes() const;  // the first is the parent of the others

 private:
  struct Copied {};
  PostgresServer(Copied, Files files);
  void run(const std::vector<std::string>& command) const;
  std::string data() const { return directory_.file("data"); }

  TempDirectory directory_;
  Files files_;
  std::vector<std::string> settings_;
  std::uint16_t port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace hoplock::support
