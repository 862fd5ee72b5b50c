// SPDX-License-Identifier: Apache-2.0
#include "daemon/log_late.h"

#include <utility>

namespace hoplock::daemon {

namespace {
constexpr std::chrono::seconds between_openings{30};
}  // namespace

LateLogFile::LateLogFile(std::string path, std::shared_ptr<LogTarget> meanwhile, std::function<void()> opened)
    : path_(std::move(path)), target_(std::move(meanwhile)), opened_(std::move(opened)) {}

LogTarget::Wrote LateLogFile::write_some(std::string_view text) {
  const auto now = std::chrono::steady_clock::now();
  if (!open_ && !inside_line_ && now >= next_try_) {
    next_try_ = now + between_openings;
    if (auto file = open_log_target(path_)) {
      target_ = std::move(*file);
      open_ = true;
      opened_();
    }
  }
  Wrote wrote = target_->write_some(text);
  if (wrote.octets > 0) inside_line_ = text[wrote.octets - 1] != '\n';
  return wrote;
}

}  // namespace hoplock::daemon
