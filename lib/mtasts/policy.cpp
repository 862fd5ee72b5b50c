// SPDX-License-Identifier: Apache-2.0
#include "mtasts/policy.h"

#include <algorithm>

#include "base/utf8.h"
#include "mtasts/grammar.h"

namespace hoplock::mtasts {

namespace {
constexpr std::size_t longest_max_age = 10;

std::string quoted(std::string_view text) { return "'" + to_one_line(text, shown) + "'"; }

bool is_control(char c) { return (c >= 0 && c < ' ' && c != '\t') || c == 0x7f; }

struct Line {
  std::string_view key;
  std::string_view value;
};

Result<Line> parse_line(std::string_view text) {
  if (std::any_of(text.begin(), text.end(), is_control)) {
    return bad_input("the policy has a line with a control character: " + quoted(text));
  }
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || !is_key(text.substr(0, colon))) {
    return bad_input("the policy has a line that is no 'key: value': " + quoted(text));
  }
  return Line{text.substr(0, colon), trim(text.substr(colon + 1))};
}

// RFC 5321 section 4.1.2's Domain in A-labels (STS-19); a last label of digits only would be an address.
bool is_host_label(std::string_view label) {
  return !label.empty() && is_alnum(label.front()) && is_alnum(label.back()) &&
         std::all_of(label.begin(), label.end(), [](char c) { return is_alnum(c) || c == '-'; });
}

bool is_host_name(std::string_view text) {
  const auto labels = split(text, '.');
  return std::all_of(labels.begin(), labels.end(), is_host_label) &&
         !std::all_of(labels.back().begin(), labels.back().end(), is_digit);
}

Result<Pattern> parse_pattern(std::string_view value) {
  Pattern pattern;
  std::string_view text = value;
  if (text.starts_with("*.")) {
    pattern.kind = Pattern::Kind::one_label_below;
    text.remove_prefix(2);
  }
  auto name = is_host_name(text) ? dns::Name::parse(text) : Result<dns::Name>(bad_input("no host name"));
  if (!name) return bad_input("an mx of the policy is no host name, nor '*.' before one: " + quoted(value));
  pattern.name = std::move(*name);
  return pattern;
}

Result<Seconds> parse_max_age(std::string_view value) {
  const auto number = value.size() <= longest_max_age ? parse_decimal(value) : std::nullopt;
  if (!number) return bad_input("the policy's max_age is not 1 to 10 digits: " + quoted(value));
  const auto most = static_cast<std::uint64_t>(max_lifetime.count());
  return Seconds{static_cast<Seconds::rep>(std::min(*number, most))};
}

// The fields seen so far, each as its first line gave it.
struct Fields {
  std::optional<std::string_view> version;
  std::optional<std::string_view> mode;
  std::optional<std::string_view> max_age;
  std::vector<Pattern> mx;
};

Result<> take(const Line& line, Fields& fields) {
  const auto first = [&](std::optional<std::string_view>& field) {
    if (!field) field = line.value;
  };
  if (line.key == "version") first(fields.version);
  if (line.key == "mode") first(fields.mode);
  if (line.key == "max_age") first(fields.max_age);
  if (line.key == "mx") {
    auto pattern = parse_pattern(line.value);
    if (!pattern) return pattern.error();
    fields.mx.push_back(std::move(*pattern));
  }
  return {};
}

Result<Policy> judge(Fields fields) {
  if (!fields.version) return bad_input("the policy has no version");
  if (*fields.version != "STSv1") return bad_input("the policy's version is not STSv1: " + quoted(*fields.version));
  if (!fields.mode) return bad_input("the policy has no mode");
  const auto mode = parse_mode(*fields.mode);
  if (!mode) return bad_input("the policy's mode is not enforce, testing or none: " + quoted(*fields.mode));
  if (!fields.max_age) return bad_input("the policy has no max_age");
  const auto max_age = parse_max_age(*fields.max_age);
  if (!max_age) return max_age.error();
  if (fields.mx.empty() && *mode != Mode::none) return bad_input("the policy has no mx");
  return Policy{*mode, std::move(fields.mx), *max_age};
}
}  // namespace

std::string_view to_text(Mode mode) {
  switch (mode) {
    case Mode::enforce:
      return "enforce";
    case Mode::testing:
      return "testing";
    case Mode::none:
      return "none";
  }
  return "?";
}

std::optional<Mode> parse_mode(std::string_view text) {
  for (const Mode mode : {Mode::enforce, Mode::testing, Mode::none}) {
    if (text == to_text(mode)) return mode;
  }
  return std::nullopt;
}

std::string to_text(const Pattern& pattern) {
  return (pattern.kind == Pattern::Kind::host ? "" : "*.") + pattern.name.text();
}

Result<Policy> parse_policy(std::string_view text) {
  if (text.size() > max_policy_octets) return bad_input("the policy is longer than 65536 octets");
  Fields fields;
  for (std::string_view line : split(text, '\n')) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    while (!line.empty() && is_blank(line.back())) line.remove_suffix(1);
    if (line.empty()) continue;
    const auto parsed = parse_line(line);
    if (!parsed) return parsed.error();
    if (auto taken = take(*parsed, fields); !taken) return taken.error();
  }
  return judge(std::move(fields));
}

std::string to_text(const Policy& policy) {
  std::string text = "version: STSv1\r\nmode: " + std::string(to_text(policy.mode)) + "\r\n";
  for (const auto& pattern : policy.mx) text += "mx: " + to_text(pattern) + "\r\n";
  return text + "max_age: " + std::to_string(policy.max_age.count()) + "\r\n";
}

}  // namespace hoplock::mtasts
