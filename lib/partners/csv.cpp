// SPDX-License-Identifier: Apache-2.0
#include "partners/csv.h"

#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "base/ascii.h"

namespace hoplock::partners {

namespace {

constexpr std::string_view columns = "domain,level,exceptions,until,note";
constexpr std::size_t column_count = 5;
constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

std::string field_of(std::string_view text) {
  if (text.find_first_of(",\" ") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

// Nothing: a quotation mark stands where none may.
std::optional<std::vector<std::string>> fields_of(std::string_view line) {
  std::vector<std::string> fields;
  for (std::size_t at = 0;;) {
    std::string field;
    if (at < line.size() && line[at] == '"') {
      for (++at; at < line.size() && (line[at] != '"' || line.substr(at, 2) == "\"\""); ++at) {
        if (line[at] == '"') ++at;
        field += line[at];
      }
      if (at == line.size()) return std::nullopt;
      ++at;
    } else {
      while (at < line.size() && line[at] != ',' && line[at] != '"') field += line[at++];
    }
    fields.push_back(std::move(field));
    if (at == line.size()) return fields;
    if (line[at++] != ',') return std::nullopt;
  }
}

// The entries of one line.
Result<std::vector<Entry>> entries_of(const std::vector<std::string>& fields, Time now) {
  std::vector<Entry> entries;
  Entry common;
  auto domain = parse_domain(trim(fields[0]));
  if (!domain) return domain.error();
  common.domain = std::move(*domain);
  common.note = fields[4];
  if (const auto until = trim(fields[3]); !until.empty()) {
    const auto day = parse_day(until);
    if (!day) return day.error();
    common.until = *day;
  }
  if (const auto level = trim(fields[1]); !level.empty()) {
    const auto parsed = parse_level(level);
    if (!parsed) return parsed.error();
    entries.push_back(common);
    entries.back().level = *parsed;
  }
  for (const auto word : split(fields[2], ' ')) {
    if (word.empty()) continue;
    const auto rule = parse_exception(word);
    if (!rule) return rule.error();
    entries.push_back(common);
    entries.back().rule = *rule;
  }
  if (entries.empty())
    return bad_input(
        "neither a level nor an exception; allowed: dane, verify, encrypt as level, dane, mta-sts as exceptions");
  for (Entry& one : entries) {
    auto good = admitted(std::move(one), now);
    if (!good) return good.error();
    one = std::move(*good);
  }
  return entries;
}

using Place = std::tuple<dns::Pattern, Rule>;

Error at_line(std::size_t line, const std::string& what) { return bad_input(std::to_string(line) + ": " + what); }

}  // namespace

std::string csv_head() { return std::string(columns) + "\n"; }

std::string to_csv(const Entry& entry) {
  const std::string word(word_of(entry));
  const bool mandate = entry.rule == Rule::mandate;
  return dns::to_text(entry.domain) + "," + (mandate ? word : "") + "," + (mandate ? "" : word) + "," +
         (entry.until ? to_text(*entry.until) : "") + "," + field_of(entry.note) + "\n";
}

Result<std::vector<Imported>> parse_csv(std::string_view text, Time now) {
  std::vector<Imported> all;
  std::map<Place, std::size_t> seen;
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  for (std::size_t number = 1; !text.empty() || number == 1; ++number) {
    const auto end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (number == 1) {
      if (line != columns) return at_line(number, "the first line must be '" + std::string(columns) + "'");
      continue;
    }
    if (trim(line).empty()) continue;
    const auto fields = fields_of(line);
    if (!fields)
      return at_line(number,
                     "a quotation mark stands where none may; allowed: \"…\" around a whole field, \"\" for one in it");
    if (fields->size() != column_count) {
      return at_line(number, std::to_string(fields->size()) + " fields; allowed: the " + std::to_string(column_count) +
                                 " of '" + std::string(columns) + "'");
    }
    auto entries = entries_of(*fields, now);
    if (!entries) return at_line(number, entries.error().detail);
    for (Entry& one : *entries) {
      const auto [place, fresh] = seen.emplace(Place{one.domain, one.rule}, number);
      if (!fresh) {
        return at_line(number, dns::to_text(one.domain) + ": " + std::string(kind_of(one)) + " " +
                                   std::string(one.rule == Rule::mandate ? "" : word_of(one)) + " stands in line " +
                                   std::to_string(place->second) + " already; allowed: once");
      }
      all.push_back({number, std::move(one)});
    }
  }
  return all;
}

}  // namespace hoplock::partners
