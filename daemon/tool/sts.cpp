// SPDX-License-Identifier: Apache-2.0
// `hoplock sts …`: reading straight from the database, fetching through the daemon.
#include "control/client.h"
#include "daemon/options.h"
#include "daemon/system.h"
#include "daemon/tool/commands.h"
#include "daemon/tool/sts_view.h"
#include "daemon/tool/text.h"
#include "store/readers.h"

namespace hoplock::daemon::tool {

namespace {

Result<dns::Name> domain_of(const Call& call) {
  const std::string& word = call.arguments.words.front();
  auto domain = dns::Name::parse(word);
  if (domain && !domain->is_root()) return domain;
  return bad_input("'" + word + "' is no domain; allowed: a name such as example.org");
}

}  // namespace

int sts_list(const Call& call) {
  const Console& console = call.console;
  auto reader = readers(call.loaded.config)->policies();
  if (!reader) return cannot_read(call, "the policies in", reader.error());
  std::vector<Table::Column> columns{{"DOMAIN"}, {"MODE"}, {"ID"}, {"EXPIRES"}, {"CHECKED"}};
  if (!console.width) columns.push_back({"ERROR"});  // at a terminal it stands whole below the row
  Table table(console.out, console.width, std::move(columns));
  std::size_t count = 0;
  const auto listed = (*reader)->list([&](const store::PolicyRow& row) {
    if (call.arguments.json) {
      console.out << (count == 0 ? "[\n" : ",\n") << to_line(to_json(row));
    } else {
      const auto& held = row.freshness.held;
      std::vector<std::string> cells{row.domain.text(), mode_of(row), held ? held->id : "", expiry(row, console.now),
                                     age(console.now - row.checked) + " ago"};
      if (!console.width) cells.push_back(error_of(row));
      table.add(std::move(cells), console.width ? error_of(row) : "");
    }
    ++count;
  });
  if (call.arguments.json) console.out << (count == 0 ? "[]\n" : "\n]\n");
  table.finish();
  if (!listed) return cannot_read(call, "the policies in", listed.error());
  if (!call.arguments.json && count == 0) console.out << "no policies\n";
  return ok;
}

int sts_show(const Call& call) {
  const Console& console = call.console;
  const auto domain = domain_of(call);
  if (!domain) return complain(console, usage, domain.error().detail);
  auto reader = readers(call.loaded.config)->policies();
  if (!reader) return cannot_read(call, "the policies in", reader.error());
  const auto row = (*reader)->find(*domain);
  if (!row) return cannot_read(call, "the policies in", row.error());
  if (!*row) return complain(console, no, "no policy of " + domain->text() + " is kept");
  if (call.arguments.json) {
    console.out << to_line(to_full_json(**row)) << '\n';
  } else {
    print(console, **row);
  }
  return ok;
}

int sts_refresh(const Call& call) {
  const Console& console = call.console;
  auto domain = domain_of(call);
  if (!domain) return complain(console, usage, domain.error().detail);
  auto client = control::Client::connect(control_path(call.loaded.config));
  if (!client) return complain(console, unavailable, client.error().detail);
  const auto news = client->refresh_policy(*domain);
  if (!news) {  // a daemon that answers is reachable: what it says no to, it cannot store or read now
    const bool answered = news.error().code == errc::operation_not_permitted;
    return complain(console, answered ? io_error : unavailable, news.error().detail);
  }
  const bool failed = news->action == route::PolicyEvent::Action::failed;
  if (call.arguments.json) {
    console.out << to_line(to_json(*news)) << '\n';
  } else if (failed) {
    complain(console, no, to_text(*news, console.now));
  } else {
    console.out << printable(to_text(*news, console.now)) << '\n';
  }
  return failed ? no : ok;
}

}  // namespace hoplock::daemon::tool
