// SPDX-License-Identifier: Apache-2.0
// What is sent of one job: its envelope, and its content in the form that a peer takes, signed in that form (DKIM-07). Signatures are
// made once a form, whoever is told of the message; the content is read anew each time, and never kept. Which form a peer takes (RFC 6152,
// RFC 3030, RFC 6531; MX-18, MX-19) is pure.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "dkim/signer.h"
#include "queue/queue.h"
#include "smtp/capabilities.h"
#include "smtp/envelope.h"
#include "smtpclient/client.h"
#include "smtpclient/transcoding.h"
#include "store/message.h"

namespace hoplock::delivery {

// How the content goes out.
enum class WireForm : std::uint8_t {
  as_it_is,
  binary,     // by BDAT with BODY=BINARYMIME
  seven_bit,  // converted
  plain,      // a notice of ours in UTF-8, as those are read who do not know that (DSN-14)
};
WireForm form_for(const store::Envelope& envelope, const smtp::Capabilities& peer);

// RFC 6531: the header, the sender or this recipient is not ASCII. Recomputed, whatever the client said (MX-19).
bool needs_smtputf8(const store::Envelope& envelope, std::string_view recipient);

class MessageContent {
 public:
  using Transcoded = std::variant<smtpclient::Content, smtpclient::MissingExtension>;

  // REQUIRES: queue outlives it and what it made.
  MessageContent(std::shared_ptr<const store::Job> job, queue::Queue& queue) : job_(std::move(job)), queue_(queue) {}

  // Or why it must not be brought into that form. Error: it cannot be read, or not be signed.
  boost::asio::awaitable<Result<Transcoded>> content(WireForm form, std::shared_ptr<const dkim::Keyring> keyring,
                                                     Time now);
  // A notice of ours (store::Kind::notice) loses what it returns of the message that it is about, and no longer asks for REQUIRETLS.
  boost::asio::awaitable<Result<>> redact();
  std::uint64_t size() const { return redacted_ ? redacted_->size() : job_->size; }
  // For these of the job's recipients, by index; without the size.
  smtp::Envelope envelope(const std::vector<std::size_t>& recipients, WireForm form) const;

 private:
  smtpclient::Content stored() const;

  std::shared_ptr<const store::Job> job_;
  queue::Queue& queue_;
  std::shared_ptr<const std::string> redacted_;
  std::map<WireForm, std::string> signatures_;
};

}  // namespace hoplock::delivery
