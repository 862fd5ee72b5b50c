// SPDX-License-Identifier: Apache-2.0
#include "delivery/setback.h"

#include <algorithm>

namespace hoplock::delivery {

namespace {

bool is_goodbye(const smtp::Reply& reply) { return reply.code == 421; }

}  // namespace

Broken broken_at(const smtpclient::Sent& sent, std::size_t recipients, Pace pace) {
  Broken broken;
  const auto said = std::find_if(sent.replies.begin(), sent.replies.end(), is_goodbye);
  const bool by_word = said != sent.replies.end();
  if (!by_word && sent.cut_off == smtpclient::Sent::CutOff::no) return broken;
  const auto at = static_cast<std::size_t>(said - sent.replies.begin());
  const bool all_judged = at > recipients;
  const bool all_came = by_word || all_judged || sent.cut_off == smtpclient::Sent::CutOff::silence;
  if (!all_came && pace == Pace::pipelined && recipients > 1) {
    broken.at = Broken::At::somewhere;
  } else if (at == 0 || all_judged) {
    broken.at = Broken::At::message;
  } else {
    broken.at = Broken::At::recipient;
    broken.recipient = at - 1;
  }
  return broken;
}

std::vector<std::size_t> unjudged(const smtpclient::Sent& sent, const Broken& broken) {
  std::vector<std::size_t> found;
  const auto& all = sent.settled.recipients;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (broken.at == Broken::At::recipient && i == broken.recipient) continue;
    if (all[i].fate == smtp::Fate::unanswered || is_goodbye(all[i].reply)) found.push_back(i);
  }
  return found;
}

std::optional<smtp::Reply> put_off_by(const smtpclient::Sent& sent, std::size_t recipients) {
  if (sent.end) return sent.end->is_transient() ? sent.end : std::nullopt;
  for (std::size_t i = 0; i < sent.replies.size(); ++i) {
    const smtp::Reply& reply = sent.replies[i];
    const bool of_message = i == 0 || i > recipients;
    if (of_message && reply.is_transient()) return reply;
  }
  return std::nullopt;
}

}  // namespace hoplock::delivery
