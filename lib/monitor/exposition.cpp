// SPDX-License-Identifier: Apache-2.0
#include "monitor/exposition.h"

#include <array>
#include <charconv>
#include <cmath>

#include "base/utf8.h"

namespace hoplock::monitor {

namespace {

constexpr std::size_t longest_value = 200;  // of a label

// The shortest decimal that reads back as the same number.
std::string to_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  std::array<char, 64> room{};
  const bool plain = value == 0 || (std::abs(value) < 1e15 && std::abs(value) > 1e-9);
  const auto format = plain ? std::chars_format::fixed : std::chars_format::scientific;
  const auto end = std::to_chars(room.data(), room.data() + room.size(), value, format).ptr;
  return {room.data(), end};
}

std::string quoted(std::string_view value) {
  std::string text = "\"";
  for (const char c :
       to_one_line(value, longest_value)) {  // UTF-8 is what the format asks for; there are no newlines left
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return text + "\"";
}

std::string_view word(Exposition::Type type) {
  switch (type) {
    case Exposition::Type::counter:
      return "counter";
    case Exposition::Type::gauge:
      return "gauge";
    case Exposition::Type::histogram:
      break;
  }
  return "histogram";
}

}  // namespace

void Exposition::family(std::string_view name, Type type, std::string_view help) {
  name_ = name;
  text_ += "# HELP " + name_ + " " + std::string(help) + "\n";
  text_ += "# TYPE " + name_ + " " + std::string(word(type)) + "\n";
}

void Exposition::line(std::string_view suffix, const std::vector<Label>& labels, std::string_view value) {
  text_ += name_;
  text_ += suffix;
  char before = '{';
  for (const Label& label : labels) {
    text_ += before;
    text_ += label.name;
    text_ += '=';
    text_ += quoted(label.value);
    before = ',';
  }
  if (!labels.empty()) text_ += '}';
  text_ += ' ';
  text_ += value;
  text_ += '\n';
}

void Exposition::sample(const std::vector<Label>& labels, std::uint64_t value) {
  line("", labels, std::to_string(value));
}

void Exposition::sample(const std::vector<Label>& labels, double value) { line("", labels, to_text(value)); }

void Exposition::sample(const Histogram& histogram) {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < histogram.counts().size(); ++i) {
    total += histogram.counts()[i];
    const std::string bound = i < histogram.bounds().size() ? to_text(histogram.bounds()[i]) : "+Inf";
    line("_bucket", {{"le", bound}}, std::to_string(total));
  }
  line("_sum", {}, to_text(histogram.sum()));
  line("_count", {}, std::to_string(total));
}

void Exposition::counter(std::string_view name, std::string_view help, std::uint64_t value) {
  family(name, Type::counter, help);
  sample({}, value);
}

void Exposition::gauge(std::string_view name, std::string_view help, double value) {
  family(name, Type::gauge, help);
  sample({}, value);
}

}  // namespace hoplock::monitor
