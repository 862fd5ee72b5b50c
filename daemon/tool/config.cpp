// SPDX-License-Identifier: Apache-2.0
#include "config/show.h"
#include "daemon/options.h"
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
}  // namespace

int config_check(const Call& call) {
  const auto& loaded = call.loaded;
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
