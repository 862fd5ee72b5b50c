// SPDX-License-Identifier: Apache-2.0
// The operator's tool, run in this process.
#pragma once
#include <boost/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "daemon/tool/tool.h"

namespace hoplock::daemon::test {

struct Said {
  int code = 0;
  std::string out;
  std::string err;
  boost::json::value data() const { return boost::json::parse(out); }
  // Octets that a terminal would obey are not among them.
  bool tame() const {
    for (const char c : out + err) {
      if ((static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7F) return false;
    }
    return true;
  }
  bool says(std::string_view part) const { return out.find(part) != std::string::npos; }
};

inline Said run_tool(std::vector<std::string> words, Time now = Time{}, std::optional<std::size_t> width = std::nullopt,
                     std::optional<std::string> typed = std::nullopt) {
  std::ostringstream out, err;
  std::istringstream in(typed.value_or(""));
  Said said;
  said.code = tool::run(std::move(words), {out, err, width, now, typed ? &in : nullptr});
  said.out = out.str();
  said.err = err.str();
  return said;
}

}  // namespace hoplock::daemon::test
