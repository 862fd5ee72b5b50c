// SPDX-License-Identifier: Apache-2.0
// hoplockd: the relay daemon. Reads its configuration, then runs in the foreground until it is told to stop.
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "base/version.h"
#include "config/check.h"
#include "daemon/app.h"
#include "daemon/file_check.h"
#include "daemon/hosts_check.h"
#include "daemon/journal.h"
#include "daemon/service_user.h"

namespace {

using namespace hoplock;

constexpr const char* default_path = "/etc/hoplock/hoplock.yaml";
constexpr const char* usage_text =
    "usage: hoplockd [--config FILE] [--check] [--version]\n"
    "  --config FILE  the configuration (default /etc/hoplock/hoplock.yaml, or the embedded defaults without it)\n"
    "  --check        read the configuration, say what is wrong with it, and exit\n"
    "  --version      print the version\n";

struct Arguments {
  std::optional<std::string> config;
  bool check = false;
  bool version = false;
  bool help = false;
};

std::optional<Arguments> parse(const std::vector<std::string>& words) {
  Arguments arguments;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--check") {
      arguments.check = true;
    } else if (words[i] == "--version") {
      arguments.version = true;
    } else if (words[i] == "--help" || words[i] == "-h") {
      arguments.help = true;
    } else if (words[i] == "--config" && i + 1 < words.size()) {
      arguments.config = words[++i];
    } else if (words[i].starts_with("--config=")) {
      arguments.config = words[i].substr(words[i].find('=') + 1);
    } else if (words[i] == "--config") {
      std::cerr << "hoplockd: '--config' needs a value\n" << usage_text;
      return std::nullopt;
    } else {
      const bool option = words[i].starts_with('-');
      std::cerr << "hoplockd: " << (option ? "unknown option" : "unexpected argument") << " '" << words[i] << "'\n"
                << usage_text;
      return std::nullopt;
    }
  }
  return arguments;
}

int serve(const std::vector<std::string>& words) {
  const auto arguments = parse(words);
  if (!arguments) return daemon::usage;
  if (arguments->help || arguments->version) {
    std::cout << (arguments->help ? usage_text : "hoplockd " HOPLOCK_VERSION "\n");
    return daemon::ok;
  }
  std::optional<std::string> path = arguments->config;
  if (!path && std::filesystem::exists(default_path)) path = default_path;
  config::Loaded loaded = path ? config::load(*path) : config::defaults();
  if (!path) config::check(loaded);  // the defaults name files too
  if (arguments->check && loaded.errors.empty()) daemon::check_for_service(loaded);
  if (loaded.errors.empty()) daemon::check_file_contents(loaded);
  for (const auto& error : loaded.errors) std::cerr << daemon::stderr_priority(Level::error) << error << "\n";
  if (!loaded.errors.empty()) return daemon::config_error;
  if (arguments->check) {
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
