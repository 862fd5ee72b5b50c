// SPDX-License-Identifier: Apache-2.0
// The first sentence of the status page: does mail flow, and if not, what is in its way and since when. Good only when mail flows and
// nothing of ours wants a hand; what other people's servers do wrong is told below it, not here. Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "monitor/counters.h"
#include "monitor/daemon_status.h"
#include "monitor/health.h"
#include "monitor/survey.h"

namespace hoplock::page {

enum class Mood : std::uint8_t { good, attention, bad };
std::string_view to_text(Mood mood);  // the words above: classes of the style sheet, names of the icons

// What one look shows.
struct View {
  const monitor::DaemonStatus& status;
  const monitor::Survey* survey = nullptr;  // null: nothing is known of the database yet
  const std::vector<monitor::Problem>& problems;
  const std::vector<monitor::Counters::Attempts>& last_hour;
  monitor::Counters::Fetches fetches;
  std::optional<Milliseconds> usual_oldest;  // the age that the oldest message mostly has; nothing: not known
};

struct Remark {
  Mood mood = Mood::bad;
  std::string text;       // a sentence
  std::string command;    // that mends it, or shows more of it
  std::string problem{};  // its name in /healthz and the metrics; "": it is none there
};
struct Verdict {
  Mood mood = Mood::good;
  std::string sentence;         // without an end stop
  std::vector<Remark> remarks;  // the gravest first
};
Verdict verdict_of(const View& view);

}  // namespace hoplock::page
