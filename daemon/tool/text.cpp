// SPDX-License-Identifier: Apache-2.0
#include "daemon/tool/text.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <numeric>
#include <utility>

#include "base/ascii.h"
#include "base/utf8.h"

namespace hoplock::daemon::tool {

namespace {

constexpr std::size_t measured_rows = 1000;
constexpr std::size_t least_width = 6;      // no column gives way beyond that
constexpr std::size_t least_of_lines = 24;  // a sentence in shorter lines cannot be read

struct Range {
  char32_t first, last;
};
// Marks, isolates and overrides of the writing direction, line and paragraph separators, the byte order mark.
constexpr std::array<Range, 6> invisible{
    {{0x61C, 0x61C}, {0x200B, 0x200F}, {0x2028, 0x202E}, {0x2060, 0x206F}, {0xFEFF, 0xFEFF}, {0xFFF9, 0xFFFB}}};
// Unicode's East Asian Wide and Fullwidth, and the emoji; in rough blocks.
constexpr std::array<Range, 8> wide{{{0x1100, 0x115F},
                                     {0x2E80, 0x303E},
                                     {0x3041, 0xA4CF},
                                     {0xAC00, 0xD7A3},
                                     {0xF900, 0xFAFF},
                                     {0xFE30, 0xFE6F},
                                     {0xFF00, 0xFF60},
                                     {0x1F300, 0x3FFFD}}};
constexpr std::array<Range, 3> combining{{{0x300, 0x36F}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}}};

template <std::size_t N>
bool is_in(char32_t c, const std::array<Range, N>& ranges) {
  return std::any_of(ranges.begin(), ranges.end(), [c](Range r) { return c >= r.first && c <= r.last; });
}

char32_t decode(std::string_view sequence) {
  const auto first = static_cast<unsigned char>(sequence[0]);
  if (sequence.size() == 1) return first;
  char32_t c = first & (0xFFU >> (sequence.size() + 1));
  for (std::size_t i = 1; i < sequence.size(); ++i) c = (c << 6U) | (static_cast<unsigned char>(sequence[i]) & 0x3FU);
  return c;
}

bool is_control(char32_t c) { return c < 0x20 || (c >= 0x7F && c < 0xA0); }

std::size_t width_of(char32_t c) { return is_in(c, combining) ? 0 : is_in(c, wide) ? 2 : 1; }

// How many octets a character that begins so has; 1 for what can begin none.
std::size_t promised(char first) {
  const auto c = static_cast<unsigned char>(first);
  return c >= 0xF0 && c <= 0xF4 ? 4 : c >= 0xE0 ? 3 : c >= 0xC2 ? 2 : 1;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const std::string_view one = text.substr(0, length == 0 ? 1 : length);
    const char32_t c = length == 0 ? 0 : decode(one);
    if (c == '\t' || c == '\n' || c == '\r') {
      if (c != '\n' || out.empty() || out.back() != ' ') out += ' ';
    } else if (is_control(c) || is_in(c, invisible)) {
      out += '?';
    } else {
      out += one;
    }
    text.remove_prefix(one.size());
  }
  return out;
}

std::size_t columns(std::string_view text) {
  std::size_t sum = 0;
  while (!text.empty()) {
    const std::size_t length = std::max<std::size_t>(utf8_length(text), 1);
    sum += width_of(decode(text.substr(0, length)));
    text.remove_prefix(length);
  }
  return sum;
}

std::string fit(std::string_view text, std::size_t width) {
  if (columns(text) <= width) return std::string(text);
  std::string out;
  std::size_t used = 0;
  while (!text.empty()) {
    const std::size_t length = std::max<std::size_t>(utf8_length(text), 1);
    const std::size_t more = width_of(decode(text.substr(0, length)));
    if (used + more + 1 > width) break;
    used += more;
    out += text.substr(0, length);
    text.remove_prefix(length);
  }
  return width == 0 ? out : out + "…";
}

std::string wrapped(std::string_view text, std::size_t indent, std::size_t width) {
  const std::string margin(indent, ' ');
  const std::size_t room = width > indent ? width - indent : 1;
  std::string all, line;
  for (const std::string_view word : split(text, ' ')) {
    if (!line.empty() && columns(line) + 1 + columns(word) > room) all += margin + std::exchange(line, {}) + '\n';
    line += (line.empty() ? "" : " ") + fit(word, room);
  }
  return all + margin + line + '\n';
}

std::string age(Milliseconds time) {
  const auto seconds = std::max<std::int64_t>(std::chrono::floor<Seconds>(time).count(), 0);
  const auto minutes = seconds / 60;
  const auto hours = minutes / 60;
  const auto two = [](std::int64_t big, const char* unit, std::int64_t small, const char* less) {
    return std::to_string(big) + unit + (small == 0 ? "" : std::to_string(small) + less);
  };
  if (seconds < 60) return std::to_string(seconds) + "s";
  if (minutes < 60) return std::to_string(minutes) + "m";
  if (hours < 24) return two(hours, "h", minutes % 60, "m");
  return two(hours / 24, "d", hours % 24, "h");
}

