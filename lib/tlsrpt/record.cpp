// SPDX-License-Identifier: Apache-2.0
#include "tlsrpt/record.h"

#include <algorithm>

#include "base/ascii.h"
#include "base/utf8.h"
#include "tlsrpt/uri.h"

namespace hoplock::tlsrpt {

namespace {
constexpr std::string_view version = "v=TLSRPTv1";
constexpr std::size_t shown = 100;

// Blanks of the grammar: space and tab.
std::string_view trim_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool begins_with_version(std::string_view text) {
  return text.starts_with(version) && trim_blanks(text.substr(version.size())).starts_with(';');
}

// tlsrpt-ext-name: 1 to 32 octets.
bool is_name(std::string_view name) {
  if (name.empty() || name.size() > 32 || !(is_alpha(name.front()) || is_digit(name.front()))) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return is_alpha(c) || is_digit(c) || c == '_' || c == '-' || c == '.'; });
}

// tlsrpt-ext-value
bool is_value(std::string_view value) {
  return !value.empty() &&
         std::all_of(value.begin(), value.end(), [](char c) { return c > ' ' && c < 0x7f && c != '='; });
}

void read_rua(std::string_view value, Record& record) {
  for (const auto part : split(value, ',')) {
    const auto uri = trim_blanks(part);
    auto read = parse_destination(uri);
    if (!read) {
      record.ignored.push_back({to_one_line(uri, shown), std::move(read.error().detail)});
    } else if (std::find(record.rua.begin(), record.rua.end(), *read) != record.rua.end()) {
      record.ignored.push_back({to_one_line(uri, shown), "it is there twice"});
    } else if (record.rua.size() == Record::most_destinations) {
      record.ignored.push_back({to_one_line(uri, shown), "there are too many"});
    } else {
      record.rua.push_back(std::move(*read));
    }
  }
}

enum class Field : std::uint8_t { rua, unknown };

Result<Field> read_field(std::string_view field, Record& record) {
  const std::size_t equals = field.find('=');
  const auto name = field.substr(0, equals);
  if (equals == std::string_view::npos || !is_name(name)) {
    return bad_input("\"" + to_one_line(field, shown) + "\" is no field");
  }
  const auto value = field.substr(equals + 1);
  if (name == "rua") {
    if (value.empty()) return bad_input("rua is empty");
    read_rua(value, record);
    return Field::rua;
  }
  if (!is_value(value)) return bad_input("the field " + std::string(name) + " has no good value");
  return Field::unknown;
}
}  // namespace

Result<Record> parse_record(std::string_view text) {
  if (!begins_with_version(text)) return bad_input("it does not begin with v=TLSRPTv1;");
  Record record;
  bool has_rua = false;
  auto fields = split(text.substr(text.find(';') + 1), ';');
  if (fields.size() > 1 && trim_blanks(fields.back()).empty()) fields.pop_back();  // a final semicolon
  for (const auto part : fields) {
    const auto field = read_field(trim_blanks(part), record);
    if (!field) return field.error();
    has_rua = has_rua || *field == Field::rua;
  }
  if (!has_rua) return bad_input("it has no rua");
  return record;
}

Choice choose_record(const std::vector<std::string>& texts) {
  Choice choice;
  std::vector<std::string_view> found;
  std::copy_if(texts.begin(), texts.end(), std::back_inserter(found), begins_with_version);
  if (found.empty()) return choice;
  choice.state = Choice::State::invalid;
  if (found.size() > 1) {
    choice.why = std::to_string(found.size()) + " TLSRPT records, where one is allowed";
    return choice;
  }
  auto record = parse_record(found.front());
  if (!record) {
    choice.why = "the TLSRPT record is not valid: " + record.error().detail;
    return choice;
  }
  choice.state = Choice::State::valid;
  choice.text = found.front();
  choice.record = std::move(*record);
  return choice;
}

}  // namespace hoplock::tlsrpt
