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
  std::vector<std::string> last_first;  // as CLI11 wants them
  for (auto word = words.rbegin(); word != words.rend(); ++word) {
    last_first.push_back(*word);
    if (!word->starts_with("--") || !word->ends_with('=')) continue;
    last_first.back().clear();  // "--sender=": in one piece, CLI11 would take the next word for the value
    last_first.push_back(word->substr(0, word->size() - 1));
  }
  try {
    app.parse(std::move(last_first));
  } catch (const CLI::ArgumentMismatch&) {
    return bad_input("'" + words.back() + "' needs a value");
  }
  CommandLine line;
  for (const CLI::Option* const option : std::as_const(app).get_options()) {
    if (option->count() == 0) continue;
    const std::string name = option->get_name(), value = option->results().back();
    const bool is_flag = option->get_items_expected_max() == 0;
    if (is_flag && value != "true") return bad_input("'" + name + "' takes no value");
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
