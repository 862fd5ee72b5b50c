// SPDX-License-Identifier: Apache-2.0
#include "config/reader.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <concepts>
#include <filesystem>
#include <map>
#include <utility>

#include "base/ascii.h"
#include "config/keys.h"
#include "config/words.h"

namespace hoplock::config {

namespace {

template <class T>
concept Notated = requires(std::string_view text) {
  { T::parse(text) } -> std::same_as<Result<T>>;
};
template <class T>
concept Worded = std::is_enum_v<T>;

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

// What one file is read into.
struct Target {
  Loaded& loaded;
  std::string directory;

  void mark(const std::string& path, const YAML::Mark& at) { loaded.places[path] = Place{at.line + 1, at.column + 1}; }
};

// Walks the keys of one section beside one YAML map.
class Reader {
 public:
  Reader(Target& target, const YAML::Node& map, std::string path) : target_(target), map_(map), path_(std::move(path)) {
    index();
  }
  ~Reader() = default;
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  template <class T>
  Reader& key(const char* name, T&& value) {
    if (const auto* node = given(name)) read(*node, value, child(name));
    return *this;
  }
  template <class T>
  Reader& required(const char* name, T&& value) {
    key(name, std::forward<T>(value));
    if (entries_.count(name) == 0) target_.loaded.complain(path_, "'" + std::string(name) + "' is missing here");
    return *this;
  }
  template <class Rows>
  void section(const char* name, Rows rows) {
    if (const auto* node = given(name)) read_section(*node, child(name), rows);
  }
  template <class T, class Rows>
  void list(const char* name, std::vector<T>& values, Rows rows) {
    if (const auto* node = given(name)) {
      read_each(*node, values, child(name), [&](const YAML::Node& one, T& value, const std::string& path) {
        read_section(one, path, [&](Reader& in) { rows(in, value); });
      });
    }
  }

  // After all keys were named: whatever else stands in the map is unknown.
  void finish() {
    for (const auto& [name, node] : entries_) {
      if (std::find(known_.begin(), known_.end(), name) != known_.end() || known_.empty()) continue;
      const auto near = std::min_element(known_.begin(), known_.end(), [&n = name](const auto& a, const auto& b) {
        return edit_distance(a, n) < edit_distance(b, n);
      });
      target_.mark(child(name), key_marks_.at(name));
      target_.loaded.complain(child(name),
                              "unknown key '" + name.substr(0, 100) + "'; the nearest known key is '" + *near + "'");
    }
  }

 private:
  void index() {
    if (map_.IsNull() || !map_.IsDefined()) return;
    if (!map_.IsMap()) return target_.loaded.complain(path_, "a map of keys and values is needed here");
    for (const auto& entry : map_) {
      if (!entry.first.IsScalar()) {
        target_.mark(path_, entry.first.Mark());
        target_.loaded.complain(path_, "a key must be a plain word");
        continue;
      }
      const std::string& name = entry.first.Scalar();
      target_.mark(child(name), entry.first.Mark());
      if (!entries_.emplace(name, entry.second).second) {
        target_.loaded.complain(child(name), "key '" + name.substr(0, 100) + "' is given twice");
      }
      key_marks_[name] = entry.first.Mark();
    }
  }
  std::string child(const std::string& name) const { return path_.empty() ? name : path_ + "." + name; }

