// SPDX-License-Identifier: Apache-2.0
#include "config/show.h"

#include <array>
#include <charconv>
#include <concepts>
#include <sstream>

#include "config/section.h"
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
  } else if constexpr (std::is_same_v<T, InputFile> || std::is_same_v<T, OutputPath>) {
    return as_json(value.path);
  } else if constexpr (std::is_same_v<T, dns::Name>) {
    return as_json(value.is_root() ? "" : value.text());
  } else {
    return as_json(value.text());
  }
}

// Both notations are trees of keys; `Flow` writes one line of JSON (a subset of YAML), `Block` the indented YAML.
class Flow {
 public:
  template <class T>
  Flow& key(const char* name, T& value) {
    out_ += (first_ ? "" : ", ") + as_json(name) + ": ";
    first_ = false;
    write(value);
    return *this;
  }
  template <class T>
  Flow& key(const char* name, std::optional<T>& value) {
    if (value) return key(name, *value);
    if constexpr (!std::is_enum_v<
                      T>) {  // a word left out follows another key; of anything else "" says that there is none
      std::string none;
      return key(name, none);
    }
    return *this;
  }
  template <class T>
  Flow& required(const char* name, T& value) {
    return key(name, value);
  }
  template <class T>
  void write(T& value) {
    if constexpr (Section<T>) {
      Flow inner;
      value.fields(inner);
      out_ += "{" + inner.out_ + "}";
    } else {
      out_ += scalar(value);
    }
  }
  template <class T>
  void write(std::vector<T>& values) {
    out_ += "[";
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i != 0) out_ += ", ";
      write(values[i]);
    }
    out_ += "]";
  }
  const std::string& text() const { return out_; }

 private:
  std::string out_;
  bool first_ = true;
};

class Block {
 public:
  explicit Block(std::string indent) : indent_(std::move(indent)) {}
  template <class T>
  Block& key(const char* name, T& value) {
    if constexpr (Section<T>) {
      Block inner(indent_ + "  ");
      value.fields(inner);
      out_ += lead() + name + ":\n" + inner.out_;
    } else {
      Flow flow;
      flow.write(value);
      out_ += lead() + name + ": " + flow.text() + "\n";
    }
    return *this;
  }
  template <class T>
  requires Section<T> Block& key(const char* name, std::vector<T>& values) {
    out_ += lead() + name + (values.empty() ? ": []\n" : ":\n");
    for (auto& value : values) {
      Block inner(indent_ + "    ");
      inner.item_ = true;
      value.fields(inner);
      out_ += inner.out_;
    }
    return *this;
  }
  template <class T>
  Block& key(const char* name, std::optional<T>& value) {
    if (value) return key(name, *value);
    if constexpr (!std::is_enum_v<
                      T>) {  // a word left out follows another key; of anything else "" says that there is none
      std::string none;
      return key(name, none);
    }
    return *this;
  }
  template <class T>
  Block& required(const char* name, T& value) {
    return key(name, value);
  }
  const std::string& text() const { return out_; }

 private:
  // The first key of a list's entry carries the dash.
  std::string lead() {
    if (!item_) return indent_;
    item_ = false;
    return indent_.substr(0, indent_.size() - 2) + "- ";
  }
  std::string indent_;
  std::string out_;
  bool item_ = false;
};

}  // namespace

std::string to_yaml(const Config& config) {
  Config copy = config;  // `fields` is one walk for reading and printing, hence not const
  Block block("");
  copy.fields(block);
  return block.text();
}

std::string to_json(const Config& config) {
  Config copy = config;
  Flow flow;
  flow.write(copy);
  return flow.text();
}

}  // namespace hoplock::config
