// SPDX-License-Identifier: Apache-2.0
// For its own sources: what this machine remembers of the database, beyond a restart, so that it does not follow one into the past: the
// highest timeline (each promotion begins a new one) and the highest incarnation. One small file, replaced as a whole.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "base/result.h"

namespace hoplock::postgres {

class Timeline {
 public:
  // Reads the file; one that is not there or damaged remembers nothing. Empty path: nothing is kept.
  explicit Timeline(std::filesystem::path file);

  // Error device_or_resource_busy: the server is on a lower one, so it is a primary that another one has replaced.
  Result<> check(std::int64_t timeline, bool keep);
  // Error state_not_recoverable: a higher one was seen in that installation, so the database is an older state of itself.
  Result<> check_incarnation(const std::string& installation, std::int64_t incarnation);

 private:
  void write() const;
  std::filesystem::path file_;
  std::int64_t timeline_ = 0;
  std::int64_t incarnation_ = 0;
  std::string installation_;
};

}  // namespace hoplock::postgres
