// SPDX-License-Identifier: Apache-2.0
#include "delivery/message_content.h"

#include <stdexcept>
#include <utility>

#include "base/utf8.h"
#include "dsn/notice.h"
#include "dsn/plain.h"
#include "smtpclient/signing.h"

namespace hoplock::delivery {

namespace {

constexpr std::size_t most_of_notice = 8U << 20U;  // what comes before a returned message is far shorter

// An address as it was accepted; it was parsed then.
smtp::Mailbox mailbox(const std::string& address) {
  const auto parsed = smtp::Mailbox::parse(address);
  if (const auto* good = std::get_if<smtp::Mailbox>(&parsed)) return *good;
  throw std::logic_error("the queue holds an address that is none: " + std::get<smtp::BadMailbox>(parsed).why);
}

// `content` is a notice of ours in UTF-8. Of a message that it returns only the header is left. Error: it cannot be read.
boost::asio::awaitable<Result<smtpclient::Content>> to_plain_notice(smtpclient::Content content) {
  std::string notice;
  for (std::uint32_t n = 0; n < content.pieces() && notice.size() < most_of_notice; ++n) {
    const auto piece = co_await content.piece(n);
    if (!piece) co_return piece.error();
    notice += **piece;
  }
  smtpclient::Content made;
  made.whole = std::make_shared<const std::string>(dsn::to_plain(notice));
  co_return made;
}

}  // namespace

WireForm form_for(const store::Envelope& envelope, const smtp::Capabilities& peer) {
  if (envelope.kind == store::Kind::notice && envelope.smtputf8 && !peer.smtputf8) return WireForm::plain;
  switch (envelope.body) {
    case store::Body::seven_bit:
      return WireForm::as_it_is;
    case store::Body::eight_bit:
      return peer.eight_bit_mime ? WireForm::as_it_is : WireForm::seven_bit;
    case store::Body::binary:
      break;
  }
  return peer.binary_mime && peer.chunking ? WireForm::binary : WireForm::seven_bit;
}

bool needs_smtputf8(const store::Envelope& envelope, std::string_view recipient) {
  const bool utf8 = envelope.smtputf8 && envelope.kind != store::Kind::notice;
  return utf8 || !is_ascii(envelope.sender) || !is_ascii(recipient);
}

boost::asio::awaitable<Result<MessageContent::Transcoded>> MessageContent::content(
    WireForm form, std::shared_ptr<const dkim::Keyring> keyring, Time now) {
  Transcoded made = stored();
  if (form == WireForm::seven_bit) {
    smtpclient::Content plain = std::get<smtpclient::Content>(std::move(made));
    auto fit = co_await smtpclient::to_seven_bit(std::move(plain));
    if (!fit) co_return fit.error();
    made = std::move(*fit);
    if (std::holds_alternative<smtpclient::MissingExtension>(made)) co_return made;
  }
  if (form == WireForm::plain) {
    smtpclient::Content notice = std::get<smtpclient::Content>(std::move(made));
    auto plain = co_await to_plain_notice(std::move(notice));
    if (!plain) co_return plain.error();
    made = std::move(*plain);
  }
  const WireForm octets = form == WireForm::binary ? WireForm::as_it_is : form;  // the same, by BDAT
  if (const auto known = signatures_.find(octets); known != signatures_.end()) {
    std::get<smtpclient::Content>(made).before = known->second;
    co_return made;
  }
  smtpclient::Content unsigned_content = std::get<smtpclient::Content>(std::move(made));
  auto content = co_await smtpclient::sign(std::move(unsigned_content), std::move(keyring), now);
  if (!content) co_return content.error();
  const bool report = job_->envelope.kind == store::Kind::report;
  if (report && content->before.empty()) co_return bad_input("a TLS report goes nowhere without a key");  // RPT-37
  signatures_[octets] = content->before;
  made = std::move(*content);
  co_return made;
}

smtp::Envelope MessageContent::envelope(const std::vector<std::size_t>& recipients, WireForm form) const {
  smtp::Envelope envelope;
  envelope.sender = mailbox(job_->envelope.sender);
  for (const std::size_t i : recipients) {
    const store::Due& due = job_->recipients[i];
    smtp::Recipient recipient;
    recipient.mailbox = mailbox(due.address);
    recipient.notify = due.notify;
    recipient.orcpt = due.orcpt;
    envelope.recipients.push_back(std::move(recipient));
    if (needs_smtputf8(job_->envelope, due.address)) envelope.smtputf8 = true;
  }
  if (job_->envelope.kind == store::Kind::notice && form != WireForm::plain)
    envelope.smtputf8 = job_->envelope.smtputf8;
  const bool eight_bit = form == WireForm::as_it_is && job_->envelope.body != store::Body::seven_bit;
  envelope.body = form == WireForm::binary ? smtp::Body::binary_mime
                  : eight_bit              ? smtp::Body::eight_bit_mime
                                           : smtp::Body::seven_bit;
  envelope.require_tls = job_->envelope.requiretls && !redacted_;
  envelope.ret = job_->envelope.ret;
  envelope.envid = job_->envelope.envid;
  return envelope;
}

boost::asio::awaitable<Result<>> MessageContent::redact() {
  const smtpclient::Content whole = stored();
  std::string octets;
  for (std::uint32_t n = 0; n < whole.pieces(); ++n) {  // a few at most: no notice of that kind returns a message
    const auto piece = co_await whole.piece(n);
    if (!piece) co_return piece.error();
    octets += **piece;
  }
  auto redacted = dsn::redacted(octets);
  if (!redacted) co_return bad_input("not a notice of ours");
  redacted_ = std::make_shared<const std::string>(std::move(*redacted));
  signatures_.clear();
  co_return Result<>();
}

smtpclient::Content MessageContent::stored() const {
  smtpclient::Content content;
  if (redacted_) {
    content.whole = redacted_;
    return content;
  }
  if (job_->chunks <= 1) content.whole = std::shared_ptr<const std::string>(job_, &job_->body);
  content.chunks = job_->chunks;
  queue::Queue& queue = queue_;
  const store::Id id = job_->id;
  content.read = [&queue, id](std::uint32_t n) { return queue.read_chunk(id, n); };
  return content;
}

}  // namespace hoplock::delivery
