// SPDX-License-Identifier: Apache-2.0
// `hoplock status`, `hoplock reload`: what the running daemon says of itself.
#include "control/client.h"
#include "daemon/options.h"
#include "daemon/system.h"
#include "daemon/tool/commands.h"
#include "daemon/tool/json.h"
#include "daemon/tool/text.h"
#include "store/readers.h"

namespace hoplock::daemon::tool {

namespace {

std::int64_t count_of(const control::Status& status, const std::string& name) {
  const auto found = status.counts.find(name);
  return found == status.counts.end() ? 0 : found->second;
}

std::string queue_lines(const Call& call) {
  auto reader = readers(call.loaded.config)->mail();
  const auto stats = reader ? (*reader)->stats({}) : Result<store::Stats>(reader.error());
  if (!stats) return printable("cannot be read: " + stats.error().detail);
  std::string line = counted(stats->messages, "message");
  if (stats->oldest) line += ", the oldest " + age(call.console.now - *stats->oldest) + " old";
  std::string parts;
  for (const auto& one : stats->states)
    parts += (parts.empty() ? "" : ", ") + std::to_string(one.count.count) + " " + one.state;
  return parts.empty() ? line : line + "\nRecipients:    " + parts;
}

void print(const Call& call, const control::Status& status) {
  const Console& console = call.console;
  const bool good = status.problems.empty();
  console.out << "hoplockd " << printable(status.version) << ", process " << status.pid;
  if (status.started)
    console.out << ", up " << age(console.now - *status.started) << " (since " << moment(*status.started) << ")";
  console.out << "\nConfiguration: " << printable(status.config.empty() ? "embedded defaults" : status.config)
              << "\nQueue:         " << queue_lines(call) << "\nConnections:   " << count_of(status, "connections")
              << " from clients, " << count_of(status, "sessions") << " to other servers"
              << "\nHealth:        "
              << tinted(good ? "ok" : counted(status.problems.size(), "problem"),
                        console.colour == Console::Colour::none ? Tint::none
                        : good                                  ? Tint::good
                                                                : Tint::bad)
              << '\n';
  for (const auto& one : status.problems) {
    const std::string text = printable(one.name) + ": " + printable(one.text);
    console.out << (console.width ? wrapped(text, 2, *console.width) : "  " + text + '\n');
  }
}

json::object status_json(const control::Status& status) {
  json::object to;
  to["version"] = clean(status.version);
  to["pid"] = status.pid;
  to["started"] = time_or_null(status.started);
  to["config"] = text_or_null(status.config);
  to["healthy"] = status.problems.empty();
  json::array problems;
  for (const auto& one : status.problems) {
    json::object problem;
    problem["problem"] = clean(one.name);
    problem["text"] = clean(one.text);
    problems.push_back(std::move(problem));
  }
  to["problems"] = std::move(problems);
  json::object counts;
  for (const auto& [name, count] : status.counts) counts[clean(name)] = count;
  to["counts"] = std::move(counts);
  return to;
}

}  // namespace

int status(const Call& call) {
  auto client = control::Client::connect(control_path(call.loaded.config));
  if (!client) return complain(call.console, unavailable, client.error().detail);
  const auto told = client->status();
  if (!told) return complain(call.console, unavailable, told.error().detail);
  if (call.arguments.json) {
    call.console.out << to_line(status_json(*told)) << '\n';
  } else {
    print(call, *told);
  }
  return ok;
}

int reload(const Call& call) {
  auto client = control::Client::connect(control_path(call.loaded.config));
  if (!client) return complain(call.console, unavailable, client.error().detail);
  const auto done = client->reload();
  if (!done) return complain(call.console, unavailable, done.error().detail);
  const auto& complaint = *done;
  if (call.arguments.json) {
    json::object object;
    object["reloaded"] = !complaint;
    object["error"] = complaint ? json::value(clean(*complaint)) : json::value();
    call.console.out << to_line(object) << '\n';
  } else if (complaint) {
    complain(call.console, config_error, *complaint + " (the old configuration stays in use)");
  } else {
    call.console.out << "reloaded\n";
  }
  return complaint ? config_error : ok;
}

}  // namespace hoplock::daemon::tool
