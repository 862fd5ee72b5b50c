// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include "config/show.h"
#include "daemon/file_check.h"
#include "daemon/options.h"
#include "daemon/service_user.h"
#include "daemon/system.h"
#include "daemon/tool/commands.h"
#include "daemon/tool/json.h"
#include "daemon/tool/text.h"

namespace hoplock::daemon::tool {

namespace {
json::array texts(const std::vector<std::string>& from) {
  json::array to;
  for (const std::string& one : from) to.emplace_back(clean(one));
  return to;
}

// What the parts of the daemon say of it, and whether the user whom it runs as can have what is in it. The exit code of a wrong --user.
std::optional<int> judge(const Call& call, config::Loaded& loaded) {
  const auto name = call.arguments.get("--user");
  auto user = name ? std::optional(find_user(*name)) : std::nullopt;
  if (user && !*user) return complain(call.console, usage, "--user: " + user->error().detail);
  if (user && geteuid() != 0)
    return complain(call.console, usage, "--user: only root can look with the rights of another user");
  if (!loaded.errors.empty()) return std::nullopt;
  if (user)
    check_as(loaded, **user);
  else
    check_for_service(loaded);
  check_file_contents(loaded);
  return std::nullopt;
}
}  // namespace

int config_check(const Call& call) {
  config::Loaded loaded = call.loaded;
  if (const auto refused = judge(call, loaded)) return *refused;
  const Console& console = call.console;
  const bool good = loaded.errors.empty();
  if (call.arguments.json) {
    json::object object;
    object["file"] = clean(loaded.file);
    object["ok"] = good;
    object["errors"] = texts(loaded.errors);
    object["warnings"] = texts(loaded.warnings);
    console.out << to_line(object) << '\n';
  }
  for (const std::string& error : loaded.errors) console.err << printable(error) << '\n';
  for (const std::string& warning : loaded.warnings) console.err << printable(warning) << '\n';
  if (good && !call.arguments.json) console.out << printable(loaded.file) << ": ok\n";
  return good ? ok : config_error;
}

int config_show(const Call& call) {
  config::Config config = call.loaded.config;
  config.hostname = hostname(config);  // what the daemon would say of itself
  for (const std::string& warning : call.loaded.warnings) call.console.err << printable(warning) << '\n';
  if (call.arguments.json) {
    call.console.out << config::to_json(config) << '\n';
  } else {
    call.console.out << config::to_yaml(config);
  }
  return ok;
}

}  // namespace hoplock::daemon::tool
