// SPDX-License-Identifier: Apache-2.0
// A message made fit for peers that take 7-bit lines only (RFC 6152 section 3, RFC 3030 section 3; MX-18, SUB-20). Two passes over the
// same octets, each a stream in bounded memory: the first finds out which leaves of the MIME tree need an encoding, and whether the
// message may be changed at all; the second rewrites those leaves (text as quoted-printable, others as base64) and their headers.
// All else stays octet by octet.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "message/mime_header.h"
#include "message/transfer_encoding.h"

namespace hoplock::message {

// Why a message cannot be converted.
enum class Obstacle : std::uint8_t {
  none,
  header,     // octets above 127 in a header: there is no way to write them
  sealed,     // signed or encrypted by somebody else: any change would break it
  structure,  // no MIME that could be rewritten so that it means the same
};

struct SevenBitPlan {
  Obstacle obstacle = Obstacle::none;
  bool needed = false;       // else all of it is 7-bit lines as it is, and no obstacle matters
  bool lines = true;         // no NUL, no lone CR or LF, no line too long: 8-bit lines at worst
  std::vector<bool> encode;  // which leaves, in order
};

class SevenBit {
 public:
  static constexpr std::size_t most_header = 256U << 10U;  // octets of one header
  static constexpr std::size_t most_depth = 30;
  static constexpr std::size_t most_leaves = 10000;

  SevenBit() = default;                                          // the first pass
  explicit SevenBit(const SevenBitPlan& plan) : given_(plan) {}  // the second; REQUIRES: no obstacle

  // Any split. The first pass appends nothing.
  void feed(std::string_view octets, std::string& out);
  void finish(std::string& out);
  // Of the first pass, after finish().
  const SevenBitPlan& plan() const { return plan_; }

 private:
  // A piece of a line: all of it, or where it is longer than is looked at, a part.
  struct Piece {
    std::string_view text;  // without CRLF
    bool starts = true;     // at the line's start
    bool ends = true;       // a CRLF follows
  };
  enum class Where : std::uint8_t { header, leaf, between };  // between: preamble and epilogue of a multipart
  void take(const Piece& piece, std::string& out);
  bool take_boundary(std::string_view line, std::string& out);
  void take_header(const Piece& piece, std::string& out);
  void end_header(std::string& out);
  void begin_leaf(const MimeHeader& header, std::string& out);
  void take_leaf(const Piece& piece, std::string& out);
  void look_at(const Piece& piece);
  void end_leaf(std::string& out);
  void put_line(const Piece& piece, std::string& out) const;
  void refuse(Obstacle why);
  void read_flat();
  bool is_first_pass() const { return !given_; }

  std::optional<SevenBitPlan> given_;
  SevenBitPlan plan_;
  std::string line_;  // gathered so far
  bool line_starts_ = true;
  Where where_ = Where::header;
  bool is_message_header_ = true;  // of a whole message, not of a part
  std::string header_;
  bool is_flat_ = false;  // its structure is refused: the rest is read as lines, whatever parts it may have
  std::vector<std::string> boundaries_;
  std::vector<bool> digests_;  // of each: its parts are messages unless they say otherwise (RFC 2046 section 5.1.5)
  std::size_t leaf_ = 0;       // number of the one that is read
  TransferEncoding declared_ = TransferEncoding::identity;
  bool is_opaque_message_ = false;  // message/* that may not be encoded
  std::size_t column_ = 0;
  bool crlf_due_ = false;  // of an encoded leaf: content, or the boundary's
  std::variant<std::monostate, QuotedPrintable, Base64> encoder_;
};

}  // namespace hoplock::message
