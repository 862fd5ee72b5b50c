// `hoplock check DOMAIN`
#include "daemon/system.h"
#include "daemon/tool/check_view.h"
#include "daemon/tool/commands.h"
#include "daemon/tool/network.h"

namespace hoplock::daemon::tool {

int check(const Call& call) {
  const Console& console = call.console;
  auto domain = dns::Name::parse(call.arguments.words.front());
  if (!domain || domain->is_root()) {
    return complain(console, usage,
                    "'" + call.arguments.words.front() + "' is no domain; allowed: a name such as example.org");
  }
  const auto connecting = call.arguments.has("--no-connect") ? probe::Connecting::no : probe::Connecting::yes;
  const auto network = Network::open(call.loaded.config, console, Whose::ours);
  if (!network) return complain(console, config_error, network.error().detail);
  auto task = probe::check((*network)->tools(), std::move(*domain), connecting);
  const auto finding = (*network)->run(std::move(task));
  if (!finding) return complain(console, software, broke_off);
  const probe::Verdict verdict = probe::judge(*finding, connecting);
  if (call.arguments.json) {
    console.out << to_line(to_json(*finding, verdict)) << '\n';
  } else {
    print(console, *finding, verdict);
  }
  return verdict == probe::Verdict::fail ? no : ok;
}

}  // namespace hoplock::daemon::tool
