// SPDX-License-Identifier: Apache-2.0
// What the relay has to know of a message while it streams by (RFC 5322): how often it was relayed, its Message-ID,
// whether it holds 8-bit octets. Reads and counts; changes nothing, keeps no body, and refuses nothing: limits are the
// caller's to apply.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hoplock::message {

struct HeaderFacts {
  std::size_t fields = 0;          // 0: the message begins with its body
  std::size_t received = 0;        // Received fields
  std::size_t received_by_us = 0;  // those of them whose `by` names our host (SUB-32)
  std::string message_id;          // first one, trimmed, with its angle brackets; cut to max_value
  std::size_t from_fields = 0;
  std::string from;                // value of the first From field, unfolded; cut to max_value
  std::size_t tls_required = 0;    // TLS-Required fields (RFC 8689)
  std::string tls_required_value;  // of the first
  bool eight_bit_header = false;   // an octet above 127 in the header
  bool eight_bit = false;          // anywhere
};

// RFC 8689 section 3: exactly one TLS-Required field, and it says "No", which is the only value there is (RTLS-12). A field in a MIME
// part is none of the message's.
bool says_tls_not_required(const HeaderFacts& facts);

// Fed with decoded content in any split. A line that is no field and no continuation begins the body (RFC 5322
// section 2.1 asks for an empty line; Postfix reads it the same way).
class HeaderScan {
 public:
  static constexpr std::size_t max_name = 76, max_value = 2000;  // octets kept; the rest of a longer one is passed over

  explicit HeaderScan(std::string hostname);
  void feed(std::string_view octets);
  bool in_header() const { return state_ != State::body; }
  // Complete once the body began, or the message ended: `finish` closes a header without a body.
  void finish();
  const HeaderFacts& facts() const { return facts_; }

 private:
  enum class State : std::uint8_t { line_start, name, value, body };
  enum class Keep : std::uint8_t { nothing, received, message_id, from, tls_required };
  std::size_t feed_line_start(std::string_view octets);
  std::size_t feed_name(std::string_view octets);
  std::size_t feed_value(std::string_view octets);
  void begin_body();
  void end_name();
  void end_field();
  void keep(std::string_view part);

  std::string hostname_;
  HeaderFacts facts_;
  State state_ = State::line_start;
  Keep keep_ = Keep::nothing;
  bool in_field_ = false;
  std::string name_;
  std::string value_;
};

}  // namespace hoplock::message