  // Nothing: "key:" and nothing else is as good as left out.
  const YAML::Node* given(const char* name) {
    known_.emplace_back(name);
    const auto found = entries_.find(name);
    return found == entries_.end() || found->second.IsNull() ? nullptr : &found->second;
  }
  template <class Rows>
  void read_section(const YAML::Node& node, const std::string& path, Rows rows) {
    target_.mark(path, node.Mark());
    Reader inner(target_, node, path);
    rows(inner);
    inner.finish();
  }
  template <class T>
  void read(const YAML::Node& node, T& value, const std::string& path) {
    target_.mark(path, node.Mark());
    if (!node.IsScalar()) return target_.loaded.complain(path, "one plain value is needed here, not a list or a map");
    auto parsed = parse(node.Scalar(), value);
    if (!parsed) target_.loaded.complain(path, parsed.error().detail);
  }
  template <class T>
  void read(const YAML::Node& node, std::vector<T>& values, const std::string& path) {
    read_each(node, values, path,
              [this](const YAML::Node& one, T& value, const std::string& at) { read(one, value, at); });
  }
  void read(const YAML::Node& node, Names& value, const std::string& path) {
    std::vector<dns::Pattern> patterns;
    read(node, patterns, path);
    value.names.clear();
    for (const auto& one : patterns) {
      auto name = dns::Name::parse(dns::to_text(one));
      if (!name) return target_.loaded.complain(path, name.error().detail);
      value.names.push_back(std::move(*name));
    }
  }
  void read(const YAML::Node& node, Milliseconds& value, const std::string& path) {
    Duration duration{value, {}};
    read<Duration>(node, duration, path);
    value = duration.value;
    if (duration.unit.count() > 0) target_.loaded.config.units[path] = duration.unit;
  }
  void read(const YAML::Node& node, Positive& value, const std::string& path) {
    read(node, value.length, path);
    if (value.length.count() <= 0) target_.loaded.complain(path, "no time at all; allowed: more than 0s");
  }
  template <class T, class One>
  void read_each(const YAML::Node& node, std::vector<T>& values, const std::string& path, One read_one) {
    target_.mark(path, node.Mark());
    if (!node.IsSequence()) return target_.loaded.complain(path, "a list is needed here, as in [a, b]");
    values.clear();
    for (std::size_t i = 0; i < node.size(); ++i) {
      const std::string at = path + "[" + std::to_string(i) + "]";
      values.emplace_back();
      if (node[i].IsNull()) {
        target_.mark(at, node[i].Mark());
        target_.loaded.complain(at, "an empty list entry");
        continue;
      }
      read_one(node[i], values.back(), at);
    }
  }

  template <class T>
  static Result<> take(Result<T> parsed, T& value) {
    if (!parsed) return parsed.error();
    value = std::move(*parsed);
    return {};
  }
  template <Notated T>
  static Result<> parse(const std::string& text, T& value) {
    return take(T::parse(text), value);
  }
  static Result<> parse(const std::string& text, net::Endpoint& to) { return take(parse_endpoint(text), to); }
  static Result<> parse(const std::string& text, resolver::Forwarder& to) { return take(parse_forwarder(text), to); }
  static Result<> parse(const std::string& text, route::NextHop& to) { return take(parse_next_hop(text), to); }
  static Result<> parse(const std::string& text, dns::Pattern& to) { return take(parse_pattern(text), to); }
  static Result<> parse(const std::string& text, std::chrono::sys_days& to) { return take(parse_date(text), to); }
  static Result<> parse(const std::string& text, listener::Rate& to) { return take(parse_rate(text), to); }
  static Result<> parse(const std::string& text, Size to) { return take(parse_size(text), to.octets); }
  static Result<> parse(const std::string& text, TimeOfDay to) {
    return take(parse_time_of_day(text), to.since_midnight);
  }
  static Result<> parse(const std::string& text, route::Rate& to) {
    const auto rate = parse_rate(text);
    if (!rate) return rate.error();
    to = {static_cast<std::uint32_t>(rate->amount), rate->period};
    return {};
  }
  static Result<> parse(const std::string& text, Ipv4 to) {
    if (auto parsed = parse(text, to.ip); !parsed) return parsed.error();
    return to.ip && to.ip->is_v6() ? Result<>(bad_input("an IPv4 address is needed")) : Result<>();
  }
  static Result<> parse(const std::string& text, Ipv6 to) {
    if (auto parsed = parse(text, to.ip); !parsed) return parsed.error();
    return to.ip && to.ip->is_v4() ? Result<>(bad_input("an IPv6 address is needed")) : Result<>();
  }
  static Result<> parse(const std::string& text, dns::Name& value) {
    if (text.empty()) return {};  // as good as left out
    auto parsed = dns::Name::parse(text);
    if (!parsed || parsed->is_root() || Ip::parse(text) || text.find('*') != std::string::npos)
      return bad_input("'" + text.substr(0, 100) +
                       "' is not a host name; allowed: a domain name such as \"relay.example.net\"");
    value = std::move(*parsed);
    return {};
  }
  template <class T>
  static Result<> parse(const std::string& text, std::optional<T>& value) {
    if (text.empty()) return {};
    T inner{};
    if (auto parsed = parse(text, inner); !parsed) return parsed.error();
    value = std::move(inner);
    return {};
  }
  template <Worded E>
  static Result<> parse(const std::string& text, E& value) {
    std::string allowed;
    for (const auto& [word, one] : words(value)) {
      if (word == text) {
        value = one;
        return {};
      }
      allowed += (allowed.empty() ? "" : ", ") + std::string(word);
    }
    return bad_input("'" + text.substr(0, 100) + "' is not allowed here; allowed: " + allowed);
  }
  static Result<> parse(const std::string& text, bool& value) {
    if (text != "true" && text != "false")
      return bad_input("'" + text.substr(0, 100) + "' is not allowed here; allowed: true, false");
    value = text == "true";
    return {};
  }
  template <std::unsigned_integral T>
  static Result<> parse(const std::string& text, T& value) {
    constexpr std::uint64_t most = sizeof(T) == 2 ? 65535 : 1'000'000'000;
    const auto number = parse_decimal(text);
    if (!number || *number == 0 || *number > most) {
      return bad_input("'" + text.substr(0, 100) + "' is not allowed here; allowed: a whole number from 1 to " +
                       std::to_string(most));
    }
    value = static_cast<T>(*number);
    return {};
  }
  static Result<> parse(const std::string& text, double& value) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size() || !(number >= 0 && number <= 1000)) {
      return bad_input("'" + text.substr(0, 100) + "' is not allowed here; allowed: a number such as 2 or 0.1");
    }
    value = number;
    return {};
  }
  static Result<> parse(const std::string& text, std::string& value) {
    if (std::any_of(text.begin(), text.end(),
                    [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; })) {
      return bad_input("control characters are not allowed here; allowed: one line of text");
    }
    value = text;
    return {};
  }
  Result<> parse(const std::string& text, File value) const { return parse_path(text, value.path); }
  Result<> parse(const std::string& text, Path value) const {
    if (text.empty()) return bad_input("a path is needed here");
    return parse_path(text, value.path);
  }
  Result<> parse_path(const std::string& text, std::string& path) const {
    if (auto plain = parse(text, path); !plain) return plain.error();
    const bool relative = !text.empty() && text != "-" && !std::filesystem::path(text).is_absolute();
    if (relative && !target_.directory.empty())
      path = (std::filesystem::path(target_.directory) / text).lexically_normal().string();
    return {};
  }

