// SPDX-License-Identifier: Apache-2.0
#include "dkim/author.h"

#include <cstddef>
#include <string>

#include "base/ascii.h"

namespace hoplock::dkim {

namespace {
constexpr bool is_space(char c) { return is_blank(c) || c == '\r' || c == '\n'; }

// Reads an address list from left to right. Only what follows the last "@" of a mailbox is kept, and where an angle bracket
// opens, what stood before it was a name.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  std::optional<dns::Name> read() {
    while (good_ && !text_.empty()) step();
    end_mailbox();
    return good_ && !angle_ ? found_ : std::nullopt;
  }

 private:
  void step() {
    const char c = text_.front();
    if (c == '(') return skip_comment();
    if (c == '"') return skip_quoted();
    text_.remove_prefix(1);
    if (is_space(c)) return;
    switch (c) {
      case '<':
        good_ = good_ && !angle_ && !closed_;
        angle_ = true;
        reset();
        break;
      case '>':
        good_ = good_ && angle_;
        angle_ = false;
        closed_ = true;
        break;
      case ',':
        if (!angle_) return end_mailbox();
        reset();  // between the hops of an obsolete source route
        break;
      case ':':  // the end of a source route, or of a group's name
        good_ = good_ && !closed_;
        reset();
        break;
      case ';':
        if (angle_) good_ = false;
        end_mailbox();
        break;
      case '@':
        at_ = true;
        domain_.clear();
        break;
      default:
        take(c);
    }
  }

  void take(char c) {
    if (!closed_ && at_) domain_ += c;
    if (!closed_) anything_ = true;
    if (closed_) good_ = false;  // words behind the address
  }

  void reset() {
    at_ = false;
    anything_ = false;
    domain_.clear();
  }

  // One domain more, or a member of a list that is empty.
  void end_mailbox() {
    if (anything_ || at_ || closed_) {
      const auto name = dns::Name::parse(domain_);
      const bool usable = at_ && name && !name->is_root() && (!found_ || *found_ == *name);
      if (usable) found_ = *name;
      good_ = good_ && usable;
    }
    closed_ = false;
    reset();
  }

  void skip_quoted() {
    anything_ = true;
    if (closed_ || at_) good_ = false;  // no domain has quotes
    std::size_t i = 1;
    while (i < text_.size() && text_[i] != '"') i += text_[i] == '\\' ? 2U : 1U;
    if (i >= text_.size()) good_ = false;
    text_.remove_prefix(std::min(i + 1, text_.size()));
  }

  void skip_comment() {
    std::size_t depth = 0;
    std::size_t i = 0;
    for (; i < text_.size(); ++i) {
      if (text_[i] == '\\') {
        ++i;
      } else if (text_[i] == '(') {
        ++depth;
      } else if (text_[i] == ')' && --depth == 0) {
        break;
      }
    }
    if (i >= text_.size()) good_ = false;
    text_.remove_prefix(std::min(i + 1, text_.size()));
  }

  std::string_view text_;
  std::string domain_;  // what followed the last "@"
  bool at_ = false, anything_ = false, angle_ = false, closed_ = false, good_ = true;
  std::optional<dns::Name> found_;
};
}  // namespace

std::optional<dns::Name> author_domain(std::string_view from) { return Reader(from).read(); }

}  // namespace hoplock::dkim
