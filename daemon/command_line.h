// SPDX-License-Identifier: Apache-2.0
// The command lines of both programs. What a command takes is said once, in its synopsis: help and man page print that text, and the
// command line is read by it. "ID… [--body]": at least one word, and a flag; "FILE [NAME] [--since 2d]": one or two words, and an option
// that takes a value; a bar between blanks separates ways of use, and each command says itself which words each of them needs.
// CLI11 tells options, values and words apart. What any of them means is the business of the commands.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hoplock::daemon {

struct CommandLine {
  std::vector<std::string> words{};                           // beside the options
  std::map<std::string, std::string, std::less<>> options{};  // by name ("--domain"); of a flag the value says nothing

  bool has(std::string_view option) const { return options.find(option) != options.end(); }
  std::optional<std::string> get(std::string_view option) const;
  // The same, and the option is gone.
  std::optional<std::string> take(std::string_view option);
};

// Options may stand anywhere, as "--domain D" or "--domain=D"; behind "--" there are only words. "-h" is "--help". An option that no
// synopsis has is among the options: which are allowed is known once the command is. Of several "--config" the last counts, so that an
// alias may name one. Errors, one sentence: an option lacks its value, has one that it does not take, or is given twice.
Result<CommandLine> parse_command_line(const std::vector<std::string>& words,
                                       const std::vector<std::string_view>& synopses);

// What in `line` is not as the synopsis says; nothing: it all is.
std::optional<std::string> objection(const CommandLine& line, std::string_view synopsis);

}  // namespace hoplock::daemon
