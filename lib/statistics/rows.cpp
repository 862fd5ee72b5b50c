// SPDX-License-Identifier: Apache-2.0
#include "statistics/rows.h"

#include <algorithm>
#include <utility>

#include "base/ascii.h"
#include "base/utf8.h"

namespace hoplock::statistics {

namespace {

// Nearly every word is: a closed list's, or hexadecimal.
bool is_plain(std::string_view word) {
  return word.size() <= longest_word &&
         std::all_of(word.begin(), word.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

}  // namespace

std::string join_words(std::initializer_list<std::string_view> words) {
  std::string text;
  std::size_t octets = 0;
  for (const std::string_view one : words) octets += std::min(one.size(), longest_word) + 1;
  text.reserve(octets);
  for (const std::string_view one : words) {
    if (is_plain(one))
      text += one;
    else
      text += to_one_line(one, longest_word);
    text += '\n';
  }
  return text;
}

std::vector<std::string> split_words(std::string_view what) {
  std::vector<std::string> words;
  for (const std::string_view one : split(what, '\n')) words.emplace_back(one);
  words.pop_back();  // behind the last line's end
  return words;
}

void Sum::add(const Sum& more) {
  const bool fresh = count == 0 && messages == 0;
  first = fresh ? more.first : std::min(first, more.first);
  last = fresh ? more.last : std::max(last, more.last);
  count += more.count;
  messages += more.messages;
  octets += more.octets;
}

void Counts::note(Row row, Time at, std::uint64_t octets, std::uint64_t count) {
  Sum& sum = rows_[std::move(row)];
  sum.count += count;
  if (sum.messages > 0) return;
  sum.messages = 1;
  sum.octets = octets;
  sum.first = sum.last = std::chrono::floor<Seconds>(at);
}

void Counts::add(Counts more) {
  rows_.merge(more.rows_);
  for (const auto& [row, sum] : more.rows_) rows_.find(row)->second.add(sum);  // those that were there
}

}  // namespace hoplock::statistics
