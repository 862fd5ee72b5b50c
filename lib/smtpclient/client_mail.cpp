// SPDX-License-Identifier: Apache-2.0
// Client: one transaction over a session that is ready.
#include <algorithm>
#include <utility>

#include "smtp/dot_stuffer.h"
#include "smtpclient/client.h"

namespace hoplock::smtpclient {

namespace {

constexpr std::chrono::milliseconds confirm_time{std::chrono::seconds{5}};

// Every command was answered, and somebody may be sent the content.
bool is_worth_content(const std::vector<smtp::Reply>& replies, std::size_t recipients) {
  if (replies.size() != recipients + 1 || !replies.front().is_positive()) return false;
  return std::any_of(replies.begin() + 1, replies.end(), [](const smtp::Reply& reply) { return reply.is_positive(); });
}
}  // namespace

asio::awaitable<Sent> Client::send(smtp::Envelope envelope, Content content_of_it) {
  Sent sent;
  smtp::Settled& settled = sent.settled;
  if (transactions_++ > 0) transcript_.begin_anew();
  if (needs_reset_) {
    const auto reply = co_await say("RSET\r\n");
    if (!reply || !reply->is_positive()) usable_ = false;
    needs_reset_ = false;
  }
  if (usable_) check_step();
  if (!usable_) {
    sent.stale = true;
    sent.cut_off = Sent::CutOff::lost;
    settled = smtp::settle(envelope.recipients.size(), {});
    co_return sent;
  }
  co_await settle_envelope(sent, envelope);
  const bool content = settled.next == smtp::Settled::Next::content;
  if (settled.next == smtp::Settled::Next::lone_dot) co_await say(".\r\n");
  if (content) co_await deliver(sent, std::move(content_of_it), envelope.body);
  if (settled.connection != smtp::Settled::Connection::usable) usable_ = false;
  co_return sent;
}

// MAIL, RCPT and DATA, and what their replies mean.
asio::awaitable<void> Client::settle_envelope(Sent& sent, const smtp::Envelope& envelope) {
  smtp::Settled& settled = sent.settled;
  const std::size_t recipients = envelope.recipients.size();
  std::vector<smtp::Group> groups = smtp::compose(envelope, peer_);
  std::vector<smtp::Reply> replies = co_await exchange(std::move(groups));
  if (envelope.body == smtp::Body::binary_mime && is_worth_content(replies, recipients)) {
    replies.emplace_back(354, std::nullopt, "");  // BDAT asks for no leave
  }
  if (early_ && early_->code == 421 && replies.size() < recipients + 2) replies.push_back(*early_);
  if (!usable_) sent.cut_off = silent_ ? Sent::CutOff::silence : Sent::CutOff::lost;
  if (senseless_.empty()) {
    settled = smtp::settle(recipients, replies);
    sent.again = smtp::forgo_parameters(settled, envelope, peer_);
  }
  needs_reset_ = settled.next == smtp::Settled::Next::nothing;
  const bool refuses = std::any_of(settled.recipients.begin(), settled.recipients.end(),
                                   [](const smtp::RecipientFate& one) { return one.fate == smtp::Fate::refused; });
  if (senseless_.empty() && refuses && needs_reset_ && usable_) co_await confirm(settled);
  if (senseless_.empty()) {
    sent.replies = std::move(replies);
  } else {
    settled = smtp::settle_senseless(recipients, senseless_);
  }
}

// MX-22: a refusal is final, so it is believed only of a server that is in step: RSET has an answer of its own, and one only. A server that
// leaves after its refusal has said it, and one that does not know RSET has answered it.
asio::awaitable<void> Client::confirm(smtp::Settled& settled) {
  if (settled.connection != smtp::Settled::Connection::usable) co_return;
  const auto usual = std::exchange(options_.command_timeout, std::min(options_.command_timeout, confirm_time));
  const auto reply = co_await say("RSET\r\n");
  options_.command_timeout = usual;
  if (!reply || reply->code == 421) {
    usable_ = false;
    co_return;
  }
  if (reply->is_positive()) {
    if (check_step()) needs_reset_ = false;
    co_return;
  }
  usable_ = false;
  if (reply->code == 500 || reply->code == 502) {
    check_step();
    co_return;
  }
  senseless_ = "the server's replies are out of step: " + reply->one_line(200) + " to RSET";
}

// REQUIRES: somebody was accepted.
asio::awaitable<void> Client::deliver(Sent& sent, Content content, smtp::Body body) {
  std::optional<smtp::Reply> end;
  if (body == smtp::Body::binary_mime) {
    end = co_await send_chunks(std::move(content), sent);
  } else {
    end = co_await send_content(std::move(content), sent);
  }
  if (!end && early_ && early_->code == 421) end = early_;
  if (!end && !sent.handed_over && !senseless_.empty()) end = smtp::senseless(senseless_);
  sent.senseless = senseless_;
  sent.settled = smtp::settle_end(std::move(sent.settled), end);
  sent.end = std::move(end);
}

// The replies that came; fewer than commands when the connection was lost or the transaction ended before.
asio::awaitable<std::vector<smtp::Reply>> Client::exchange(std::vector<smtp::Group> groups) {
  std::vector<smtp::Reply> replies;
  for (const smtp::Group& group : groups) {
    if (!smtp::goes_on(group, replies)) break;
    stream_.expires_after(options_.command_timeout);
    if (!check_step()) break;
    // A failed write is looked into by reading: a peer that closes after its 5xx has still said it.
    transcript_.sent(group.wire);
    co_await stream_.write(group.wire);
    for (std::size_t i = 0; i < group.replies; ++i) {
      stream_.expires_after(options_.command_timeout);  // RFC 5321 section 4.5.3.2: each has a time of its own
      auto reply = co_await read_reply();
      if (!reply) co_return replies;
      replies.push_back(std::move(*reply));
    }
  }
  co_return replies;
}

asio::awaitable<std::optional<smtp::Reply>> Client::send_content(Content content, Sent& sent) {
  sent.begun = true;
  if (!check_step()) {
    stream_.close();
    co_return std::nullopt;
  }
  const auto written = co_await stream_content(content, sent);
  sent.handed_over = written.has_value();
  transcript_.note(written ? "the message and its final dot were sent" : "the message could not be sent whole");
  if (!written) usable_ = false;
  if (early_) {
    stream_.close();  // without its final dot it is no message
    co_return early_reply();
  }
  if (sent.unreadable || sent.withheld || (!written && written.error().code == errc::timed_out)) {
    stream_.close();
    co_return std::nullopt;
  }
  stream_.expires_after(options_.data_timeout);
  auto reply = co_await read_reply();
  if (!reply) co_return std::nullopt;
  // RFC 5321 section 4.2.5: without the final dot there is nothing that a positive reply could mean
  if (!written && reply->is_positive()) co_return std::nullopt;
  co_return std::move(*reply);
}

// The stuffed content; the final dot goes in the same write as the last of it.
asio::awaitable<Result<>> Client::stream_content(Content& content, Sent& sent) {
  smtp::DotStuffer stuffer;
  std::string wire;
  const std::uint32_t pieces = content.pieces();
  for (std::uint32_t n = 0; n < pieces; ++n) {
    const auto next = co_await content.piece(n);
    if (!next) {
      sent.unreadable = next.error();
      co_return next.error();
    }
    const std::string& piece = **next;
    wire.clear();
    wire.reserve(piece.size() + piece.size() / 32 + (n == 0 ? content.before.size() : 0) + 16);
    if (n == 0) stuffer.feed(content.before, wire);
    stuffer.feed(piece, wire);
    if (n + 1 == pieces) stuffer.finish(wire);
    if (wire.empty()) continue;
    if (n + 1 == pieces) {
      const auto may_end = co_await ask_leave(content, sent);
      if (!may_end) co_return may_end.error();
    }
    stream_.expires_after(options_.data_timeout);
    const auto written = co_await stream_.write(wire);
    if (!written) co_return written.error();
  }
  co_return Result<>();
}

// What would be sent twice if we crashed now is not sent. Then the server's time to speak out of turn, or to leave, ends here.
asio::awaitable<Result<>> Client::ask_leave(const Content& content, Sent& sent) {
  if (content.leave) {
    const bool granted = co_await content.leave();
    sent.withheld = !granted;
    if (!granted) co_return fail(errc::operation_canceled, "the final dot has no leave");
  }
  co_return check_step();
}

// A BDAT for each piece, the next one when the last was taken (RFC 3030): dots mean nothing, nothing is added.
asio::awaitable<std::optional<smtp::Reply>> Client::send_chunks(Content content, Sent& sent) {
  sent.begun = true;
  const std::uint32_t pieces = content.pieces();
  for (std::uint32_t n = 0; n < pieces; ++n) {
    const auto next = co_await content.piece(n);
    if (!next) {
      sent.unreadable = next.error();
      usable_ = false;
      stream_.close();
      co_return std::nullopt;
    }
    const std::string& piece = **next;
    const std::string before = n == 0 ? content.before : std::string();
    const bool last = n + 1 == pieces;
    const std::string command = "BDAT " + std::to_string(before.size() + piece.size()) + (last ? " LAST\r\n" : "\r\n");
    Result<> may_go = last ? Result<>() : check_step();
    if (last) may_go = co_await ask_leave(content, sent);
    if (!may_go) {
      usable_ = false;
      stream_.close();
      co_return std::nullopt;
    }
    stream_.expires_after(options_.data_timeout);
    transcript_.sent(command);
    const auto written = co_await stream_.write(command, before, piece);
    sent.handed_over = last && written.has_value();
    if (!written) usable_ = false;
    auto reply = co_await read_reply();
    if (!reply || (!written && reply->is_positive())) co_return std::nullopt;
    if (last || !reply->is_positive()) {
      needs_reset_ = !last;
      co_return std::move(*reply);
    }
  }
  co_return std::nullopt;
}

// A server that does not want to hear the end of the content says so before, and that answers the content: for it began to be sent when
// nothing lay unread. Of anything else it is not known what it answers.
std::optional<smtp::Reply> Client::early_reply() {
  if (!early_ || early_->code < 400) return std::nullopt;
  senseless_.clear();
  return std::move(early_);
}

}  // namespace hoplock::smtpclient
