// SPDX-License-Identifier: Apache-2.0
#include "delivery/lines.h"

#include <algorithm>
#include <map>
#include <utility>

namespace hoplock::delivery {

namespace {

// "sts:ok", "sts-testing:mx-not-in-policy": a rule that did not decide, and what it would have refused the host for.
std::string observed_text(const hop::Observation& observed) {
  return std::string(to_text(observed.policy)) + ":" +
         (observed.defect ? std::string(to_text(observed.defect->reason)) : "ok");
}

std::string reason_word(const std::optional<hop::Reason>& reason) {
  return reason ? std::string(to_text(*reason)) : "";
}

// "mx-not-in-policy 20, dns-failure 8"
std::string reasons_of(const std::vector<RefusedHop>& hops) {
  std::map<std::string, std::size_t> counts;
  for (const RefusedHop& hop : hops) ++counts[hop.means.reason ? reason_word(hop.means.reason) : "no-address"];
  std::string text;
  for (const auto& [reason, count] : counts) text += (text.empty() ? "" : ", ") + reason + " " + std::to_string(count);
  return text;
}

HopLine blank_line(const Attempt& attempt, Hop::Action action) {
  HopLine line;
  line.id = attempt.id;
  line.domain = attempt.domain.text();
  line.action = action_word(action);
  return line;
}

HopLine line_of(const Attempt& attempt, const RefusedHop& refused) {
  HopLine line = blank_line(attempt, refused.action);
  line.hop = hop_words(*refused.hop);
  line.reason = reason_word(refused.means.reason);
  line.status = refused.means.status;
  line.reply = refused.means.reply;
  line.note = attempt.note;
  return line;
}

HopLine line_of_rest(const Attempt& attempt, const std::vector<RefusedHop>& rest) {
  HopLine line = blank_line(attempt, rest.back().action);
  line.count = rest.size();
  line.reply = std::to_string(rest.size()) + " more hosts were refused: " + reasons_of(rest);
  return line;
}

void add_hop_keys(Event& event, const HopWords& hop) {
  event.add("mx", hop.mx).add("ip", hop.ip).add("src", hop.src).add("policy", hop.policy).add("tls", hop.tls);
}

void add_proof_keys(Event& event, const HopWords& hop) {
  event.add("mx_dnssec", hop.mx_dnssec).add("sni", hop.sni).add("tlsa", hop.tlsa).add("observed", hop.observed);
}

}  // namespace

HopWords hop_words(const Hop& hop) {
  HopWords words;
  words.mx = hop.mx;
  if (hop.ip) words.ip = hop.ip->text();
  if (hop.src) words.src = hop.src->text();
  words.policy = to_text(hop.policy);
  words.tls = hop.tls ? hop.tls->version : "none";
  if (hop.tls) words.cipher = hop.tls->cipher;
  words.auth = to_text(hop.auth);
  if (hop.tls) words.cert = hop.tls->key;
  words.mx_dnssec = dns::to_text(hop.mx_security);
  if (hop.tls) words.sni = hop.tls->sni;
  if (hop.matched && hop.auth != hop::Auth::none) words.tlsa = hop.matched->params();
  if (hop.observed) words.observed = observed_text(*hop.observed);
  return words;
}

std::vector<RecipientLine> lines_of_recipients(const Attempt& attempt,
                                               const std::vector<store::RecipientResult>& results) {
  std::vector<RecipientLine> lines;
  for (std::size_t i = 0; i < results.size() && i < attempt.recipients.size(); ++i) {
    const store::Due& due = attempt.recipients[i].due;
    const store::RecipientResult& result = results[i];
    RecipientLine line;
    line.verdict = result.verdict;
    line.id = attempt.id;
    line.from = attempt.sender;
    line.to = due.address;
    line.attempt = due.attempts + 1;
    line.domain = due.domain.text();
    line.reason = result.reason;
    line.status = result.status;
    line.reply = result.reply;
    line.delay = std::max(Seconds{0}, std::chrono::duration_cast<Seconds>(attempt.ended - attempt.received));
    if (result.verdict == store::Verdict::deferred) line.next = result.due;
    if (const Hop* hop = deciding_hop(attempt, i)) {
      line.hop = hop_words(*hop);
      // under audit, mail that went over a hop which failed its rule carries the reason
      if (hop->waived && result.verdict == store::Verdict::delivered) line.reason = to_text(hop->waived->reason);
    }
    line.redacted = attempt.redacted;
    line.note = attempt.note;
    lines.push_back(std::move(line));
  }
  return lines;
}

std::vector<HopLine> lines_of_hops(const Attempt& attempt) {
  const RefusedHops refused = refused_hops(attempt);
  std::vector<HopLine> lines;
  for (const RefusedHop& one : refused.told) lines.push_back(line_of(attempt, one));
  if (!refused.rest.empty()) lines.push_back(line_of_rest(attempt, refused.rest));
  return lines;
}

std::optional<std::string> overlooked_text(const Attempt& attempt) {
  if (!attempt.overlooked) return std::nullopt;
  const auto waited = std::chrono::duration_cast<std::chrono::minutes>(hop::sts_patience).count();
  return std::string(to_text(attempt.overlooked->reason)) + ": " + attempt.overlooked->text + "; after " +
         std::to_string(waited) + " minutes in the queue mail is sent as if there were no policy";
}

std::string_view action_word(Hop::Action action) {
  switch (action) {
    case Hop::Action::next_host:
      return "next-host";
    case Hop::Action::plaintext:
      return "plaintext";
    case Hop::Action::audit:
      return "audit";
    case Hop::Action::none:
      break;
  }
  return "";
}

std::string_view verdict_word(store::Verdict verdict) {
  switch (verdict) {
    case store::Verdict::delivered:
      return "delivered";
    case store::Verdict::deferred:
      return "deferred";
    case store::Verdict::bounced:
      return "bounced";
    case store::Verdict::expired:
      return "expired";
  }
  return "?";
}

Event to_event(const RecipientLine& line) {
  Event event(line.verdict == store::Verdict::delivered ? Level::info : Level::warn, verdict_word(line.verdict));
  event.add("id", line.id.text()).add("from", line.from.empty() ? "<>" : line.from).add("to", line.to);
  event.add("attempt", std::int64_t{line.attempt}).add("domain", line.domain);
  if (line.hop) {
    add_hop_keys(event, *line.hop);
    event.add("cipher", line.hop->cipher).add("auth", line.hop->auth).add("cert", line.hop->cert);
  }
  event.add("reason", line.reason).add("dsn", line.status).add("reply", line.reply);
  event.add("delay", std::int64_t{line.delay.count()});
  if (line.next) event.add("next", to_rfc3339(*line.next));
  if (line.hop) add_proof_keys(event, *line.hop);
  if (line.redacted) event.add("redacted", "yes");
  event.add("note", line.note).add("by", line.by);
  return event;
}

Event to_event(const HopLine& line) {
  Event event(Level::warn, "hop");
  event.add("id", line.id.text()).add("domain", line.domain);
  if (line.count > 0) event.add("count", static_cast<std::int64_t>(line.count));
  if (line.hop) {
    add_hop_keys(event, *line.hop);
    event.add("auth", line.hop->auth).add("cert", line.hop->cert);
  }
  event.add("reason", line.reason).add("dsn", line.status).add("reply", line.reply).add("action", line.action);
  if (line.hop) add_proof_keys(event, *line.hop);
  event.add("note", line.note);
  return event;
}

// STS-06: mail goes on without a policy that there may be. Nobody is to learn that from a delivery's silence.
Event overlooked_event(const Attempt& attempt, const std::string& text) {
  Event event(Level::warn, "sts-policy");
  event.add("domain", attempt.domain.text()).add("action", "failed").add("error", text);
  return event;
}

counted::Attempt to_count(const RecipientLine& line) {
  counted::Attempt count;
  count.outcome = verdict_word(line.verdict);
  if (line.hop) {
    count.policy = line.hop->policy;
    count.tls = line.hop->tls;
    count.auth = line.hop->auth;
  }
  count.reason = line.reason;
  count.delay = line.delay;
  return count;
}

counted::RefusedHop to_count(const HopLine& line) {
  counted::RefusedHop count;
  if (line.hop) count.policy = line.hop->policy;
  count.reason = line.reason;
  count.action = line.action;
  return count;
}

}  // namespace hoplock::delivery
