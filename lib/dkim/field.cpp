// SPDX-License-Identifier: Apache-2.0
#include "dkim/field.h"

#include "base/ascii.h"

namespace hoplock::dkim {

namespace {
constexpr std::size_t columns = 78;

// Puts pieces one after the other and begins a new line before a piece that does not fit.
class Folder {
 public:
  explicit Folder(std::string text) : text_(std::move(text)), column_(text_.size()) {}

  // `piece` after a space, or at the start of a continuation line.
  void word(std::string_view piece) {
    if (column_ + 1 + piece.size() > columns) return line(piece);
    text_ += ' ';
    text_ += piece;
    column_ += 1 + piece.size();
  }
  // `piece` right behind what is there, or on a continuation line.
  void glue(std::string_view piece) {
    if (column_ + piece.size() > columns) return line(piece);
    text_ += piece;
    column_ += piece.size();
  }
  void line(std::string_view piece) {
    text_ += "\r\n\t";
    text_ += piece;
    column_ = 1 + piece.size();
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
  std::size_t column_;
};
}  // namespace

std::string unsigned_field(const Identity& identity, const std::vector<std::string>& names, std::string_view body_hash,
                           Time now) {
  Folder folder("DKIM-Signature: v=1;");
  folder.word("a=" + std::string(to_text(identity.key->algorithm())) + ";");
  folder.word("c=relaxed/relaxed;");
  folder.word("d=" + identity.domain.text() + ";");
  folder.word("s=" + identity.selector + ";");
  folder.word("t=" + std::to_string(std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count()) + ";");
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string piece = names[i] + (i + 1 < names.size() ? ":" : ";");
    if (i == 0) {
      folder.word("h=" + piece);
    } else {
      folder.glue(piece);
    }
  }
  folder.word("bh=" + to_base64(body_hash) + ";");
  folder.line("b=");
  return folder.take();
}

std::string with_signature(std::string unsigned_field, std::string_view signature) {
  const std::string encoded = to_base64(signature);
  std::string out = std::move(unsigned_field);
  std::size_t room = columns - 3;  // the line begins with a tab and "b="
  for (std::size_t i = 0; i < encoded.size(); i += room, room = columns - 1) {
    if (i > 0) out += "\r\n\t";
    out += encoded.substr(i, room);
  }
  return out + "\r\n";
}

}  // namespace hoplock::dkim
