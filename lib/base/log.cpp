// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <array>

#include "base/json_line.h"
#include "base/utf8.h"

namespace hoplock {

std::string_view to_text(Level level) {
  constexpr std::array<std::string_view, 5> names{"trace", "debug", "info", "warn", "error"};
  return names[static_cast<std::size_t>(level)];
}

Event& Event::add(std::string_view key, std::string value) & {
  if (!value.empty()) fields_.push_back(Field{key, std::move(value), false});
  return *this;
}

Event& Event::add(std::string_view key, std::int64_t value) & {
  fields_.push_back(Field{key, std::to_string(value), true});
  return *this;
}

Event& Event::add_bare(std::string_view key, std::string word) & {
  fields_.push_back(Field{key, std::move(word), true});
  return *this;
}

std::string_view Event::get(std::string_view key) const {
  for (const auto& field : fields_) {
    if (field.key == key) return field.value;
  }
  return {};
}

namespace {

bool needs_quotes(std::string_view value) {
  for (const char c : value) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == '"' || c == '=' || c == '\\' || c == 0x7f ||
        static_cast<unsigned char>(c) >= 0x80)
      return true;
  }
  return value.empty();
}

void append_logfmt(std::string& out, std::string_view key, std::string_view value) {
  if (!out.empty()) out += ' ';
  out += key;
  out += '=';
  if (!needs_quotes(value)) {
    out += value;
    return;
  }
  out += '"';
  append_sanitized(out, value, Charset::quoted);
  out += '"';
}

void append_json(std::string& out, std::string_view key, std::string_view value, bool bare) {
  out += out.empty() ? "{\"" : ",\"";
  out += key;
  out += "\":";
  if (bare) {
    out += value;
    return;
  }
  out += '"';
  append_sanitized(out, value, Charset::quoted);
  out += '"';
}

}  // namespace

std::string to_logfmt(const Event& event, Time time) {
  std::string out;
  out.reserve(256);
  append_logfmt(out, "time", to_rfc3339(time));
  append_logfmt(out, "level", to_text(event.level()));
  append_logfmt(out, "event", event.name());
  for (const auto& field : event.fields()) append_logfmt(out, field.key, field.value);
  return out;
}

JsonLine::JsonLine(std::string_view event) {
  out_.reserve(320);
  append_json(out_, "event", event, false);
}

JsonLine& JsonLine::add(std::string_view key, std::string_view value) {
  if (!value.empty()) append_json(out_, key, value, false);
  return *this;
}

JsonLine& JsonLine::add(std::string_view key, std::int64_t value) { return add_bare(key, std::to_string(value)); }

JsonLine& JsonLine::add_bare(std::string_view key, std::string_view json) {
  append_json(out_, key, json, true);
  return *this;
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  append_sanitized(out, text, Charset::quoted);
  return out + "\"";
}

std::string to_json(const Event& event, Time time) {
  std::string out;
  out.reserve(320);
  append_json(out, "time", to_rfc3339(time), false);
  append_json(out, "level", to_text(event.level()), false);
  append_json(out, "event", event.name(), false);
  for (const auto& field : event.fields()) append_json(out, field.key, field.value, field.bare);
  out += '}';
  return out;
}

}  // namespace hoplock
