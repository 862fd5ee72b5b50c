// SPDX-License-Identifier: Apache-2.0
// The command line as a value: which command, its options, what else was said; or what is wrong with it and what is allowed.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hoplock::daemon::tool {

struct Call;
using Run = int (*)(const Call&);  // returns the exit code

// One command and what it takes; the table is in arguments.cpp.
struct Syntax {
  std::string_view name;        // "queue list"
  Run run = nullptr;            // null: it needs no configuration
  std::string_view parameters;  // for people: "ID… | --domain D"
  std::string_view summary;
  std::size_t least = 0, most = 0;          // words beside the options
  std::vector<std::string_view> options{};  // that take a value: "--domain"
  std::vector<std::string_view> flags{};    // that take none: "--all"
};
const std::vector<Syntax>& commands();

struct Arguments {
  enum class Ask { command, help, version } ask = Ask::command;
  std::optional<std::string> config;
  bool json = false;
  std::string command;  // "queue list"
  Run run = nullptr;    // what it does; null where it needs no configuration
  std::vector<std::string> words;
  std::map<std::string, std::string, std::less<>> options;  // flags with ""

  bool has(std::string_view option) const { return options.find(option) != options.end(); }
  std::optional<std::string> get(std::string_view option) const;
};

struct BadArguments {
  std::string why;  // one or two lines: what is wrong, what is allowed
};

// One of the two is set.
struct Parsed {
  std::optional<Arguments> good;
  BadArguments bad;
};
Parsed parse(const std::vector<std::string>& words);
// What is said of words that are no command, with those that are.
std::string unknown_command(std::string_view said);

// For people, at most `width` columns: all commands, or only those that begin with `about`; "" when there is none.
std::string help(std::string_view about, std::size_t width);
// hoplock(1), made from the same table.
std::string manual();

}  // namespace hoplock::daemon::tool
