// SPDX-License-Identifier: Apache-2.0
#include "message/seven_bit.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/ascii.h"

namespace hoplock::message {

namespace {

constexpr std::size_t longest_look = 1000;  // of a line at once; no boundary is longer
constexpr std::size_t longest_line = 998;

bool is_eight_bit(char c) { return static_cast<unsigned char>(c) >= 0x80; }
bool is_unfit(char c) { return is_eight_bit(c) || c == '\0' || c == '\r' || c == '\n'; }

// "--boundary", perhaps "--", perhaps blanks.
enum class Delimiter : std::uint8_t { none, opens, closes };
Delimiter delimiter(std::string_view line, std::string_view boundary) {
  if (!line.starts_with("--") || !line.substr(2).starts_with(boundary)) return Delimiter::none;
  line.remove_prefix(2 + boundary.size());
  const bool closes = line.starts_with("--");
  if (closes) line.remove_prefix(2);
  if (line.find_first_not_of(" \t") != std::string_view::npos) return Delimiter::none;
  return closes ? Delimiter::closes : Delimiter::opens;
}

}  // namespace

void SevenBit::refuse(Obstacle why) {
  if (plan_.obstacle == Obstacle::none) plan_.obstacle = why;
}

// Nesting without end would cost its depth with every line; that lines are fit can be seen without it.
void SevenBit::read_flat() {
  refuse(Obstacle::structure);
  is_flat_ = true;
  boundaries_.clear();
  digests_.clear();
  header_.clear();
  where_ = Where::leaf;
  declared_ = TransferEncoding::identity;
  is_opaque_message_ = false;
  encoder_ = std::monostate{};
}

void SevenBit::feed(std::string_view octets, std::string& out) {
  while (!octets.empty()) {
    // a CR at the end of what was gathered may be half a line end
    const std::size_t from = line_.ends_with('\r') ? line_.size() - 1 : line_.size();
    const std::size_t room = longest_look + 2 - line_.size();
    const std::string_view part = octets.substr(0, room);
    line_ += part;
    const std::size_t end = line_.find("\r\n", from);
    if (end != std::string::npos) {
      octets.remove_prefix(part.size() - (line_.size() - end - 2));
      line_.resize(end);
      take({line_, std::exchange(line_starts_, true), true}, out);
      line_.clear();
      continue;
    }
    octets.remove_prefix(part.size());
    if (line_.size() < longest_look + 2) continue;
    const bool cr = line_.ends_with('\r');
    if (cr) line_.pop_back();
    take({line_, std::exchange(line_starts_, false), false}, out);
    line_.assign(cr ? "\r" : "");
  }
}

void SevenBit::finish(std::string& out) {
  if (!line_.empty()) take({line_, line_starts_, false}, out);
  line_.clear();
  if (where_ == Where::header) end_header(out);
  if (where_ != Where::leaf) return;
  if (std::exchange(crlf_due_, false)) {
    if (auto* quoted = std::get_if<QuotedPrintable>(&encoder_)) quoted->feed("\r\n", out);
    if (auto* base64 = std::get_if<Base64>(&encoder_)) base64->feed("\r\n", out);
  }
  end_leaf(out);
}

void SevenBit::take(const Piece& piece, std::string& out) {
  if (is_first_pass()) {
    if (!plan_.needed) plan_.needed = std::any_of(piece.text.begin(), piece.text.end(), is_unfit);
    if (plan_.needed && plan_.lines)
      plan_.lines =
          std::none_of(piece.text.begin(), piece.text.end(), [](char c) { return is_unfit(c) && !is_eight_bit(c); });
  }
  if (piece.starts && !is_flat_ && take_boundary(piece.text, out)) {
    if (!is_first_pass()) put_line(piece, out);
    return;
  }
  switch (where_) {
    case Where::header:
      return take_header(piece, out);
    case Where::leaf:
      return take_leaf(piece, out);
    case Where::between:
      if (!is_first_pass()) put_line(piece, out);
  }
}

bool SevenBit::take_boundary(std::string_view line, std::string& out) {
  for (std::size_t level = boundaries_.size(); level > 0; --level) {
    const Delimiter found = delimiter(line, boundaries_[level - 1]);
    if (found == Delimiter::none) continue;
    if (where_ == Where::header) end_header(out);  // a part without a body
    if (where_ == Where::leaf) {
      const bool crlf = std::exchange(crlf_due_, false);
      const bool quoted = std::holds_alternative<QuotedPrintable>(encoder_);
      const std::size_t before = out.size();
      end_leaf(out);
      // the CRLF before a boundary is the boundary's; base64 ends each of its lines with one
      if (crlf && (quoted || (out.size() == before && !out.ends_with("\r\n")))) out += "\r\n";
    }
    boundaries_.resize(found == Delimiter::closes ? level - 1 : level);
    digests_.resize(boundaries_.size());
    where_ = found == Delimiter::closes ? Where::between : Where::header;
    is_message_header_ = false;
    return true;
  }
  return false;
}

void SevenBit::take_header(const Piece& piece, std::string& out) {
  if (piece.starts && piece.ends && piece.text.empty()) {
    end_header(out);
    if (!is_first_pass()) out += "\r\n";
    return;
  }
  if (header_.size() + piece.text.size() > most_header) return read_flat();
  // What is no field begins the body without an empty line (RFC 5322 section 2.1 asks for one).
  const bool continues = !piece.starts || piece.text.starts_with(' ') || piece.text.starts_with('\t');
  const std::string_view name = trim(piece.text.substr(0, piece.text.find(':')));
  const bool field = name.size() < piece.text.size() && !name.empty() && name.find_first_of(" \t") == name.npos;
  if (!continues && !field) {
    end_header(out);
    if (!is_first_pass()) out += "\r\n";
    return take(piece, out);
  }
  header_ += piece.text;
  if (piece.ends) header_ += "\r\n";
}

// The header is whole; what is below it is a multipart, a message or a leaf.
void SevenBit::end_header(std::string& out) {
  const std::string block = std::exchange(header_, {});
  const MimeHeader header = parse_mime_header(block);
  if (header.eight_bit) refuse(Obstacle::header);
  if (header.sealed) refuse(Obstacle::sealed);
  const bool by_default = !is_message_header_ && !header.has_type && !digests_.empty() && digests_.back();
  const bool container = header.is_multipart() || header.is_message() || by_default;
  if (!container) {
    if (!is_first_pass()) {
      const bool encode = leaf_ < given_->encode.size() && given_->encode[leaf_];
      out += encode ? without_transfer_encoding(block) : block;
    }
    return begin_leaf(header, out);
  }
  if (!is_first_pass()) out += without_transfer_encoding(block);
  const bool unclear =
      header.encoding != TransferEncoding::identity || (header.is_multipart() && header.boundary.empty());
  if (unclear || boundaries_.size() >= most_depth) return read_flat();
  if (header.is_multipart()) {
    boundaries_.push_back(header.boundary);
    digests_.push_back(header.type == "multipart/digest");
    where_ = Where::between;
    return;
  }
  where_ = Where::header;
  is_message_header_ = true;
}

void SevenBit::begin_leaf(const MimeHeader& header, std::string& out) {
  where_ = Where::leaf;
  declared_ = header.encoding;
  is_opaque_message_ = header.type.starts_with("message/");
  column_ = 0;
  crlf_due_ = false;
  encoder_ = std::monostate{};
  if (plan_.encode.size() >= most_leaves) refuse(Obstacle::structure);
  if (plan_.encode.size() < most_leaves) plan_.encode.push_back(false);
  if (is_first_pass() || leaf_ >= given_->encode.size() || !given_->encode[leaf_]) return;
  if (is_message_header_ && !header.is_mime) {
    out += "MIME-Version: 1.0\r\n";
    if (!header.has_type) out += "Content-Type: text/plain; charset=unknown-8bit\r\n";  // RFC 1428
  }
  const bool text = header.type.starts_with("text/");
  out += text ? "Content-Transfer-Encoding: quoted-printable\r\n" : "Content-Transfer-Encoding: base64\r\n";
  if (text) {
    encoder_.emplace<QuotedPrintable>();
  } else {
    encoder_.emplace<Base64>();
  }
}

void SevenBit::take_leaf(const Piece& piece, std::string& out) {
  if (is_first_pass()) return look_at(piece);
  if (std::holds_alternative<std::monostate>(encoder_)) return put_line(piece, out);
  const bool crlf = std::exchange(crlf_due_, piece.ends);
  std::visit(
      [&](auto& encoder) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(encoder)>, std::monostate>) {
          if (crlf) encoder.feed("\r\n", out);
          encoder.feed(piece.text, out);
        }
      },
      encoder_);
}