std::string size(std::uint64_t octets) {
  constexpr std::array<const char*, 5> units{"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(octets);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), unit > 0 && value < 10 ? "%.1f%s" : "%.0f%s", value, units[unit]);
  return text.data();
}

std::string moment(Time time) { return to_rfc3339(time).substr(0, 19) + "Z"; }

std::string counted(std::uint64_t number, std::string_view noun) {
  return std::to_string(number) + " " + std::string(noun) + (number == 1 ? "" : "s");
}

std::string TerminalSanitizer::feed(std::string_view octets) {
  std::string all = rest_ + std::string(octets);
  rest_.clear();
  // A character may go on in the next piece.
  for (std::size_t back = 1; back <= 3 && back <= all.size(); ++back) {
    const char c = all[all.size() - back];
    if ((static_cast<unsigned char>(c) & 0xC0U) == 0x80U) continue;
    if (promised(c) > back) {
      rest_ = all.substr(all.size() - back);
      all.erase(all.size() - back);
    }
    break;
  }
  return take(all);
}

std::string TerminalSanitizer::finish() {
  std::string all;
  all.swap(rest_);
  return take(all);
}

std::string TerminalSanitizer::take(std::string_view octets) {
  std::string out;
  while (!octets.empty()) {
    const auto end = octets.find_first_of("\r\n\t");
    out += printable(octets.substr(0, end));
    if (end == std::string_view::npos) break;
    if (octets[end] != '\r') out += octets[end];
    octets.remove_prefix(end + 1);
  }
  return out;
}

Table::Table(std::ostream& out, std::optional<std::size_t> width, std::vector<Column> columns)
    : out_(out), width_(width), columns_(std::move(columns)) {}

std::string tinted(std::string_view text, Tint tint) {
  if (tint == Tint::none) return std::string(text);
  const char* const start = tint == Tint::good ? "\x1b[32m" : tint == Tint::note ? "\x1b[33m" : "\x1b[1;31m";
  return start + std::string(text) + "\x1b[0m";
}

void Table::add(std::vector<std::string> cells, std::string under, Tint tint) {
  cells.resize(columns_.size());
  for (std::string& cell : cells) cell = printable(cell);
  Row row{std::move(cells), printable(under), tint};
  if (!widths_.empty()) return print(row);
  waiting_.push_back(std::move(row));
  if (waiting_.size() >= measured_rows) finish();
}

void Table::measure() {
  for (const Column& column : columns_) widths_.push_back(column.title.size());
  for (const auto& row : waiting_) {
    for (std::size_t i = 0; i < row.cells.size(); ++i) widths_[i] = std::max(widths_[i], tool::columns(row.cells[i]));
  }
  const std::size_t gaps = 2 * (columns_.size() - 1);
  if (has_lines()) {
    const std::size_t others = std::accumulate(widths_.begin(), widths_.end() - 1, gaps);
    const std::size_t room = *width_ > others ? *width_ - others : 0;
    widths_.back() = std::min(widths_.back(), std::max(room, least_of_lines));
  }
  while (width_) {
    const std::size_t sum = std::accumulate(widths_.begin(), widths_.end(), gaps);
    std::size_t* widest = nullptr;
    for (std::size_t i = 0; i < widths_.size(); ++i) {
      if (columns_[i].give == Give::way && (widest == nullptr || widths_[i] > *widest)) widest = &widths_[i];
    }
    if (sum <= *width_ || widest == nullptr || *widest <= least_width) break;
    --*widest;
  }
}

void Table::print(const Row& row) {
  std::string line, below;
  for (std::size_t i = 0; i < row.cells.size(); ++i) {
    const bool whole = !width_ || columns_[i].give == Give::none;
    std::string cell = whole ? row.cells[i] : fit(row.cells[i], widths_[i]);
    if (has_lines() && i + 1 == row.cells.size()) {
      const std::string all = wrapped(row.cells[i], tool::columns(line) + 2, tool::columns(line) + 2 + widths_[i]);
      cell = trim(std::string_view(all).substr(0, all.find('\n')));
      below = all.substr(all.find('\n') + 1);
    }
    const std::size_t used = tool::columns(cell);
    std::string pad;
    for (std::size_t missing = used; missing < widths_[i]; ++missing) pad += ' ';
    line += (i == 0 ? "" : "  ") + (columns_[i].align == Align::right ? pad + cell : cell + pad);
  }
  line.erase(line.find_last_not_of(' ') + 1);
  if (width_) line = fit(line, *width_);
  if (row.tint != Tint::none && line.starts_with(row.cells.front()))
    line = tinted(row.cells.front(), row.tint) + line.substr(row.cells.front().size());
  out_ << line << '\n' << below;
  constexpr std::size_t margin = 4;
  if (!row.under.empty())
    out_ << (width_ ? wrapped(row.under, margin, *width_) : std::string(margin, ' ') + row.under + '\n');
}

void Table::finish() {
  if (waiting_.empty()) return;
  measure();
  Row titles;
  for (const Column& column : columns_) titles.cells.emplace_back(column.title);
  print(titles);
  for (const auto& row : waiting_) print(row);
  waiting_.clear();
}

}  // namespace hoplock::daemon::tool
