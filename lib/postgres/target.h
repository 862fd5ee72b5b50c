// SPDX-License-Identifier: Apache-2.0
// For its own sources: a URL taken apart into hosts, each of which is connected to by itself, since libpq's own round of them has no
// timeout without blocking.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "postgres/options.h"

namespace hoplock::postgres {

struct Host {
  std::string name;     // as the certificate is to have it; a path for a Unix socket
  std::string numeric;  // its address; empty: libpq looks it up, blocking
  std::string port;
  bool is_local() const { return name.empty() || name.front() == '/' || name.front() == '@'; }
};
// "db1:5432"
std::string to_text(const Host& host);

struct Target {
  std::vector<Host> hosts;
  std::vector<std::pair<std::string, std::string>> settings;  // the rest, by libpq's keywords
};

Result<Target> parse(const Options& options);
// "" without a file. Errors: no_such_file_or_directory and the like, which name the file.
Result<std::string> read_password(const Options& options);

}  // namespace hoplock::postgres
