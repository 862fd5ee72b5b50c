// SPDX-License-Identifier: Apache-2.0
// Whether a message fits a peer, and how it must be changed to do so (RFC 6152 section 3, RFC 3030, RFC 6531 section 3; MX-18, MX-19,
// SUB-20): the decision, pure, and the conversion, a stream over the same content.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "delivery/content.h"
#include "message/seven_bit.h"
#include "smtp/capabilities.h"
#include "smtp/status.h"
#include "store/message.h"

namespace hoplock::delivery {

// Why no host that lacks an extension can be given a message for somebody. Final when every host lacks it.
struct Lack {
  smtp::EnhancedStatus status;
  std::string text;
  bool eight_bit_would_do = false;  // the content is 8-bit lines: with 8BITMIME it could go as it is
};

// How the content goes out.
enum class Form : std::uint8_t {
  as_it_is,
  binary,     // by BDAT with BODY=BINARYMIME
  seven_bit,  // converted
  plain,      // a notice of ours in UTF-8, as those are read who do not know that (DSN-14)
};
Form form_for(const store::Envelope& envelope, const smtp::Capabilities& peer);

// RFC 6531: the header, the sender or this recipient is not ASCII. Recomputed, whatever the client said (MX-19).
bool needs_smtputf8(const store::Envelope& envelope, std::string_view recipient);
Lack lacks_smtputf8();
// In words that are true of that peer: one with 8BITMIME lacks only what binary content needs.
Lack seen_at(const smtp::Capabilities& peer, Lack lack);

// `content` as 7-bit MIME, or why it must not be converted. Error: it cannot be read. REQUIRES: `content.before` is empty; what comes
// of it is read from the first piece to the last, as often as one likes.
boost::asio::awaitable<Result<std::variant<Content, Lack>>> to_seven_bit(Content content);

// `content` is a notice of ours in UTF-8. Of a message that it returns only the header is left. Error: it cannot be read.
boost::asio::awaitable<Result<Content>> to_plain_notice(Content content);

}  // namespace hoplock::delivery
