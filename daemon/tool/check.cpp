// `hoplock check DOMAIN`
#include "daemon/options.h"
#include "daemon/system.h"
#include "daemon/tool/check_view.h"
#include "daemon/tool/commands.h"
#include "daemon/tool/network.h"
#include "route/sts_reader.h"

namespace hoplock::daemon::tool {

namespace {

// What the daemon keeps of the domain's MTA-STS policy. Where there is no daemon and no queue, nothing is kept.
std::optional<route::PolicyRow> kept_policy(const Call& call, const dns::Name& domain) {
  auto reader = route::PolicyReader::open(database_path(call.loaded.config));
  if (!reader && reader.error().code == errc::no_such_file_or_directory) return std::nullopt;
  auto row = reader ? reader->find(domain) : Result<std::optional<route::PolicyRow>>(reader.error());
  if (row) return std::move(*row);
  complain(call.console, ok, "whether a policy of this domain is kept is not known: " + row.error().detail);
  return std::nullopt;
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
  const auto network = Network::open(call.loaded.config, console, Whose::ours);
  if (!network) return complain(console, config_error, network.error().detail);
  probe::Question question;
  question.connecting = connecting;
  question.kept = kept_policy(call, *domain);
  question.domain = std::move(*domain);
  question.now = console.now;
  auto task = probe::check((*network)->tools(), std::move(question));
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
