// SPDX-License-Identifier: Apache-2.0
#include "delivery/payload.h"

#include <stdexcept>
#include <utility>

#include "delivery/signing.h"
#include "dsn/notice.h"

namespace hoplock::delivery {

namespace {

// An address as it was accepted; it was parsed then.
smtp::Mailbox mailbox(const std::string& address) {
  const auto parsed = smtp::Mailbox::parse(address);
  if (const auto* good = std::get_if<smtp::Mailbox>(&parsed)) return *good;
  throw std::logic_error("the queue holds an address that is none: " + std::get<smtp::BadMailbox>(parsed).why);
}

}  // namespace

boost::asio::awaitable<Result<Payload::Made>> Payload::content(Form form, std::shared_ptr<const dkim::Keyring> keyring,
                                                               Time now) {
  Made made = stored();
  if (form == Form::seven_bit) {
    Content plain = std::get<Content>(std::move(made));
    auto fit = co_await to_seven_bit(std::move(plain));
    if (!fit) co_return fit.error();
    made = std::move(*fit);
    if (std::holds_alternative<Lack>(made)) co_return made;
  }
  if (form == Form::plain) {
    Content notice = std::get<Content>(std::move(made));
    auto plain = co_await to_plain_notice(std::move(notice));
    if (!plain) co_return plain.error();
    made = std::move(*plain);
  }
  const Form octets = form == Form::binary ? Form::as_it_is : form;  // the same, by BDAT
  if (const auto known = signatures_.find(octets); known != signatures_.end()) {
    std::get<Content>(made).before = known->second;
    co_return made;
  }
  Content unsigned_content = std::get<Content>(std::move(made));
  auto content = co_await sign(std::move(unsigned_content), std::move(keyring), now);
  if (!content) co_return content.error();
  const bool report = job_->envelope.kind == store::Kind::report;
  if (report && content->before.empty()) co_return bad_input("a TLS report goes nowhere without a key");  // RPT-37
  signatures_[octets] = content->before;
  made = std::move(*content);
  co_return made;
}

smtp::Envelope Payload::envelope(const std::vector<std::size_t>& recipients, Form form) const {
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
  if (job_->envelope.kind == store::Kind::notice && form != Form::plain) envelope.smtputf8 = job_->envelope.smtputf8;
  const bool eight_bit = form == Form::as_it_is && job_->envelope.body != store::Body::seven_bit;
  envelope.body = form == Form::binary ? smtp::Body::binary_mime
                  : eight_bit          ? smtp::Body::eight_bit_mime
                                       : smtp::Body::seven_bit;
  envelope.require_tls = job_->envelope.requiretls && !redacted_;
  envelope.ret = job_->envelope.ret;
  envelope.envid = job_->envelope.envid;
  return envelope;
}

boost::asio::awaitable<Result<>> Payload::redact() {
  const Content whole = stored();
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

Content Payload::stored() const {
  Content content;
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
