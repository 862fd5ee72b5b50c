// SPDX-License-Identifier: Apache-2.0
#include "daemon/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

#include "base/ascii.h"

namespace hoplock::daemon {

namespace {

struct Option {
  std::string name;
  bool takes_value = false;
};

std::vector<Option> options_in(std::string_view synopsis) {
  std::vector<Option> options;
  for (auto at = synopsis.find("--"); at != std::string_view::npos; at = synopsis.find("--", at)) {
    const auto end = std::min(synopsis.find_first_of(" ]|", at), synopsis.size());
    const std::string_view behind = synopsis.substr(end).substr(0, 2);
    options.push_back(
        {std::string(synopsis.substr(at, end - at)), behind.size() == 2 && behind[0] == ' ' && is_alnum(behind[1])});
    at = end;
  }
  return options;
}

// How many words beside the options; they come first in a synopsis.
struct Words {
  std::size_t least = 0, most = 0;
};

Words words_in(std::string_view synopsis) {
  Words words;
  for (const std::string_view one : split(synopsis.substr(0, synopsis.find("--")), ' ')) {
    if (one.empty() || one == "[" || one == "|") continue;
    if (one[0] != '[') ++words.least;
    words.most = one.find("…") == std::string_view::npos ? words.most + 1 : SIZE_MAX;
  }
  if (synopsis.find(" | ") != std::string_view::npos) words.least = 0;
  return words;
}

bool is_option(std::string_view word) { return word.size() > 1 && word.front() == '-'; }

void declare(CLI::App& app, const Option& option) {
  if (app.get_option_no_throw(option.name) != nullptr) return;
  const std::string names = (option.name == "--help" ? "-h," : "") + option.name;
  CLI::Option* const added = option.takes_value ? app.add_option(names) : app.add_flag(names);
  added->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

// The last first. "--sender=" becomes two words: of one, CLI11 would take the next word for the value.
std::vector<std::string> for_cli11(const CLI::App& app, const std::vector<std::string>& words) {
  std::vector<std::string> all;
  const auto end = std::find(words.begin(), words.end(), "--");
  for (auto word = words.begin(); word != words.end(); ++word) {
    const std::string name = word->substr(0, word->size() - std::min<std::size_t>(word->size(), 1));
    const bool is_empty = word < end && word->ends_with('=') && app.get_option_no_throw(name) != nullptr;
    all.push_back(is_empty ? name : *word);
    if (is_empty) all.emplace_back();
  }
  std::reverse(all.begin(), all.end());
  return all;
}

// "--all=true": CLI11 would take it.
bool has_value_for(const std::vector<std::string>& words, const std::string& flag) {
  const auto end = std::find(words.begin(), words.end(), "--");
  return std::any_of(words.begin(), end, [&](const std::string& word) { return word.starts_with(flag + "="); });
}

}  // namespace

std::optional<std::string> CommandLine::get(std::string_view option) const {
  const auto found = options.find(option);
  return found == options.end() ? std::nullopt : std::optional(found->second);
}

std::optional<std::string> CommandLine::take(std::string_view option) {
  auto value = get(option);
  if (value) options.erase(options.find(option));
  return value;
}

Result<CommandLine> parse_command_line(const std::vector<std::string>& words,
                                       const std::vector<std::string_view>& synopses) {
  CLI::App app;
  app.set_help_flag();  // --help is an option like any other
  app.allow_extras();
  for (const std::string_view synopsis : synopses) {
    for (const Option& option : options_in(synopsis)) declare(app, option);
  }
  try {
    app.parse(for_cli11(app, words));
  } catch (const CLI::ArgumentMismatch&) {
    return bad_input("'" + words.back() + "' needs a value");
  }
  CommandLine line;
  for (const CLI::Option* const option : std::as_const(app).get_options()) {
    if (option->count() == 0) continue;
    const std::string name = option->get_name(), value = option->results().back();
    const bool is_flag = option->get_items_expected_max() == 0;
    if (is_flag && (value != "true" || has_value_for(words, name))) return bad_input("'" + name + "' takes no value");
    if (!is_flag && option->count() > 1 && name != "--config") return bad_input("'" + name + "' is given twice");
    line.options.emplace(name, value);
  }
  bool only_words = false;
  for (std::string& word : app.remaining()) {
    if (!only_words && word == "--") {
      only_words = true;
    } else if (!only_words && is_option(word)) {
      line.options.emplace(std::move(word), "");
    } else {
      line.words.push_back(std::move(word));
    }
  }
  return line;
}

std::optional<std::string> objection(const CommandLine& line, std::string_view synopsis) {
  const auto known = options_in(synopsis);
  for (const auto& given : line.options) {
    const auto is_it = [&given](const Option& one) { return one.name == given.first; };
    if (std::none_of(known.begin(), known.end(), is_it)) return "unknown option '" + given.first + "'";
  }
  const Words words = words_in(synopsis);
  if (line.words.size() < words.least) return "an argument is missing";
  if (line.words.size() > words.most) return "unexpected argument '" + line.words[words.most] + "'";
  return std::nullopt;
}

}  // namespace hoplock::daemon
