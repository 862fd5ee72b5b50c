// SPDX-License-Identifier: Apache-2.0
#include "delivery/history_entry.h"

#include <algorithm>
#include <utility>

#include "base/json_line.h"

namespace hoplock::delivery {

namespace {

constexpr std::size_t most_story_octets =
    16U << 10U;  // of the conversations of an attempt: servers may be many, and talk much

void add_hop(JsonLine& line, const HopWords& hop) {
  line.add("mx", hop.mx).add("ip", hop.ip).add("src", hop.src).add("policy", hop.policy).add("tls", hop.tls);
}

void add_proof(JsonLine& line, const HopWords& hop) {
  line.add("mx_dnssec", hop.mx_dnssec).add("sni", hop.sni).add("tlsa", hop.tlsa).add("observed", hop.observed);
}

// Without its recipient: several may share it.
JsonLine shared(const RecipientLine& of) {
  JsonLine line(verdict_word(of.verdict));
  line.add("attempt", std::int64_t{of.attempt}).add("domain", of.domain);
  if (of.hop) {
    add_hop(line, *of.hop);
    line.add("cipher", of.hop->cipher).add("auth", of.hop->auth).add("cert", of.hop->cert);
  }
  line.add("reason", of.reason).add("dsn", of.status).add("reply", of.reply);
  line.add("delay", std::int64_t{of.delay.count()});
  if (of.next) line.add("next", to_rfc3339(*of.next));
  if (of.hop) add_proof(line, *of.hop);
  if (of.redacted) line.add("redacted", "yes");
  line.add("note", of.note).add("by", of.by);
  return line;
}

std::string overlooked_history(const Attempt& attempt, const std::string& text) {
  JsonLine line("sts-policy");
  line.add("domain", attempt.domain.text()).add("action", "failed").add("error", text);
  return line.text();
}

void append_line(std::string& out, const std::string& line) { out += (out.empty() ? "" : "\n") + line; }

}  // namespace

std::string to_history(const HopLine& of) {
  JsonLine line("hop");
  line.add("domain", of.domain);
  if (of.count > 0) line.add("count", static_cast<std::int64_t>(of.count));
  if (of.hop) {
    add_hop(line, *of.hop);
    line.add("auth", of.hop->auth).add("cert", of.hop->cert);
  }
  line.add("reason", of.reason).add("dsn", of.status).add("reply", of.reply).add("action", of.action);
  if (of.hop) add_proof(line, *of.hop);
  line.add("note", of.note);
  return line.text();
}

std::vector<std::string> transcripts(const Attempt& attempt) {
  std::vector<std::string> told;
  std::size_t octets = 0;
  for (std::size_t i = 0; i < attempt.hops.size() && octets < most_story_octets; ++i) {
    const Hop& hop = attempt.hops[i];
    const bool failed =
        std::any_of(attempt.recipients.begin(), attempt.recipients.end(),
                    [&](const RecipientStatus& one) { return one.hop == i && one.fate != Fate::delivered; });
    if ((!failed && !hop.refusal) || hop.transcript.lines().empty()) continue;
    std::string lines;
    for (const std::string& line : hop.transcript.lines()) lines += (lines.empty() ? "[" : ",") + json_string(line);
    octets += lines.size();
    JsonLine line("conversation");
    line.add("mx", hop.mx);
    if (hop.ip) line.add("ip", hop.ip->text());
    line.add_bare("lines", lines + "]");
    told.push_back(line.text());
  }
  return told;
}

std::string history_entry(const std::vector<RecipientLine>& recipients) {
  struct Group {
    std::string what;
    JsonLine line;
    std::string who;
  };
  std::vector<Group> groups;
  for (const RecipientLine& one : recipients) {
    JsonLine line = shared(one);
    std::string what = line.text();
    std::string who = json_string(one.to);
    if (!groups.empty() && groups.back().what == what) {
      groups.back().who += "," + who;
    } else {
      groups.push_back({std::move(what), std::move(line), std::move(who)});
    }
  }
  std::string out;
  for (Group& group : groups) append_line(out, group.line.add_bare("to", "[" + group.who + "]").text());
  return out;
}

std::string history_entry(const Attempt& attempt, const std::vector<RecipientLine>& recipients) {
  std::string out;
  if (const auto text = overlooked_text(attempt)) append_line(out, overlooked_history(attempt, *text));
  for (const HopLine& line : lines_of_hops(attempt)) append_line(out, to_history(line));
  for (const std::string& line : transcripts(attempt)) append_line(out, line);
  const std::string ends = history_entry(recipients);
  if (!ends.empty()) append_line(out, ends);
  return out;
}

}  // namespace hoplock::delivery
