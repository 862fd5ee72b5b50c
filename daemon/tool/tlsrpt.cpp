// SPDX-License-Identifier: Apache-2.0
// `hoplock tlsrpt …`: reading straight from the database.
#include "control/client.h"
#include "daemon/options.h"
#include "daemon/system.h"
#include "daemon/tool/commands.h"
#include "daemon/tool/text.h"
#include "daemon/tool/tlsrpt_view.h"
#include "store/readers.h"

namespace hoplock::daemon::tool {

namespace {

using store::ReportSelection;

Result<ReportSelection> selection_of(const Call& call) {
  ReportSelection selection;
  if (const auto word = call.arguments.get("--day")) {
    selection.day = tlsrpt::parse_day(*word);
    if (!selection.day) return bad_input("--day: '" + *word + "' is no day; allowed: YYYY-MM-DD, UTC");
  }
  if (const auto word = call.arguments.get("--domain")) {
    auto domain = dns::Name::parse(*word);
    if (!domain || domain->is_root())
      return bad_input("--domain: '" + *word + "' is no domain; allowed: a name such as example.org");
    selection.domain = std::move(*domain);
  }
  return selection;
}

// Octet by octet where they may go on to a program; a terminal gets nothing raw.
void put_report(const Console& console, const std::string& json) {
  console.out << (console.width ? printable(json) : json);
}

Result<std::vector<store::ReportKey>> keys_of(store::LedgerReader& reader, const ReportSelection& selection) {
  if (selection.domain) return std::vector<store::ReportKey>{{*selection.day, *selection.domain}};
  std::vector<store::ReportKey> keys;
  const auto listed = reader.list(selection, [&](const store::LedgerRow& row) { keys.push_back(row.account.key); });
  if (!listed) return listed.error();
  return keys;
}

}  // namespace

int tlsrpt_list(const Call& call) {
  const Console& console = call.console;
  const auto selection = selection_of(call);
  if (!selection) return complain(console, usage, selection.error().detail);
  const store::ReadersPtr store = readers(call.loaded.config);
  auto reader = store->ledger();
  if (!reader) return cannot_read(call, "the ledger in", reader.error());
  using Align = Table::Align;
  std::vector<Table::Column> columns{
      {"DAY"}, {"DOMAIN"}, {"STATE"}, {"SESSIONS", Align::right}, {"FAILURES", Align::right}, {"NEXT"}, {"ERROR"}};
  if (store->is_shared()) columns.push_back({"NODE"});
  Table table(console.out, console.width, std::move(columns));
  std::size_t count = 0;
  const auto listed = (*reader)->list(*selection, [&](const store::LedgerRow& row) {
    if (call.arguments.json) {
      console.out << (count == 0 ? "[\n" : ",\n") << to_line(to_json(row));
    } else {
      std::vector<std::string> line = cells(row, console.now);
      if (store->is_shared()) line.push_back(row.node);
      table.add(std::move(line));
    }
    ++count;
  });
  if (call.arguments.json) console.out << (count == 0 ? "[]\n" : "\n]\n");
  table.finish();
  if (!listed) return cannot_read(call, "the ledger in", listed.error());
  if (!call.arguments.json && count == 0) console.out << "no sessions were counted\n";
  return ok;
}

// One domain: the report and nothing else. A whole day: a report a line, with --json an array.
int tlsrpt_show(const Call& call) {
  const Console& console = call.console;
  const auto selection = selection_of(call);
  if (!selection) return complain(console, usage, selection.error().detail);
  if (!selection->day) return complain(console, usage, "which day? --day YYYY-MM-DD, UTC");
  const auto submitter = daemon::submitter(call.loaded.config);
  if (!submitter)
    return complain(console, config_error, call.loaded.where("tls_rpt") + ": " + submitter.error().detail);
  auto reader = readers(call.loaded.config)->ledger();
  if (!reader) return cannot_read(call, "the ledger in", reader.error());
  const auto keys = keys_of(**reader, *selection);
  if (!keys) return cannot_read(call, "the ledger in", keys.error());
  const bool one = selection->domain.has_value();
  std::size_t count = 0;
  for (const auto& key : *keys) {
    const auto json = (*reader)->show(key, *submitter);
    if (!json) return cannot_read(call, "the ledger in", json.error());
    if (!*json) continue;
    if (!one && call.arguments.json) console.out << (count == 0 ? "[\n" : ",\n");
    put_report(console, **json);
    if (console.width || (!one && !call.arguments.json)) console.out << '\n';
    ++count;
  }
  if (!one && call.arguments.json) console.out << (count == 0 ? "[]\n" : "\n]\n");
  if (count > 0) return ok;
  const std::string whom = one ? " for " + selection->domain->text() : "";
  return complain(console, no, "nothing was counted" + whom + " on " + tlsrpt::to_text(*selection->day));
}

}  // namespace hoplock::daemon::tool
