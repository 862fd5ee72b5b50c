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
  Sender& one = find(sender, now);
  if (is_full(one.messages, limit_.messages, now)) return refuse(one.messages, Over::messages);
  if (is_full(one.recipients, limit_.recipients, now)) return refuse(one.recipients, Over::recipients);
  return {};
}

Senders::Verdict Senders::at_recipient(const std::string& sender, Which which, net::SteadyTime now) {
  if (is_off()) return {};
  Sender& one = find(sender, now);
  if (which == Which::first && is_full(one.messages, limit_.messages, now)) return refuse(one.messages, Over::messages);
  if (is_full(one.recipients, limit_.recipients, now)) return refuse(one.recipients, Over::recipients);
  if (which == Which::first) ++one.messages.used;
  ++one.recipients.used;
  return {};
}

void Senders::give_back(const std::string& sender, std::size_t recipients) {
  const auto found = senders_.find(to_lower(sender));
  if (found == senders_.end()) return;
  found->second.messages.used -= std::min<std::uint64_t>(1, found->second.messages.used);
  found->second.recipients.used -= std::min<std::uint64_t>(recipients, found->second.recipients.used);
}

// Whether there is no more in this period; a period that is over begins anew.
bool Senders::is_full(Window& window, const std::optional<Rate>& rate, net::SteadyTime now) {
  if (is_over(window.since, rate, now)) window = Window{now, 0, false};
  return rate && window.used >= rate->amount;
}

Senders::Verdict Senders::refuse(Window& window, Over over) { return {over, !std::exchange(window.told, true)}; }

// By any case: what a mailbox's domain makes of it is not known here, and a guard errs to the safe side.
Senders::Sender& Senders::find(const std::string& sender, net::SteadyTime now) {
  const std::string key = to_lower(sender);
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
