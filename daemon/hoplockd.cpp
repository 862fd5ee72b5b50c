// SPDX-License-Identifier: Apache-2.0
// hoplockd: the relay daemon. Reads its configuration, then runs in the foreground until it is told to stop.
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/version.h"
#include "config/check.h"
#include "daemon/app.h"
#include "daemon/command_line.h"
#include "daemon/file_check.h"
#include "daemon/hosts_check.h"
#include "daemon/journal.h"
#include "daemon/service_user.h"

namespace {

using namespace hoplock;

constexpr const char* default_path = "/etc/hoplock/hoplock.yaml";
constexpr std::string_view synopsis = "[--config FILE] [--check] [--version] [--help]";
constexpr std::string_view options_text =
    "  --config FILE  the configuration (default /etc/hoplock/hoplock.yaml, or the embedded defaults without it)\n"
    "  --check        read the configuration, say what is wrong with it, and exit\n"
    "  --version      print the version\n"
    "  --help         this text\n";

std::string usage_text() { return "usage: hoplockd " + std::string(synopsis) + "\n" + std::string(options_text); }

int serve(const std::vector<std::string>& words) {
  const auto line = daemon::parse_command_line(words, {synopsis});
  if (const auto wrong = line ? daemon::objection(*line, synopsis) : line.error().detail) {
    std::cerr << "hoplockd: " << *wrong << '\n' << usage_text();
    return daemon::usage;
  }
  if (line->has("--help") || line->has("--version")) {
    std::cout << (line->has("--help") ? usage_text() : "hoplockd " HOPLOCK_VERSION "\n");
    return daemon::ok;
  }
  std::optional<std::string> path = line->get("--config");
  const bool checks = line->has("--check");
  if (!path && std::filesystem::exists(default_path)) path = default_path;
  config::Loaded loaded = path ? config::load(*path) : config::defaults();
  if (!path) config::check(loaded);  // the defaults name files too
  if (checks && loaded.errors.empty()) daemon::check_for_service(loaded);
  if (loaded.errors.empty()) daemon::check_file_contents(loaded);
  for (const auto& error : loaded.errors) std::cerr << daemon::stderr_priority(Level::error) << error << "\n";
  if (!loaded.errors.empty()) return daemon::config_error;
  if (checks) {
    daemon::check_hosts(loaded);
    for (const auto& warning : loaded.warnings) std::cerr << warning << "\n";
    std::cout << loaded.file << ": ok\n";
    return daemon::ok;
  }
  daemon::App app(std::move(loaded), path.value_or(""));
  return app.run();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return serve(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& error) {
    std::cerr << daemon::stderr_priority(Level::error) << "hoplockd: " << error.what() << "\n";
    return daemon::software;
  }
}
