// `hoplock check DOMAIN`
#include "daemon/system.h"
#include "daemon/tool/check_view.h"
#include "daemon/tool/commands.h"
#include "daemon/tool/network.h"

namespace hoplock::daemon::tool {

namespace {

boost::asio::awaitable<void> gather(probe::Tools tools, dns::Name domain, probe::Connecting connecting,
                                    probe::Finding& into) {
  into = co_await probe::check(std::move(tools), std::move(domain), connecting);
}

}  // namespace

int check(const Call& call) {
  const Console& console = call.console;
  auto domain = dns::Name::parse(call.arguments.words.front());
  if (!domain || domain->is_root()) {
    return complain(console, usage,
                    "'" + call.arguments.words.front() + "' is no domain; allowed: a name such as example.org");
  }
  const auto connecting = call.arguments.has("--no-connect") ? probe::Connecting::no : probe::Connecting::yes;
  probe::Finding finding;
  const auto gone = with_network(call.loaded.config, console, Whose::ours, [&](probe::Tools tools) {
    return gather(std::move(tools), *domain, connecting, finding);
  });
  if (!gone) return complain(console, config_error, gone.error().detail);
  const probe::Verdict verdict = probe::judge(finding, connecting);
  if (call.arguments.json) {
    console.out << to_line(to_json(finding, verdict)) << '\n';
  } else {
    print(console, finding, verdict);
  }
  return verdict == probe::Verdict::fail ? no : ok;
}

}  // namespace hoplock::daemon::tool
