// SPDX-License-Identifier: Apache-2.0
// An envelope address (RFC 5321 section 4.1.2) as it is sent onward: the local part octet by octet as it was received,
// the domain as A-labels. Parses and prints; it does not say who may use an address, or where it leads.
#pragma once
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "dns/name.h"

namespace hoplock::smtp {

class Mailbox;

// Why a text is no mailbox.
struct BadMailbox {
  enum class Kind : std::uint8_t { syntax, too_long, bad_domain };
  Kind kind = Kind::syntax;
  std::string why;  // one sentence, printable
};

class Mailbox {
 public:
  static constexpr std::size_t max_local = 512;  // RFC 5321 asks for 64; X.400-born and VERP addresses are longer
  Mailbox() = default;                           // the null sender

  // What stands between the angle brackets of MAIL and RCPT, also what text() gave: "" is the null sender, "postmaster"
  // (any case) stands alone, a source route is dropped (SUB-27), U-labels become A-labels (MX-15).
  static std::variant<Mailbox, BadMailbox> parse(std::string_view text);

  bool is_null() const { return text_.empty(); }
  bool is_bare_postmaster() const { return !text_.empty() && at_ == std::string::npos; }
  bool is_literal() const { return literal_; }  // user@[192.0.2.1]
  // The local part is not ASCII: it needs SMTPUTF8 (RFC 6531).
  bool has_utf8_local() const;

  // "user@example.org"; "" for the null sender, "postmaster" as received for the bare one.
  const std::string& text() const { return text_; }
  // For logs and listings: "<>" for the null sender, else text().
  std::string_view display() const { return is_null() ? "<>" : std::string_view(text_); }
  // "<user@example.org>", "<>"
  std::string path() const;
  std::string_view local() const;
  // The root for null, postmaster and literals.
  const dns::Name& domain() const { return domain_; }
  // "example.org", "[192.0.2.1]", or "".
  std::string_view domain_text() const;

  auto operator<=>(const Mailbox& other) const { return text_ <=> other.text_; }
  bool operator==(const Mailbox& other) const { return text_ == other.text_; }

 private:
  std::string text_;
  std::size_t at_ = std::string::npos;
  bool literal_ = false;
  dns::Name domain_;
};

}  // namespace hoplock::smtp
