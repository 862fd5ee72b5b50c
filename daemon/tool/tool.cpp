// SPDX-License-Identifier: Apache-2.0
#include "daemon/tool/tool.h"

#include <algorithm>
#include <filesystem>

#include "base/version.h"
#include "config/check.h"
#include "daemon/options.h"
#include "daemon/store_options.h"
#include "daemon/system.h"
#include "daemon/tool/commands.h"
#include "daemon/tool/text.h"

namespace hoplock::daemon::tool {

namespace {

// Only who judges the configuration needs every file that it names. All others say of a file that they use that they cannot have it;
// operators need no right to read keys, and of a reload the daemon itself is the judge.
config::Files files_for(std::string_view command) {
  return command == "config check" ? config::Files::looked_at : config::Files::left_alone;
}

config::Loaded load(const Arguments& arguments) {
  std::error_code barred;
  const auto files = files_for(arguments.command);
  if (arguments.config) return config::load(*arguments.config, files);
  // of a file that is out of this user's sight nobody knows that it is not there
  if (std::filesystem::exists(usual_config, barred) || barred) return config::load(usual_config, files);
  auto loaded = config::defaults();
  config::check(loaded, files);  // the defaults name files too
  return loaded;
}

}  // namespace

int complain(const Console& console, int code, std::string_view text) {
  console.err << "hoplock: " << printable(text) << '\n';
  return code;
}

int cannot_read(const Call& call, std::string_view what, const Error& error) {
  const std::string path = store_name(call.loaded.config);
  const bool named = error.detail.find(path) != std::string::npos;
  return complain(call.console, io_error,
                  named ? error.detail : std::string(what) + " '" + path + "': " + error.detail);
}

namespace {

constexpr std::size_t usual_width = 80;

int print_help(const Call& call, std::string_view about) {
  const std::string text = help(about, std::min(call.console.width.value_or(usual_width), usual_width));
  if (text.empty()) return complain(call.console, usage, unknown_command(std::string(about)));
  call.console.out << text;
  return ok;
}

int help_command(const Call& call) {
  if (call.arguments.has("--roff")) {
    call.console.out << manual();
    return ok;
  }
  std::string about;
  for (const std::string& word : call.arguments.words) about += (about.empty() ? "" : " ") + word;
  return print_help(call, about);
}

}  // namespace

int run(std::vector<std::string> words, Console console) {
  auto parsed = parse(words);
  if (!parsed) return complain(console, usage, parsed.error().detail);
  Call call{std::move(*parsed), {}, console};
  if (call.arguments.ask == Arguments::Ask::help) return print_help(call, call.arguments.command);
  if (call.arguments.ask == Arguments::Ask::version || call.arguments.command == "version") {
    console.out << (call.arguments.json ? R"({"version":")" HOPLOCK_VERSION "\"}\n" : "hoplock " HOPLOCK_VERSION "\n");
    return ok;
  }
  if (call.arguments.command == "help") return help_command(call);
  call.loaded = load(call.arguments);
  const bool judging = call.arguments.command == "config check";
  if (!call.loaded.errors.empty() && !judging) {
    for (const std::string& error : call.loaded.errors) console.err << printable(error) << '\n';
    return config_error;
  }
  const int code = call.arguments.run(call);
  console.out.flush();
  return console.out.good() ? code : static_cast<int>(io_error);
}

}  // namespace hoplock::daemon::tool
