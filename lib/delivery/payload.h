// SPDX-License-Identifier: Apache-2.0
// What is sent of one job: its envelope, and its content in the form that a peer takes, signed in that form (DKIM-07). Signatures are
// made once a form, whoever is told of the message; the content is read anew each time, and never kept.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "delivery/client.h"
#include "delivery/fitting.h"
#include "dkim/signer.h"
#include "queue/queue.h"
#include "smtp/envelope.h"

namespace hoplock::delivery {

class Payload {
 public:
  using Made = std::variant<Content, Lack>;

  // REQUIRES: queue outlives it and what it made.
  Payload(std::shared_ptr<const store::Job> job, queue::Queue& queue) : job_(std::move(job)), queue_(queue) {}

  // Or why it must not be brought into that form. Error: it cannot be read, or not be signed.
  boost::asio::awaitable<Result<Made>> content(Form form, std::shared_ptr<const dkim::Keyring> keyring, Time now);
  // A notice of ours (store::Kind::notice) loses what it returns of the message that it is about, and no longer asks for REQUIRETLS.
  boost::asio::awaitable<Result<>> redact();
  std::uint64_t size() const { return redacted_ ? redacted_->size() : job_->size; }
  // For these of the job's recipients, by index; without the size.
  smtp::Envelope envelope(const std::vector<std::size_t>& recipients, Form form) const;

 private:
  Content stored() const;

  std::shared_ptr<const store::Job> job_;
  queue::Queue& queue_;
  std::shared_ptr<const std::string> redacted_;
  std::map<Form, std::string> signatures_;
};

}  // namespace hoplock::delivery
