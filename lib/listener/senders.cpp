// SPDX-License-Identifier: Apache-2.0
#include "listener/senders.h"

#include <algorithm>
#include <utility>

#include "base/ascii.h"

namespace hoplock::listener {

namespace {

bool is_over(net::SteadyTime since, const std::optional<Rate>& rate, net::SteadyTime now) {
  return !rate || now - since >= rate->period;
}

}  // namespace

Senders::Verdict Senders::at_sender(const std::string& sender, net::SteadyTime now) {
  if (is_off()) return {};
  Sender& one = find(key_of(sender), now);
  if (is_full(one.messages, limit_.messages, now)) return refuse(one.messages, Over::messages);
  if (is_full(one.recipients, limit_.recipients, now)) return refuse(one.recipients, Over::recipients);
  return {};
}

Senders::Verdict Senders::Message::add_recipient(net::SteadyTime now) {
  if (senders_.is_off()) return {};
  const SendersLimit& limit = senders_.limit_;
  Sender& one = senders_.find(key_, now);
  const bool first = messages_.amount == 0;
  if (first && is_full(one.messages, limit.messages, now)) return refuse(one.messages, Over::messages);
  if (is_full(one.recipients, limit.recipients, now)) return refuse(one.recipients, Over::recipients);
  if (first) take(one.messages, messages_);
  take(one.recipients, recipients_);
  return {};
}

Senders::Message::~Message() {
  const auto found = senders_.senders_.find(key_);
  if (found == senders_.senders_.end()) return;
  give_back(found->second.messages, messages_);
  give_back(found->second.recipients, recipients_);
}

void Senders::Message::take(Window& window, Taken& taken) {
  if (taken.since != window.since) taken = Taken{window.since, 0};
  ++window.used;
  ++taken.amount;
}

// A period that has ended took with it what was counted in it.
void Senders::Message::give_back(Window& window, const Taken& taken) {
  if (window.since == taken.since) window.used -= std::min(taken.amount, window.used);
}

// Whether there is no more in this period; a period that is over begins anew.
bool Senders::is_full(Window& window, const std::optional<Rate>& rate, net::SteadyTime now) {
  if (is_over(window.since, rate, now)) window = Window{now, 0, false};
  return rate && window.used >= rate->amount;
}

Senders::Verdict Senders::refuse(Window& window, Over over) { return {over, !std::exchange(window.told, true)}; }

// By any case, and quoted or not (RFC 5321 section 4.1.2): what a mailbox's domain makes of it is not known here, and a guard errs to
// the safe side.
std::string Senders::key_of(const std::string& sender) {
  std::string key = to_lower(sender);
  std::erase_if(key, [](char c) { return c == '"' || c == '\\'; });
  return key;
}

Senders::Sender& Senders::find(const std::string& key, net::SteadyTime now) {
  const auto found = senders_.find(key);
  if (found != senders_.end()) return found->second;
  if (senders_.size() >= most) make_room(now);
  Sender fresh;
  fresh.messages.since = fresh.recipients.since = now;
  return senders_.emplace(key, fresh).first->second;
}

// Those whose time is over, else the one that sent least.
void Senders::make_room(net::SteadyTime now) {
  std::erase_if(senders_, [&](const auto& one) {
    return is_over(one.second.messages.since, limit_.messages, now) &&
           is_over(one.second.recipients.since, limit_.recipients, now);
  });
  if (senders_.size() < most) return;
  senders_.erase(std::min_element(senders_.begin(), senders_.end(), [](const auto& a, const auto& b) {
    return a.second.recipients.used < b.second.recipients.used;
  }));
}

}  // namespace hoplock::listener
