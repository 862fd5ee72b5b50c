// SPDX-License-Identifier: Apache-2.0
#include "postgres/timeline.h"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <system_error>

namespace hoplock::postgres {

Timeline::Timeline(std::filesystem::path file) : file_(std::move(file)) {
  if (file_.empty()) return;
  std::ifstream in(file_);
  std::int64_t timeline = 0, incarnation = 0;
  std::string installation;
  if (!(in >> timeline >> incarnation)) return;
  in >> installation;
  timeline_ = timeline;
  incarnation_ = incarnation;
  installation_ = std::move(installation);
}

Result<> Timeline::check(std::int64_t timeline, bool keep) {
  if (timeline < timeline_)
    return fail(errc::device_or_resource_busy,
                "the server is on timeline " + std::to_string(timeline) + ", and " + std::to_string(timeline_) +
                    " was seen: it is a primary that another one has replaced" +
                    (file_.empty() ? std::string() : ". Where that is meant, remove " + file_.string()));
  if (timeline == timeline_ || !keep) return {};
  timeline_ = timeline;
  write();
  return {};
}

Result<> Timeline::check_incarnation(const std::string& installation, std::int64_t incarnation) {
  if (installation == installation_ && incarnation <= incarnation_)
    return fail(errc::state_not_recoverable,
                "the database gave this node the number " + std::to_string(incarnation) + ", and " +
                    std::to_string(incarnation_) +
                    " was given before: it is an older state of itself, as a backup is. Where that is meant, remove " +
                    file_.string());
  installation_ = installation;
  incarnation_ = incarnation;
  write();
  return {};
}

// It guards against what an administrator did, not against a crash of this machine: what cannot be written is remembered until the end.
void Timeline::write() const {
  if (file_.empty()) return;
  const std::filesystem::path made = file_.string() + ".new";
  {
    std::ofstream out(made, std::ios::trunc);
    out << timeline_ << ' ' << incarnation_ << ' ' << installation_ << '\n';
    if (!out.flush()) return;
  }
  const int descriptor = ::open(made.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor >= 0) {
    ::fsync(descriptor);
    ::close(descriptor);
  }
  std::error_code ignored;
  std::filesystem::rename(made, file_, ignored);
}

}  // namespace hoplock::postgres
