// SPDX-License-Identifier: Apache-2.0
// SMTP replies (RFC 5321 section 4.2, RFC 2034): ours rendered, a server's parsed. A server's reply is foreign text of
// any size and form: the parser keeps a bounded part of it, and what is no reply is an error of the connection.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "smtp/status.h"

namespace hoplock::smtp {

struct Reply {
  int code = 0;
  std::optional<EnhancedStatus> status;
  std::string text;  // lines separated by '\n', without codes

  Reply() = default;
  Reply(int reply_code, std::optional<EnhancedStatus> enhanced, std::string reply_text);

  bool is_positive() const { return code / 100 == 2; }
  bool is_intermediate() const { return code / 100 == 3; }
  bool is_transient() const { return code / 100 == 4; }
  bool is_permanent() const { return code / 100 == 5; }
  // The server's own enhanced status; where it gave none (or none that fits), "x.0.0" of the reply's class.
  EnhancedStatus status_or_default() const;
  // As sent: every line with code, '-' or ' ', enhanced code, text, CRLF.
  std::string to_wire() const;
  // For logs and notices: "550 5.1.1 no such user", printable, one line, at most `limit` octets.
  std::string one_line(std::size_t limit = 500) const;
  bool operator==(const Reply&) const = default;
};

// Reads a server's replies from octets in any split. Bare LF ends a line too; a line's octets above max_line are
// dropped. Malformed (the connection is of no more use): no three digits, codes that differ between lines, an octet
// after the code that is neither ' ' nor '-', more than max_lines lines or max_total octets in one reply.
class ReplyParser {
 public:
  static constexpr std::size_t max_line = 4096, max_lines = 200, max_total = 65536;

  void feed(std::string_view octets);
  // The next whole reply; nullopt: it needs more octets; an error (bad_message) stays an error.
  Result<std::optional<Reply>> next();
  // Octets behind the last whole reply. After the 220 to STARTTLS there must be none (SUB-10's mirror: response
  // injection).
  bool has_leftover() const { return begin_ < buffer_.size() || lines_ != 0; }

 private:
  Result<bool> take_line(std::string_view line);

  std::string buffer_;
  std::size_t begin_ = 0;    // of what is not yet parsed
  std::size_t scanned_ = 0;  // up to here there is no LF
  std::size_t total_ = 0;    // octets of the reply so far
  std::size_t lines_ = 0;
  Reply reply_;
  std::string broken_;  // why the stream is malformed
};

}  // namespace hoplock::smtp
