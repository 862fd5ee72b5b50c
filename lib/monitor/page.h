// SPDX-License-Identifier: Apache-2.0
// The status page: what an operator wants to know first, in one look. HTML without scripts, pictures or anything from elsewhere; all
// text of foreign origin is escaped. Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "monitor/counters.h"
#include "monitor/daemon_status.h"
#include "monitor/health.h"
#include "monitor/survey.h"

namespace hoplock::monitor {

struct View {
  const DaemonStatus& status;
  const Survey* survey = nullptr;  // null: nothing is known of the database yet
  const std::vector<Problem>& problems;
  const std::vector<Counters::Attempts>& last_hour;
  Counters::Fetches fetches;
};
std::string to_html(const View& view);

// As text between tags, or between the quotes of an attribute: one line, no octet of it is markup.
std::string escaped(std::string_view text);

}  // namespace hoplock::monitor
