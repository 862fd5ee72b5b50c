// SPDX-License-Identifier: Apache-2.0
#include "smtpclient/transcript.h"

#include "base/ascii.h"

namespace hoplock::smtpclient {

namespace {
constexpr std::size_t most_lines = 60;
constexpr std::size_t most_octets = 500;  // of a line
}  // namespace

void Transcript::add(std::string_view who, std::string_view text) {
  if (lines_.size() > most_lines) return;
  if (lines_.size() == most_lines) who = "", text = "(and more)";
  std::string line(who);
  line += text.substr(0, most_octets);
  if (text.size() > most_octets) line += " (cut)";
  lines_.push_back(std::move(line));
}

void Transcript::sent(std::string_view wire) {
  for (std::string_view line : split(wire, '\n')) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) add("C: ", line);
  }
}

void Transcript::received(std::string_view reply) { add("S: ", reply); }
void Transcript::note(std::string_view what) { add("", "(" + std::string(what) + ")"); }

}  // namespace hoplock::smtpclient
