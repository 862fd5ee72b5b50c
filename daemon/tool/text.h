// SPDX-License-Identifier: Apache-2.0
// Text for people: foreign octets made fit for a terminal, ages and sizes, and tables that fit its width. Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace hoplock::daemon::tool {

// One printable line: control characters, what turns the writing direction, and octets that are no UTF-8 become "?".
std::string printable(std::string_view text);
// Columns on a terminal; wide characters take two, combining ones none. REQUIRES: printable.
std::size_t columns(std::string_view text);
// At most `width` columns, the last of them "…" where something is left out.
std::string fit(std::string_view text, std::size_t width);

// Lines of at most `width` columns, each after `indent` blanks and with its end, broken between words. REQUIRES: printable.
std::string wrapped(std::string_view text, std::size_t indent, std::size_t width);

// "45s", "3m", "2h10m", "4d3h"
std::string age(Milliseconds time);
// "812B", "1.5KiB", "20MiB"
std::string size(std::uint64_t octets);
// "2026-11-21T19:14:09Z"
std::string moment(Time time);
// "1 message", "2 messages"
std::string counted(std::uint64_t number, std::string_view noun);

// A message's octets for a terminal: lines and tabs stay, all else as in printable(). Feed it in any pieces.
class TerminalSanitizer {
 public:
  std::string feed(std::string_view octets);
  std::string finish();

 private:
  std::string take(std::string_view octets);
  std::string rest_;  // an unfinished character
};

// The colour of a word that says how things are; nothing else on the screen has any.
enum class Tint : std::uint8_t { none, good, note, bad };
// The octets that a terminal obeys around the text; the text itself for none.
std::string tinted(std::string_view text, Tint tint);

// Columns are as wide as the first thousand rows need; on a terminal the widest give way until a row fits.
class Table {
 public:
  enum class Align : std::uint8_t { left, right };
  // What is of no use unless whole, such as an ID, gives none. A sentence in the last column goes on below: nothing of it is lost, and it
  // gives way first.
  enum class Give : std::uint8_t { way, none, lines };
  struct Column {
    std::string_view title;
    Align align = Align::left;
    Give give = Give::way;
  };
  // `width`: of the terminal; nothing: no limit.
  Table(std::ostream& out, std::optional<std::size_t> width, std::vector<Column> columns);
  // One cell a column, of any origin; `under` stands below the row, indented, on as many lines as it needs. `tint`: of the first cell.
  void add(std::vector<std::string> cells, std::string under = {}, Tint tint = Tint::none);
  // Prints what waits; without rows nothing at all.
  void finish();

 private:
  struct Row {
    std::vector<std::string> cells;
    std::string under;
    Tint tint = Tint::none;
  };
  void measure();
  void print(const Row& row);
  bool has_lines() const { return width_ && columns_.back().give == Give::lines; }
  std::ostream& out_;
  std::optional<std::size_t> width_;
  std::vector<Column> columns_;
  std::vector<std::size_t> widths_;  // empty: not measured yet
  std::vector<Row> waiting_;
};

}  // namespace hoplock::daemon::tool
