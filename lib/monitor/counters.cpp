// SPDX-License-Identifier: Apache-2.0
#include "monitor/counters.h"

#include <algorithm>
#include <utility>

#include "base/ascii.h"
#include "hop/names.h"

namespace hoplock::monitor {

namespace {

constexpr std::size_t most_combinations = 2000;
constexpr std::size_t longest_word = 40;
constexpr std::string_view other = "other";

// A word of ours, or "other": whatever is counted by a mistake, it does not get into a label.
std::string_view word(std::string_view text) {
  const bool good = text.size() <= longest_word && std::all_of(text.begin(), text.end(), [](char c) {
                      return is_alpha(c) || is_digit(c) || c == '-' || c == '.';
                    });
  return good ? text : other;
}

std::vector<std::string_view> words_of(std::string_view key) {
  std::vector<std::string_view> words = split(key, '\n');
  words.pop_back();
  return words;
}

}  // namespace

void Family::expect(std::initializer_list<std::string_view> values) {
  for (const auto value : values) counts_[std::string(value) + "\n"] += 0;
}

std::string Family::key_of(std::initializer_list<std::string_view> words) {
  std::string key;
  for (const auto one : words) {
    key += word(one);
    key += '\n';
  }
  return key;
}

void Family::add(const std::string& key) {
  if (counts_.size() < most_combinations || counts_.contains(key)) {
    ++counts_[key];
    return;
  }
  std::string rest;
  for (std::size_t i = 0; i < options_.labels.size(); ++i) rest += std::string(other) + "\n";
  ++counts_[rest];
}

void Family::write(Exposition& to) const {
  to.family(options_.name, Exposition::Type::counter, options_.help);
  for (const auto& [key, count] : counts_) {
    const auto words = words_of(key);
    std::vector<Label> labels;
    for (std::size_t i = 0; i < words.size(); ++i) labels.push_back({options_.labels[i], words[i]});
    to.sample(labels, count);
  }
}

void Lately::add(const std::string& key, SteadyTime now) {
  const std::int64_t number = number_of(now);
  Slot& slot = slots_[static_cast<std::size_t>(number) % slots_.size()];
  if (slot.number != number) {
    slot.number = number;
    slot.counts.clear();
  }
  if (slot.counts.size() < most_combinations || slot.counts.contains(key)) ++slot.counts[key];
}

std::map<std::string, std::uint64_t> Lately::sum(SteadyTime now) const {
  std::map<std::string, std::uint64_t> total;
  const std::int64_t last = number_of(now);
  for (const Slot& slot : slots_) {
    if (slot.number < 0 || last - slot.number >= static_cast<std::int64_t>(slots_.size())) continue;
    for (const auto& [key, count] : slot.counts) total[key] += count;
  }
  return total;
}

Counters::Counters()
    : attempts_({"hoplock_attempts_total",
                 "Recipients whose delivery was attempted, by how that ended and how the hop was secured.",
                 {"outcome", "policy", "tls", "auth", "reason"}}),
      failures_({"hoplock_failures_total",
                 "Of these attempts, those that delivered nothing; each series is there from the start.",
                 {"outcome", "reason"}}),
      hops_({"hoplock_hops_refused_total",
             "Hosts that were refused before the next one was tried, or relaxed, by what was done.",
             {"policy", "reason", "action"}}),
      accepted_({"hoplock_messages_accepted_total", "Messages taken from clients, by the TLS they came in.", {"tls"}}),
      rejected_({"hoplock_rejected_total", "Replies of 4xx and 5xx to clients, by code.", {"code"}}),
      policies_({"hoplock_sts_policy_total", "What happened to MTA-STS policies.", {"action"}}),
      reports_({"hoplock_tlsrpt_total",
                "What happened to TLS reports. failed: a destination did not take it, by https or, as mail, for good.",
                {"action"}}),
      logged_({"hoplock_log_events_total", "Warnings and errors, whether or not log.level shows them.", {"level"}}),
      delay_({1, 2, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 24 * 3600, 5 * 24 * 3600}) {
  for (const std::string_view outcome : {"deferred", "bounced", "expired"}) {
    failures_.expect_key(Family::key_of({outcome, ""}));
    for (auto reason = 0; reason <= static_cast<int>(hop::Reason::smtp_reply); ++reason)
      failures_.expect_key(Family::key_of({outcome, hop::to_text(static_cast<hop::Reason>(reason))}));
  }
  accepted_.expect({"none", "TLSv1.2", "TLSv1.3"});
  rejected_.expect({"421", "450", "451", "452", "454", "500", "501", "503", "530", "535", "550", "552", "554"});
  policies_.expect({"fetched", "refreshed", "unchanged", "failed", "expired", "removed"});
  reports_.expect({"sent", "queued", "failed", "skipped"});
  logged_.expect({"warn", "error"});
}

void Counters::add_line(Level level) {
  if (level >= Level::warn) logged_.add(Family::key_of({to_text(level)}));
}

void Counters::add(const counted::Value& value, SteadyTime now) {
  std::visit([&](const auto& one) { take(one, now); }, value);
}

void Counters::take(const counted::Attempt& attempt, SteadyTime now) {
  const std::string key = Family::key_of({attempt.outcome, attempt.policy, attempt.tls, attempt.auth, attempt.reason});
  attempts_.add(key);
  attempts_hour_.add(key, now);
  if (attempt.outcome == "delivered") {
    delay_.add(static_cast<double>(attempt.delay.count()));
    return;
  }
  const std::string failure = Family::key_of({attempt.outcome, attempt.reason});
  failures_.add(failure);
  failures_day_.add(failure, now);
}

void Counters::take(const counted::RefusedHop& hop, SteadyTime) {
  hops_.add(Family::key_of({hop.policy, hop.reason, hop.action}));
}

void Counters::take(const counted::Accepted& message, SteadyTime) {
  accepted_.add(Family::key_of({message.tls}));
  recipients_ += message.recipients;
  octets_ += message.octets;
}

void Counters::take(const counted::Rejected& reply, SteadyTime) {
  rejected_.add(Family::key_of({std::to_string(reply.code)}));
}

void Counters::take(const counted::StsPolicy& news, SteadyTime now) {
  const std::string key = Family::key_of({news.action});
  policies_.add(key);
  policies_hour_.add(key, now);
}

void Counters::take(const counted::Report& report, SteadyTime) { reports_.add(Family::key_of({report.action})); }

void Counters::take(const counted::SessionLimit& limit, SteadyTime) {
  ++(limit.way == counted::SessionLimit::Way::cut ? limits_cut_ : limits_grown_);
}

void Counters::take(counted::Once what, SteadyTime) {
  switch (what) {
    case counted::Once::report_bounced:
      ++report_bounces_;
      break;
    case counted::Once::gave_way:
      ++gave_way_;
      break;
    case counted::Once::reputation_held:
      ++reputation_holds_;
      break;
    case counted::Once::notice_dropped:
      ++notices_dropped_;
      break;
    case counted::Once::body_damaged:
      ++damaged_;
      break;
  }
}

void Counters::write(Exposition& to) const {
  accepted_.write(to);
  to.counter("hoplock_recipients_accepted_total", "Recipients of these messages.", recipients_);
  to.counter("hoplock_accepted_bytes_total", "Octets of these messages.", octets_);
  rejected_.write(to);
  attempts_.write(to);
  failures_.write(to);
  to.family("hoplock_delivery_delay_seconds", Exposition::Type::histogram,
            "From the acceptance of a message to its delivery, for each recipient.");
  to.sample(delay_);
  hops_.write(to);
  policies_.write(to);
  reports_.write(to);
  to.counter("hoplock_tlsrpt_bounces_total", "Bounces that came back to the sender of TLS reports and were discarded.",
             report_bounces_);
  to.counter("hoplock_session_limits_cut_total", "Times that a receiver's limit of sessions was cut on its refusal.",
             limits_cut_);
  to.counter("hoplock_session_limits_grown_total", "Times that such a limit grew again by a session.", limits_grown_);
  to.counter("hoplock_attempts_gave_way_total",
             "Attempts that got no answer for a while and were ended in favour of domains that waited.", gave_way_);
  to.counter("hoplock_reputation_holds_total",
             "Times that mail was held since a site refused it for reputation: all for the site, or what one sender, "
             "domain or "
             "client sends there.",
             reputation_holds_);
  to.counter("hoplock_notices_dropped_total", "Notices that could not be delivered and were given up.",
             notices_dropped_);
  to.counter("hoplock_bodies_damaged_total", "Stored messages whose checksum did not fit.", damaged_);
  logged_.write(to);
}

std::vector<Counters::Attempts> Counters::last_hour(SteadyTime now) const {
  std::vector<Attempts> all;
  for (const auto& [key, count] : attempts_hour_.sum(now)) {
    const auto words = words_of(key);
    Attempts one;
    one.outcome = words[0];
    one.policy = words[1];
    one.tls = words[2];
    one.auth = words[3];
    one.reason = words[4];
    one.count = count;
    all.push_back(std::move(one));
  }
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.count > b.count; });
  return all;
}

std::vector<Counters::Failures> Counters::failures_last_day(SteadyTime now) const {
  std::vector<Failures> all;
  for (const auto& [key, count] : failures_day_.sum(now)) {
    const auto words = words_of(key);
    all.push_back({std::string(words[0]), std::string(words[1]), count});
  }
  std::stable_sort(all.begin(), all.end(), [](const Failures& a, const Failures& b) {
    const bool waits = a.outcome == "deferred", other_waits = b.outcome == "deferred";
    return waits != other_waits ? other_waits : a.count > b.count;
  });
  return all;
}

Counters::Fetches Counters::fetches_last_hour(SteadyTime now) const {
  Fetches found;
  for (const auto& [key, count] : policies_hour_.sum(now)) {
    if (key == "failed\n") found.failed += count;
    if (key == "fetched\n" || key == "refreshed\n" || key == "unchanged\n") found.good += count;
  }
  return found;
}

}  // namespace hoplock::monitor
