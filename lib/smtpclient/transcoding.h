// SPDX-License-Identifier: Apache-2.0
// What a message needs that a peer lacks, and its conversion to 7-bit MIME (RFC 6152 section 3, RFC 3030; MX-18, SUB-20): a stream over the
// same content.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <string>
#include <variant>

#include "message/seven_bit.h"
#include "smtp/capabilities.h"
#include "smtp/status.h"
#include "smtpclient/content.h"

namespace hoplock::smtpclient {

// Why no host that lacks an extension can be given a message for somebody. Final when every host lacks it.
struct MissingExtension {
  smtp::EnhancedStatus status;
  std::string text;
  bool eight_bit_would_do = false;  // the content is 8-bit lines: with 8BITMIME it could go as it is
};

MissingExtension missing_smtputf8();
// In words that are true of that peer: one with 8BITMIME lacks only what binary content needs.
MissingExtension seen_at(const smtp::Capabilities& peer, MissingExtension missing);

// `content` as 7-bit MIME, or why it must not be converted. Error: it cannot be read. REQUIRES: `content.before` is empty; what comes
// of it is read from the first piece to the last, as often as one likes.
boost::asio::awaitable<Result<std::variant<Content, MissingExtension>>> to_seven_bit(Content content);

}  // namespace hoplock::smtpclient
