// SPDX-License-Identifier: Apache-2.0
#include "control/counters.h"

#include <algorithm>
#include <utility>

#include "base/ascii.h"

namespace hoplock::control {

namespace {

constexpr std::size_t most_combinations = 2000;
constexpr std::size_t longest_word = 40;
constexpr std::string_view other = "other";

// A word of ours, or "other": whatever gets into an event by a mistake, it does not get into a label.
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

std::uint64_t number(const Event& event, std::string_view key) { return parse_decimal(event.get(key)).value_or(0); }

bool is_attempt(std::string_view name) {
  return name == "delivered" || name == "deferred" || name == "bounced" || name == "expired";
}

std::int64_t minute_of(SteadyTime time) {
  return std::chrono::floor<std::chrono::minutes>(time.time_since_epoch()).count();
}

}  // namespace

void Family::expect(std::initializer_list<std::string_view> values) {
  for (const auto value : values) counts_[std::string(value) + "\n"] += 0;
}

std::string Family::key_of(const Event& event) const {
  std::string key;
  for (const auto& name : options_.keys) {
    key += name == "event" ? word(event.name()) : word(event.get(name));
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
  for (std::size_t i = 0; i < options_.keys.size(); ++i) rest += std::string(other) + "\n";
  ++counts_[rest];
}

void Family::write(Exposition& to) const {
  to.family(options_.name, Exposition::Type::counter, options_.help);
  for (const auto& [key, count] : counts_) {
    const auto words = words_of(key);
    std::vector<Label> labels;
    for (std::size_t i = 0; i < words.size(); ++i)
      labels.push_back({options_.keys[i] == "event" ? "outcome" : options_.keys[i], words[i]});
    to.sample(labels, count);
  }
}

void LastHour::add(const std::string& key, SteadyTime now) {
  const std::int64_t number = minute_of(now);
  Minute& minute = minutes_[static_cast<std::size_t>(number) % minutes_.size()];
  if (minute.number != number) {
    minute.number = number;
    minute.counts.clear();
  }
  if (minute.counts.size() < most_combinations || minute.counts.contains(key)) ++minute.counts[key];
}

std::map<std::string, std::uint64_t> LastHour::sum(SteadyTime now) const {
  std::map<std::string, std::uint64_t> total;
  const std::int64_t last = minute_of(now);
  for (const Minute& minute : minutes_) {
    if (minute.number < 0 || last - minute.number >= static_cast<std::int64_t>(minutes_.size())) continue;
    for (const auto& [key, count] : minute.counts) total[key] += count;
  }
  return total;
}

Counters::Counters()
    : attempts_({"hoplock_attempts_total",
                 "Recipients whose delivery was attempted, by how that ended and how the hop was secured.",
                 {"event", "policy", "tls", "auth", "reason"}}),
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
  policies_.expect({"fetched", "refreshed", "unchanged", "failed", "expired", "removed"});
  reports_.expect({"sent", "queued", "failed", "skipped"});
  logged_.expect({"warn", "error"});
}

void Counters::add(const Event& event, SteadyTime now) {
  const std::string& name = event.name();
  if (event.level() >= Level::warn) logged_.add(std::string(to_text(event.level())) + "\n");
  if (is_attempt(name)) {
    const std::string key = attempts_.key_of(event);
    attempts_.add(key);
    attempts_hour_.add(key, now);
    if (name == "delivered") delay_.add(static_cast<double>(number(event, "delay")));
  } else if (name == "accepted") {
    accepted_.add(accepted_.key_of(event));
    recipients_ += number(event, "nrcpt");
    octets_ += number(event, "size");
  } else if (name == "rejected") {
    rejected_.add(rejected_.key_of(event));
  } else if (name == "hop") {
    hops_.add(hops_.key_of(event));
  } else if (name == "sts-policy") {
    const std::string key = policies_.key_of(event);
    policies_.add(key);
    policies_hour_.add(key, now);
  } else if (name == "tlsrpt") {
    reports_.add(reports_.key_of(event));
  } else if (name == "tlsrpt-bounce") {
    ++report_bounces_;
  } else if (name == "throttled") {
    ++(number(event, "sessions") < number(event, "was") ? limits_cut_ : limits_grown_);
  } else if (name == "reputation-hold") {
    ++reputation_holds_;
  } else if (name == "notice-dropped") {
    ++notices_dropped_;
  } else if (name == "body-damaged") {
    ++damaged_;
  }
}

void Counters::write(Exposition& to) const {
  accepted_.write(to);
  to.counter("hoplock_recipients_accepted_total", "Recipients of these messages.", recipients_);
  to.counter("hoplock_accepted_bytes_total", "Octets of these messages.", octets_);
  rejected_.write(to);
  attempts_.write(to);
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
  to.counter("hoplock_reputation_holds_total",
             "Times that a site's mail was held, since it refused most of it for reputation.", reputation_holds_);
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

Counters::Fetches Counters::fetches_last_hour(SteadyTime now) const {
  Fetches found;
  for (const auto& [key, count] : policies_hour_.sum(now)) {
    if (key == "failed\n") found.failed += count;
    if (key == "fetched\n" || key == "refreshed\n" || key == "unchanged\n") found.good += count;
  }
  return found;
}

}  // namespace hoplock::control
