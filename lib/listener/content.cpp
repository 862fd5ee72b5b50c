// SPDX-License-Identifier: Apache-2.0
// The part of ServerSession that takes message content in, by DATA or by BDAT, and stores it.
#include <algorithm>
#include <array>
#include <utility>

#include "listener/incoming.h"
#include "message/received.h"

namespace hoplock::listener {

namespace asio = boost::asio;

namespace {

constexpr std::size_t progress_octets = 4096;
// What somebody who may not relay may write to postmaster: a complaint with the mail that it is about.
constexpr std::uint64_t most_of_strangers = 2U << 20U;
store::Envelope to_queue(const smtp::Envelope& envelope, const Ip& client) {
  store::Envelope stored;
  stored.sender = envelope.sender.text();
  stored.body = envelope.body == smtp::Body::binary_mime      ? store::Body::binary
                : envelope.body == smtp::Body::eight_bit_mime ? store::Body::eight_bit
                                                              : store::Body::seven_bit;
  stored.requiretls = envelope.require_tls;
  stored.ret = envelope.ret;
  stored.envid = envelope.envid;
  stored.client = client.text();
  return stored;
}

bool is_bounce(const smtp::Recipient& to) { return to.then == smtp::Recipient::Then::discard; }

std::vector<store::NewRecipient> to_queue(const std::vector<smtp::Recipient>& recipients) {
  std::vector<store::NewRecipient> stored;
  stored.reserve(recipients.size());
  for (const auto& one : recipients) {
    if (is_bounce(one)) continue;
    store::NewRecipient recipient;
    recipient.address = one.mailbox.text();
    recipient.domain = one.mailbox.domain();
    recipient.orcpt = one.orcpt;
    recipient.notify = one.notify;
    stored.push_back(std::move(recipient));
  }
  return stored;
}

// No room is 452 4.3.1, a store that does not work 451 4.3.0.
smtp::EndOfData::Stored kept_from(const std::optional<Error>& error) {
  const bool full = !error || error->code == errc::no_space_on_device;
  return full ? smtp::EndOfData::Stored::full : smtp::EndOfData::Stored::failed;
}

}  // namespace

void ServerSession::begin_message(smtp::Action framing) {
  const Time received = services_.clock();
  // room is kept only for those who may relay
  const bool trusted = session_.may_relay();
  auto writer = queue_.begin(received, trusted ? std::min(session_.envelope().size, most_octets(*profile_)) : 0);
  std::string field = received_field(writer, received);
  const bool chunks = framing == smtp::Action::receive_chunk;
  const bool binary = session_.envelope().body == smtp::Body::binary_mime;
  incoming_ =
      std::make_unique<Incoming>(*profile_, chunks ? Incoming::Framing::chunks : Incoming::Framing::dots,
                                 binary ? smtp::BareNewline::keep : profile_->address.bare_newline, std::move(writer));
  incoming_->put_first(std::move(field));
  const auto& to = session_.envelope().recipients;
  if (std::any_of(to.begin(), to.end(), is_bounce)) incoming_->keep_beginning(most_of_bounce);
  if (!trusted) incoming_->limit(most_of_strangers);
}

asio::awaitable<ServerSession::Go> ServerSession::receive_message() {
  begin_message(smtp::Action::receive_data);
  const auto read = co_await read_content();
  if (!read) co_return co_await content_lost(read.error());
  const smtp::EndOfData end = co_await end_message();
  const std::string sender(session_.envelope().sender.display());
  const smtp::Answer answer = session_.end_of_data(end);
  incoming_.reset();
  counted_.reset();
  if (answer.reply.code >= 400) log_rejected(answer.reply, sender, {});
  out_ += answer.reply.to_wire();
  co_return Go::on;
}

// BDAT: its octets first, then the reply (RFC 3030 section 2).
asio::awaitable<ServerSession::Go> ServerSession::receive_chunk(smtp::Answer answer) {
  const bool wanted = answer.action == smtp::Action::receive_chunk;
  if (wanted && !incoming_) begin_message(answer.action);
  const auto read = co_await read_chunk();
  if (!read) co_return co_await content_lost(read.error());
  if (wanted) {
    smtp::EndOfData end;
    end.content = incoming_->found();
    if (!incoming_->is_kept()) end.stored = kept_from(incoming_->store_error());
    if (session_.chunk().last) end = co_await end_message();
    const std::string sender(session_.envelope().sender.display());
    answer = session_.end_of_chunk(end);
    if (session_.envelope().recipients.empty()) counted_.reset();
    if (!session_.is_receiving()) incoming_.reset();
    if (answer.reply.code >= 400) log_rejected(answer.reply, sender, {});
  }
  out_ += answer.reply.to_wire();
  co_return Go::on;
}

asio::awaitable<ServerSession::Go> ServerSession::content_lost(Error error) {
  if (error.code != errc::timed_out) co_return Go::end;
  const smtp::Answer late = giving_way_ ? session_.give_way() : session_.timed_out();
  co_return co_await send_reply(late);
}

// Single octets now and then keep no place that others need.
void ServerSession::note_progress(std::size_t octets) {
  content_octets_ += octets;
  if (content_octets_ < progress_octets) return;
  content_octets_ = 0;
  place_->got_on(std::chrono::steady_clock::now());
}

// Content up to its end; what came behind it goes back to `lines_`.
asio::awaitable<Result<>> ServerSession::read_content() {
  lines_.consume(incoming_->feed(lines_.rest()));
  std::unique_ptr<char[]> buffer;
  while (!incoming_->ended()) {
    if (incoming_->has_chunk()) co_await store();
    if (!buffer) buffer = std::make_unique_for_overwrite<char[]>(content_octets);
    if (giving_way_) co_return fail(errc::timed_out, "others need the place");
    stream_.expires_after(profile_->limits.data_timeout);
    const auto got = co_await stream_.read_some({buffer.get(), content_octets});
    if (!got) co_return got.error();
    note_progress(*got);
    const std::string_view octets(buffer.get(), *got);
    const std::size_t used = incoming_->feed(octets);
    if (used < octets.size()) lines_.append(octets.substr(used));
  }
  co_return Result<>{};
}

// Exactly the octets that BDAT announced, into the message on its way if there is one. Nothing behind them is read. The
// client is told what it waits for only when more must come.
asio::awaitable<Result<>> ServerSession::read_chunk() {
  if (incoming_ && incoming_->has_chunk()) co_await store();
  std::uint64_t left = session_.chunk().octets;
  const std::string_view here = lines_.rest().substr(0, std::min<std::uint64_t>(left, lines_.rest().size()));
  if (incoming_) incoming_->feed(here);
  left -= here.size();
  lines_.consume(here.size());
  if (left == 0) co_return Result<>{};
  const Go flushed = co_await flush(profile_->limits.command_timeout);
  if (flushed == Go::end) co_return fail(errc::broken_pipe, "the client is gone");
  const auto buffer = std::make_unique_for_overwrite<char[]>(content_octets);
  while (left > 0) {
    if (incoming_ && incoming_->has_chunk()) co_await store();
    if (giving_way_) co_return fail(errc::timed_out, "others need the place");
    stream_.expires_after(profile_->limits.data_timeout);
    const std::size_t most = std::min<std::uint64_t>(left, content_octets);
    const auto got = co_await stream_.read_some({buffer.get(), most});
    if (!got) co_return got.error();
    note_progress(*got);
    if (incoming_) incoming_->feed({buffer.get(), *got});
    left -= *got;
  }
  co_return Result<>{};
}

asio::awaitable<void> ServerSession::store() {
  const auto stored = co_await incoming_->store();
  if (!stored) log_store_failed(stored.error());
}

asio::awaitable<smtp::EndOfData> ServerSession::end_message() {
  incoming_->finish();
  smtp::EndOfData end;
  end.content = session_.judge(incoming_->found(), incoming_->facts());
  if (end.content != smtp::Content::good) co_return end;
  std::vector<store::NewRecipient> recipients = to_queue(session_.envelope().recipients);
  if (recipients.size() < session_.envelope().recipients.size()) co_await take_bounce();
  if (recipients.empty()) {
    end.stored = smtp::EndOfData::Stored::discarded;
    co_return end;
  }
  end.stored = kept_from(incoming_->store_error());
  if (!incoming_->is_kept()) co_return end;
  if (const auto accepting = queue_.accepting(); !accepting) {
    end.stored = kept_from(accepting.error());
    co_return end;
  }
  const bool stranger = !session_.may_relay();
  if (stranger && !services_.strangers.take(place_->site(), std::chrono::steady_clock::now())) {
    end.stored = smtp::EndOfData::Stored::full;
    co_return end;
  }
  store::Envelope envelope = to_queue(session_.envelope(), stream_.peer().ip);
  // what a client did not declare is known from the content: it leaves with BODY=8BITMIME (RFC 6152)
  if (incoming_->facts().eight_bit && envelope.body == store::Body::seven_bit) envelope.body = store::Body::eight_bit;
  // what a client announced and does not use keeps no host from taking the message (MX-19)
  envelope.smtputf8 = session_.envelope().smtputf8 && incoming_->facts().eight_bit_header;
  envelope.msgid = incoming_->facts().message_id;
  // RTLS-11: the option wins over the header field
  envelope.tls_required_no = !envelope.requiretls && message::says_tls_not_required(incoming_->facts());
  const auto committed = co_await incoming_->commit(std::move(envelope), std::move(recipients));
  if (!committed) {
    if (stranger) services_.strangers.give_back(place_->site());
    end.stored = kept_from(committed.error());
    log_store_failed(committed.error());
    co_return end;
  }
  if (counted_) counted_->keep();
  end.stored = smtp::EndOfData::Stored::stored;
  end.id = committed->text();
  log_accepted(end.id);
  co_return end;
}

std::string ServerSession::received_field(const queue::Writer& writer, Time time) const {
  const auto tls = stream_.tls();
  const std::string id = writer.id().text();
  message::Received received;
  received.helo = session_.helo();
  received.client = stream_.peer().ip;
  received.by = profile_->hostname.text();
  received.with = session_.protocol();
  received.id = id;
  if (tls) {
    received.tls_version = tls->version;
    received.tls_cipher = tls->cipher;
  }
  const auto& recipients = session_.envelope().recipients;
  if (recipients.size() == 1) received.for_address = recipients.front().mailbox.text();
  received.date = time;
  return message::to_field(received);
}

}  // namespace hoplock::listener
