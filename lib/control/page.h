// SPDX-License-Identifier: Apache-2.0
// The status page: what an operator wants to know first, in one look. HTML without scripts, pictures or anything from elsewhere; all
// text of foreign origin is escaped. Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "control/counters.h"
#include "control/facts.h"
#include "control/health.h"
#include "control/survey.h"

namespace hoplock::control {

struct View {
  const Facts& facts;
  const Survey* survey = nullptr;  // null: nothing is known of the database yet
  const std::vector<Problem>& problems;
  const std::vector<Counters::Attempts>& last_hour;
  Counters::Fetches fetches;
};
std::string to_html(const View& view);

// As text between tags, or between the quotes of an attribute: one line, no octet of it is markup.
std::string escaped(std::string_view text);

}  // namespace hoplock::control
