// SPDX-License-Identifier: Apache-2.0
#include "mtasts/record.h"

#include <algorithm>
#include <optional>

#include "base/utf8.h"
#include "mtasts/grammar.h"

namespace hoplock::mtasts {

namespace {
constexpr std::string_view version = "v=STSv1";
constexpr std::size_t longest_id = 32;

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// RFC 8461 section 3.1: records that do not begin with "v=STSv1;" are discarded; the grammar lets blanks stand before ';'.
bool begins_with_version(std::string_view text) {
  if (!text.starts_with(version)) return false;
  text.remove_prefix(version.size());
  return without_blanks(text).starts_with(';');
}

// sts-ext-value: printable, without blank, '=' and ';'
bool is_value(std::string_view value) {
  return !value.empty() &&
         std::all_of(value.begin(), value.end(), [](char c) { return c > ' ' && c < 0x7f && c != '='; });
}

bool is_id(std::string_view id) {
  return !id.empty() && id.size() <= longest_id && std::all_of(id.begin(), id.end(), is_alnum);
}

struct Field {
  std::string_view key;
  std::string_view value;
};

Result<Field> parse_field(std::string_view text) {
  if (text.empty()) return bad_input("the TXT record has an empty field");
  const auto equals = text.find('=');
  if (equals == std::string_view::npos) {
    return bad_input("the TXT record has a field without '=': '" + to_one_line(text, shown) + "'");
  }
  const Field field{text.substr(0, equals), text.substr(equals + 1)};
  if (!is_key(field.key) || !is_value(field.value)) {
    return bad_input("the TXT record has a malformed field: '" + to_one_line(text, shown) + "'");
  }
  return field;
}
}  // namespace

Result<Record> parse_record(std::string_view text) {
  if (!begins_with_version(text)) return bad_input("the TXT record does not begin with 'v=STSv1;'");
  auto fields = split(text, ';');
  if (without_blanks(fields.back()).empty()) {
    // the one optional ';' at the end; blanks may stand before and after it
    fields.pop_back();
  } else if (is_blank(fields.back().back())) {
    return bad_input("the TXT record ends with a blank that no ';' precedes");
  }
  std::optional<std::string> id;
  for (std::size_t i = 1; i < fields.size(); ++i) {
    auto field = parse_field(without_blanks(fields[i]));
    if (!field) return field.error();
    if (field->key == "id" && !id) id = std::string(field->value);
  }
  if (!id) return bad_input("the TXT record has no id");
  if (!is_id(*id)) {
    return bad_input("the TXT record's id is not 1 to 32 letters and digits: '" + to_one_line(*id, shown) + "'");
  }
  return Record{std::move(*id)};
}

Choice choose_record(const std::vector<std::string>& texts) {
  std::vector<std::string_view> candidates;
  Choice choice;
  for (const auto& text : texts) {
    if (begins_with_version(text)) {
      candidates.emplace_back(text);
    } else if (equals_ignoring_case(without_blanks(text).substr(0, version.size()), version)) {
      choice.why = "a TXT record does not begin with exactly 'v=STSv1;': '" + to_one_line(text, shown) + "'";
    }
  }
  if (candidates.empty()) return choice;
  if (candidates.size() > 1) {
    const std::string count = std::to_string(candidates.size());
    return {Choice::State::invalid, {}, "there are " + count + " MTA-STS TXT records, only one is allowed"};
  }
  auto record = parse_record(candidates.front());
  if (!record) return {Choice::State::invalid, {}, record.error().detail};
  return {Choice::State::valid, std::move(record->id), {}};
}

}  // namespace hoplock::mtasts
