// SPDX-License-Identifier: Apache-2.0
// The part of Session that is about content: DATA, BDAT, and what becomes of what they carry.
#include <algorithm>
#include <unordered_set>
#include <utility>

#include "smtp/answers.h"
#include "smtp/session.h"

namespace hoplock::smtp {

namespace {

// Each recipient once, the first mention counts.
void drop_repeated(std::vector<Recipient>& recipients) {
  if (recipients.size() < 2) return;
  std::unordered_set<std::string> seen;
  seen.reserve(recipients.size());
  std::erase_if(recipients, [&](const Recipient& one) { return !seen.insert(one.mailbox.text()).second; });
}

}  // namespace

// Why there can be no content now, whichever command brings it.
std::optional<Answer> Session::refuse_content() const {
  if (state_ == State::failed) return out_of_order("The transaction failed, send RSET");
  if (state_ != State::mail && state_ != State::chunks) return out_of_order("Need MAIL command");
  if (!envelope_.recipients.empty()) return std::nullopt;
  return refused_recipients_ ? answer(554, {5, 5, 1}, "No valid recipients") : out_of_order("Need RCPT command");
}

Answer Session::data(const Command& command, const Facts& facts) {
  if (state_ == State::chunks) return out_of_order("BDAT has begun, DATA cannot follow");
  if (auto refused = refuse_content()) return *std::move(refused);
  if (envelope_.body == Body::binary_mime) return out_of_order("BINARYMIME is sent by BDAT");
  if (!command.well_formed) return bad_argument("DATA takes no argument");
  if (facts.store == Facts::Store::away) {
    reset();
    return answer(451, {4, 3, 0}, "The store is away, try again later");
  }
  if (facts.room == 0 || envelope_.size > facts.room) {  // others announced as much since MAIL
    reset();
    return answer(452, {4, 3, 1}, "Insufficient storage, try again later");
  }
  drop_repeated(envelope_.recipients);
  state_ = State::data;
  return {Reply(354, std::nullopt, "End data with <CR><LF>.<CR><LF>"), Action::receive_data};
}

Answer Session::bdat(const Command& command) {
  if (!command.well_formed) return discard(bad_argument("Syntax: BDAT octets [LAST]"), command);
  if (state_ != State::start && !extended_) return discard(out_of_order("Send EHLO first"), command);
  if (auto refused = refuse_content()) return discard(*std::move(refused), command);
  if (state_ == State::mail) drop_repeated(envelope_.recipients);
  state_ = State::chunks;
  chunk_ = *command.chunk;
  return {Reply{}, Action::receive_chunk};
}

// A refused BDAT: its octets must not run as commands (SUB-19). Where nobody knows how many there are, the session ends.
// A last chunk ends the transaction also when it is refused; after another one there are more to come.
Answer Session::discard(Answer refused, const Command& command) {
  if (command.verb != Verb::bdat) return refused;
  if (!command.chunk) {
    reset();
    refused.action = Action::close;
    return refused;
  }
  const bool in_transaction = state_ != State::start && state_ != State::greeted;
  chunk_ = *command.chunk;
  if (in_transaction) {
    reset();
    if (!chunk_.last) state_ = State::failed;
  }
  refused.action = Action::discard_chunk;
  return refused;
}

Answer Session::end_of_chunk(const EndOfData& end) {
  using Stored = EndOfData::Stored;
  const bool taken = end.stored == Stored::stored || end.stored == Stored::discarded;
  const bool good = end.content == Content::good && taken;
  if (good && !chunk_.last) return answer(250, {2, 0, 0}, std::to_string(chunk_.octets) + " octets received");
  const bool more = !chunk_.last;
  Answer given = end_of_data(end);
  if (more) state_ = State::failed;
  return given;
}

Content Session::judge(Content content, const message::HeaderFacts& scan) const {
  constexpr std::size_t most_by_us = 5;  // SUB-32
  if (content != Content::good) return content;
  const bool loops = scan.received > options_.received_headers || scan.received_by_us > most_by_us;
  return loops ? Content::loop : Content::good;
}

Answer Session::end_of_data(const EndOfData& end) {
  ++messages_;
  reset();
  switch (end.content) {
    case Content::good:
      break;
    case Content::bare_newline:
      return answer(554, {5, 6, 0}, "Message has a lone CR or LF");
    case Content::nul:
      return answer(554, {5, 6, 0}, "Message has a NUL");
    case Content::too_large:
      return answer(552, {5, 3, 4}, "Message too large");
    case Content::loop:
      return answer(554, {5, 4, 6}, "Too many hops, mail loop");
  }
  switch (end.stored) {
    case EndOfData::Stored::stored:
      return answer(250, {2, 0, 0}, "Ok: queued as " + end.id);
    case EndOfData::Stored::discarded:
      return answer(250, {2, 0, 0}, "Ok: discarded");
    case EndOfData::Stored::full:
      return answer(452, {4, 3, 1}, "Insufficient storage, try again later");
    case EndOfData::Stored::failed:
      break;
  }
  return answer(451, {4, 3, 0}, "Internal error, try again later");
}

}  // namespace hoplock::smtp
