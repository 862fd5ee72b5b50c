// SPDX-License-Identifier: Apache-2.0
// The content that follows DATA (RFC 5321 section 4.5.2): ends at CR LF . CR LF and nowhere else, whatever else looks
// like it (SUB-06); removes stuffed dots; finds lone CR, lone LF and NUL. Never splits or joins lines, keeps nothing of
// the content itself.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hoplock::smtp {

enum class BareNewline : std::uint8_t {
  reject,
  normalize,
  keep,  // BODY=BINARYMIME, by BDAT only: lone CR, LF and NUL are content like others
};

// What makes content unfit, in the order in which it is told to the client.
enum class Content : std::uint8_t {
  good,
  bare_newline,  // lone CR or LF, under BareNewline::reject
  nul,           // in either mode: a receiver that drops NULs would see other lines than we do
  too_large,
  loop,  // too many Received fields (SUB-32); decided by Session::judge
};

class DataDecoder {
 public:
  DataDecoder(BareNewline mode, std::uint64_t size_limit) : mode_(mode), limit_(size_limit) {}

  // Decodes up to the end of data and appends the content to `out`. Returns how many octets it used: all of them,
  // unless finished(). Once the content is unfit, nothing more is appended: it is only read to its end (SUB-15).
  // REQUIRES: !finished()
  std::size_t feed(std::string_view octets, std::string& out);
  bool finished() const { return state_ == State::finished; }

  Content content() const;
  // Octets of content, without stuffed dots and without the terminator; normalized line ends count as two (SUB-15).
  std::uint64_t size() const { return size_; }
  std::uint64_t lone_newlines() const { return lone_newlines_; }  // found; under normalize: repaired

 private:
  enum class State : std::uint8_t { line_start, dot, dot_cr, text, cr, finished };
  std::size_t feed_text(std::string_view octets, std::size_t at, std::string& out);
  void put(std::string_view part, std::string& out);
  void lone_newline(std::string& out);

  BareNewline mode_;
  std::uint64_t limit_;
  State state_ = State::line_start;
  bool nul_ = false;
  std::uint64_t size_ = 0;
  std::uint64_t lone_newlines_ = 0;
};

}  // namespace hoplock::smtp