  Target& target_;
  YAML::Node map_;
  std::string path_;
  std::vector<std::string> known_;
  std::map<std::string, YAML::Node> entries_;
  std::map<std::string, YAML::Mark> key_marks_;
};

}  // namespace

std::string Loaded::where(std::string_view path) const {
  std::string at(path);
  for (;;) {
    if (const auto found = places.find(at); found != places.end()) {
      return file + ":" + std::to_string(found->second.line) + ":" + std::to_string(found->second.column);
    }
    if (at.empty()) return file;
    const auto cut = at.find_last_of(".[");
    at.resize(cut == std::string::npos ? 0 : cut);
  }
}

void Loaded::complain(std::string_view path, std::string_view text) {
  errors.push_back(where(path) + ": " + std::string(text));
}

void Loaded::warn(std::string_view path, std::string_view text) {
  std::string at = where(path);
  if (at != file) at.resize(at.rfind(':'));
  warnings.push_back(at + ": " + std::string(text));
}

Loaded read_text(const std::string& text, const std::string& file, const std::string& directory) {
  Loaded loaded;
  loaded.file = file;
  try {
    Target target{loaded, directory};
    const auto documents = YAML::LoadAll(text);
    const YAML::Node root = documents.empty() ? YAML::Node() : documents.front();
    target.mark("", root.IsDefined() && !root.IsNull() ? root.Mark() : YAML::Mark());
    if (documents.size() > 1) {
      target.mark("---", documents[1].Mark());
      loaded.complain("---", "a second document; allowed: one, what stands behind '---' would have no effect");
    }
    Reader reader(target, root, "");
    keys(reader, loaded.config);
    reader.finish();
  } catch (const YAML::Exception& error) {
    loaded.places[""] = Place{error.mark.line + 1, error.mark.column + 1};
    loaded.complain("", "not valid YAML: " + error.msg);
  }
  return loaded;
}

Loaded defaults() {
  Loaded loaded;
  loaded.file = "(defaults)";
  return loaded;
}

}  // namespace hoplock::config
