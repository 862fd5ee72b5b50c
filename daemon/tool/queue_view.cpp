// SPDX-License-Identifier: Apache-2.0
#include "daemon/tool/queue_view.h"

#include <algorithm>

namespace hoplock::daemon::tool {

namespace {

std::string_view to_text(store::Body body) {
  switch (body) {
    case store::Body::seven_bit:
      return "7BIT";
    case store::Body::eight_bit:
      return "8BITMIME";
    case store::Body::binary:
      return "BINARYMIME";
  }
  return "";
}

json::object recipient_to_json(const store::RecipientView& from) {
  json::object to;
  to["to"] = clean(from.address);
  to["state"] = clean(state_of(from));
  to["attempts"] = from.attempts;
  to["next"] = time_or_null(from.next);
  to["last"] = time_or_null(from.last);
  // one that was never tried has what became of its next hop
  const bool own = !from.reply.empty() || !from.reason.empty();
  to["reply"] = text_or_null(own ? from.reply : from.hop.reply);
  to["reason"] = text_or_null(own ? from.reason : from.hop.reason);
  to["dsn"] = text_or_null(own ? from.status : from.hop.status);
  to["host"] = text_or_null(own ? from.host : from.hop.host);
  to["nexthop"] = text_or_null(from.destination);
  to["why"] = text_or_null(why(from));
  if (!from.node.empty()) to["node"] = clean(from.node);
  return to;
}

json::object count_to_json(const store::Stats::Count& count) {
  json::object to;
  to["count"] = count.count;
  to["oldest"] = time_or_null(count.oldest);
  return to;
}

}  // namespace

std::string_view state_of(const store::RecipientView& recipient) {
  return recipient.active ? "active" : store::to_text(recipient.state);
}

namespace {
std::string together(const std::string& reason, const std::string& reply) {
  if (reason.empty() || reply.find(reason) != std::string::npos) return reply.empty() ? reason : reply;
  return reason + (reply.empty() ? "" : ": " + reply);
}
}  // namespace

std::string why(const store::RecipientView& recipient) {
  std::string own = together(recipient.reason, recipient.reply);
  const std::string hop = together(recipient.hop.reason, recipient.hop.reply);
  if (recipient.active || recipient.state > store::State::held) return own;
  if (!hop.empty()) return own == hop ? own : hop + " (all mail for " + recipient.destination + " waits)";
  constexpr std::string_view held = "held until it is released";
  if (recipient.state == store::State::held)
    return own.empty() ? std::string(held) : own + " (" + std::string(held) + ")";
  return own.empty() ? "not tried yet; next hop " + recipient.destination : own;
}

store::MessageView in_line(store::MessageView message, const std::vector<queue::InLine>& waiting, Time now) {
  for (store::RecipientView& one : message.recipients) {
    const bool due = !one.active && one.next && *one.next <= now;
    if (!due) continue;
    const auto found =
        std::lower_bound(waiting.begin(), waiting.end(), one.destination,
                         [](const queue::InLine& at, const std::string& name) { return at.destination < name; });
    if (found == waiting.end() || found->destination != one.destination) continue;
    one.hop = {};
    one.hop.reply = found->why;
    if (found->until) one.next = found->until;
  }
  return message;
}

json::object to_json(const store::MessageView& message) {
  json::object to;
  to["id"] = message.id.text();
  to["from"] = address(message.envelope.sender);
  to["received"] = time_or_null(message.received);
  to["size"] = message.size;
  to["state"] = clean(message.state());
  to["client"] = text_or_null(message.envelope.client);
  to["body"] = to_text(message.envelope.body);
  if (message.envelope.requiretls) to["requiretls"] = true;
  if (message.envelope.tls_required_no) to["tls_required"] = "no";
  json::array recipients;
  for (const auto& one : message.recipients) recipients.push_back(recipient_to_json(one));
  to["recipients"] = std::move(recipients);
  return to;
}

namespace {
bool has_attempt(const json::array& attempts, const store::RecipientView& recipient) {
  const json::value number = recipient.attempts, to = clean(recipient.address);
  return std::any_of(attempts.begin(), attempts.end(), [&](const json::value& one) {
    return one.as_object().at("attempt") == number && one.as_object().at("to") == to;
  });
}

json::object last_attempt(const store::RecipientView& of) {
  json::object attempt;
  attempt["time"] = time_or_null(of.last);
  attempt["to"] = clean(of.address);
  attempt["attempt"] = of.attempts;
  attempt["outcome"] = of.state > store::State::held ? store::to_text(of.state) : "deferred";
  attempt["host"] = text_or_null(of.host);
  for (const char* unknown : {"policy", "tls", "auth", "cert"}) attempt[unknown] = nullptr;
  attempt["dsn"] = text_or_null(of.status);
  attempt["reply"] = text_or_null(of.reply);
  attempt["reason"] = text_or_null(of.reason);
  return attempt;
}
}  // namespace

json::array history(const store::MessageView& message, json::array kept) {
  for (const auto& one : message.recipients) {
    if (one.attempts > 0 && !has_attempt(kept, one)) kept.push_back(last_attempt(one));
  }
  return kept;
}

json::array waiting_of(const store::MessageView& message) {
  json::array all;
  for (const auto& one : message.recipients) {
    if (one.active || one.state > store::State::held) continue;
    json::object to;
    to["to"] = clean(one.address);
    to["state"] = clean(state_of(one));
    to["next"] = time_or_null(one.next);
    to["nexthop"] = text_or_null(one.destination);
    to["why"] = text_or_null(why(one));
    all.push_back(std::move(to));
  }
  return all;
}

json::object to_json(const store::Stats& stats) {
  json::object states;
  for (const auto& one : stats.states) states[clean(one.state)] = count_to_json(one.count);
  json::array domains;
  for (const auto& one : stats.domains) {
    json::object domain = count_to_json(one.count);
    domain["domain"] = clean(one.domain);
    domain["reason"] = text_or_null(one.reason);
    domains.push_back(std::move(domain));
  }
  json::array reasons;
  for (const auto& one : stats.reasons) {
    json::object reason = count_to_json(one.count);
    reason["reason"] = clean(one.reason);
    reasons.push_back(std::move(reason));
  }
  json::array hops;
  for (const auto& one : stats.hops) {
    json::object hop = count_to_json(one.count);
    hop["nexthop"] = clean(one.name);
    hop["reason"] = text_or_null(one.reason);
    hops.push_back(std::move(hop));
  }
  json::object to;
  to["nexthops"] = std::move(hops);
  to["total"] = stats.messages;
  to["oldest"] = time_or_null(stats.oldest);
  to["states"] = std::move(states);
  to["domains"] = std::move(domains);
  to["reasons"] = std::move(reasons);
  return to;
}

}  // namespace hoplock::daemon::tool
