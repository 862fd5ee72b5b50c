// SPDX-License-Identifier: Apache-2.0
#include "config/show.h"

#include <array>
#include <charconv>
#include <optional>
#include <type_traits>
#include <utility>

#include "config/keys.h"
#include "config/words.h"

namespace hoplock::config {

namespace {

// A JSON string, which is also a double-quoted YAML scalar.
std::string as_json(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string number(double value) {
  std::array<char, 32> out{};
  const auto end = std::to_chars(out.data(), out.data() + out.size(), value).ptr;
  return {out.data(), end};
}

template <class T>
std::string scalar(const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_floating_point_v<T>) {
    return number(value);
  } else if constexpr (std::is_integral_v<T>) {
    return std::to_string(value);
  } else if constexpr (std::is_enum_v<T>) {
    return as_json(word(value));
  } else if constexpr (std::is_same_v<T, std::string>) {
    return as_json(value);
  } else if constexpr (std::is_same_v<T, dns::Name>) {
    return as_json(value.is_root() ? "" : value.text());
  } else if constexpr (requires { value.text(); }) {
    return as_json(value.text());
  } else {
    return as_json(text_of(value));
  }
}
std::string scalar(File value) { return as_json(value.path); }
std::string scalar(Path value) { return as_json(value.path); }
std::string scalar(Size value) { return as_json(size_text(value.octets)); }
std::string scalar(TimeOfDay value) { return as_json(time_of_day_text(value.since_midnight)); }
template <class T>
std::string scalar(const std::optional<T>& value) {
  return value ? scalar(*value) : "\"\"";
}
std::string scalar(Ipv4 value) { return scalar(value.ip); }
std::string scalar(Ipv6 value) { return scalar(value.ip); }
template <class T>
std::string scalar(const std::vector<T>& values) {
  std::string out;
  for (const T& one : values) out += (out.empty() ? "" : ", ") + scalar(one);
  return "[" + out + "]";
}
std::string scalar(Names value) { return scalar(value.names); }

// A word left out follows another key; of anything else "" says that there is none.
template <class T>
bool is_left_out(const T&) {
  return false;
}
template <class T>
requires std::is_enum_v<T>
bool is_left_out(const std::optional<T>& value) { return !value; }

// What both notations, which are trees of keys, have in common: `Flow` writes one line of JSON (a subset of YAML), `Block` the indented
// YAML.
template <class Notation>
class Printer {
 public:
  Printer(const Config& config, std::string before) : config_(config), before_(std::move(before)) {}
  template <class T>
  Notation& key(const char* name, T&& value) {
    auto& self = static_cast<Notation&>(*this);
    if (!is_left_out(value)) self.put(name, text(name, value));
    return self;
  }
  template <class T>
  Notation& required(const char* name, T&& value) {
    return key(name, std::forward<T>(value));
  }
  const std::string& text() const { return out_; }

 protected:
  const Config& config_;
  std::string before_;  // "delivery.retry."
  std::string out_;

 private:
  template <class T>
  std::string text(const char*, const T& value) const {
    return scalar(value);
  }
  std::string text(const char* name, Milliseconds value) const {
    const auto unit = config_.units.find(before_ + name);
    return as_json(Duration{value, unit == config_.units.end() ? Milliseconds{0} : unit->second}.text());
  }
  std::string text(const char* name, Positive value) const { return text(name, value.length); }
};

class Flow : public Printer<Flow> {
 public:
  using Printer::Printer;
  void put(const char* name, const std::string& value) {
    out_ += (out_.empty() ? "" : ", ") + as_json(name) + ": " + value;
  }
  template <class Rows>
  void section(const char* name, Rows rows) {
    Flow inner(config_, before_ + name + ".");
    rows(inner);
    put(name, "{" + inner.out_ + "}");
  }
  template <class T, class Rows>
  void list(const char* name, std::vector<T>& values, Rows rows) {
    std::string all;
    for (T& value : values) {
      Flow inner(config_, before_ + name + "[].");
      rows(inner, value);
      all += (all.empty() ? "{" : ", {") + inner.out_ + "}";
    }
    put(name, "[" + all + "]");
  }
};

class Block : public Printer<Block> {
 public:
  Block(const Config& config, std::string before, std::string indent)
      : Printer(config, std::move(before)), indent_(std::move(indent)) {}
  void put(const char* name, const std::string& value) { out_ += lead() + name + ": " + value + "\n"; }
  template <class Rows>
  void section(const char* name, Rows rows) {
    Block inner(config_, before_ + name + ".", indent_ + "  ");
    rows(inner);
    out_ += lead() + name + ":\n" + inner.out_;
  }
  template <class T, class Rows>
  void list(const char* name, std::vector<T>& values, Rows rows) {
    out_ += lead() + name + (values.empty() ? ": []\n" : ":\n");
    for (T& value : values) {
      Block inner(config_, before_ + name + "[].", indent_ + "    ");
      inner.item_ = true;
      rows(inner, value);
      out_ += inner.out_;
    }
  }

 private:
  // The first key of a list's entry carries the dash.
  std::string lead() {
    if (!item_) return indent_;
    item_ = false;
    return indent_.substr(0, indent_.size() - 2) + "- ";
  }
  std::string indent_;
  bool item_ = false;
};

}  // namespace

std::string to_yaml(const Config& config) {
  Config copy = config;  // a walk over the keys is one for reading, too, hence not const
  Block block(config, "", "");
  keys(block, copy);
  return block.text();
}

std::string to_json(const Config& config) {
  Config copy = config;
  Flow flow(config, "");
  keys(flow, copy);
  return "{" + flow.text() + "}";
}

}  // namespace hoplock::config
