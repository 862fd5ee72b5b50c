// SPDX-License-Identifier: Apache-2.0
// The tool's table of commands, from which the command line is read and help, completion and hoplock(1) are made; and a command line as
// a value: which command, its options, what else was said.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/command_line.h"

namespace hoplock::daemon::tool {

struct Call;
using Run = int (*)(const Call&);  // returns the exit code

// One command; the table is in arguments.cpp.
struct Syntax {
  std::string_view name;      // "queue list"
  Run run = nullptr;          // null: it needs no configuration
  std::string_view synopsis;  // what it takes, as in daemon/command_line.h
  std::string_view summary;
};
const std::vector<Syntax>& commands();

// An option of every command.
struct Global {
  std::string_view option, summary;
};
inline constexpr Global globals[] = {
    {"--config FILE", "the configuration; without it /etc/hoplock/hoplock.yaml, or the embedded defaults"},
    {"--json", "for programs: times in RFC 3339, sizes in octets; what is not known is null"},
    {"--version", "print the version"},
    {"--help", "this text"}};
inline constexpr std::string_view usage_begin = "usage: hoplock [--config FILE] [--json] ";

struct Arguments : CommandLine {  // without the options of every command
  enum class Ask { command, help, version } ask = Ask::command;
  std::optional<std::string> config{};
  bool json = false;
  std::string command{};  // "queue list"
  Run run = nullptr;      // what it does; null where it needs no configuration
};

// Errors: one sentence, what is wrong and what is allowed.
Result<Arguments> parse(const std::vector<std::string>& words);
// What is said of words that are no command, with those that are.
std::string unknown_command(std::string_view said);

// For people, at most `width` columns: all commands, or only those that begin with `about`; "" when there is none.
std::string help(std::string_view about, std::size_t width);
// hoplock(1), made from the same table.
std::string manual();

}  // namespace hoplock::daemon::tool
