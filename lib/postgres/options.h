// SPDX-License-Identifier: Apache-2.0
// Where the database is and how it is spoken to: `store`, `store_password_file`, `store_tls`, `store_ca_file`, `store_synchronous`.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "base/result.h"
#include "base/time.h"

namespace hoplock::postgres {

enum class Tls : std::uint8_t { verify_full, verify_ca, off };
// What a durable commit is worth. require: a synchronous standby has it, or it is not acknowledged. prefer: where there is one. local: on
// the primary's own disk.
enum class Synchronous : std::uint8_t { require, prefer, local };

struct Options {
  std::string url;  // postgresql://user@host:5432,host2:5432/database; or with host=/run/postgresql
  std::filesystem::path
      password_file;              // holds the password, one line; read at each connect. Empty: none, or as the URL says
  Tls tls = Tls::verify_full;     // nothing is asked of a Unix socket
  std::filesystem::path ca_file;  // empty: those of the system
  Synchronous synchronous = Synchronous::require;
  std::filesystem::path
      timeline_file;  // keeps the highest timeline seen; a server on a lower one is refused. Empty: not kept
  Milliseconds connect_timeout{2000};  // of one address
  Milliseconds deadline{8000};         // of one batch; the server's own timeouts do not end the wait for a standby
  Milliseconds patience{5000};         // of a batch that was not sent yet, while there is no server
};

// "host:5432, host2:5432, database hoplock": for people, without user and password.
std::string describe(const Options& options);
// Error invalid_argument: no URL of PostgreSQL; Tls::off with a host that is not this machine.
Result<> check(const Options& options);

}  // namespace hoplock::postgres