// What the first pass has to find out about a leaf.
void SevenBit::look_at(const Piece& piece) {
  if (piece.starts && piece.text.starts_with("-----BEGIN PGP ")) refuse(Obstacle::sealed);
  column_ = piece.starts ? piece.text.size() : column_ + piece.text.size();
  const bool encoded = declared_ != TransferEncoding::identity;
  const bool unfit = std::any_of(piece.text.begin(), piece.text.end(), is_unfit);
  if (!unfit && (encoded || column_ <= longest_line)) return;
  plan_.needed = true;
  if (column_ > longest_line) plan_.lines = false;
  if (encoded || is_opaque_message_) return refuse(Obstacle::structure);
  if (leaf_ < plan_.encode.size()) plan_.encode[leaf_] = true;
}

void SevenBit::end_leaf(std::string& out) {
  if (auto* quoted = std::get_if<QuotedPrintable>(&encoder_)) quoted->finish(out);
  if (auto* base64 = std::get_if<Base64>(&encoder_)) base64->finish(out);
  encoder_ = std::monostate{};
  where_ = Where::between;
  ++leaf_;
}

// As it is; what nobody reads (preamble, epilogue) is made 7-bit in place.
void SevenBit::put_line(const Piece& piece, std::string& out) const {
  if (where_ == Where::between) {
    std::transform(piece.text.begin(), piece.text.end(), std::back_inserter(out),
                   [](char c) { return is_unfit(c) ? '?' : c; });
  } else {
    out += piece.text;
  }
  if (piece.ends) out += "\r\n";
}

}  // namespace hoplock::message
