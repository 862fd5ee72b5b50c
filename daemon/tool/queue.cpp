// SPDX-License-Identifier: Apache-2.0
// `hoplock queue …`: reading straight from the database, acting through the daemon.
#include <algorithm>
#include <array>
#include <sstream>

#include "base/ascii.h"
#include "control/client.h"
#include "daemon/options.h"
#include "daemon/system.h"
#include "daemon/tool/commands.h"
#include "daemon/tool/json.h"
#include "daemon/tool/message_id.h"
#include "daemon/tool/present.h"
#include "daemon/tool/queue_view.h"
#include "daemon/tool/text.h"
#include "daemon/tool/trace_view.h"
#include "smtp/mailbox.h"
#include "store/readers.h"

namespace hoplock::daemon::tool {

namespace {

constexpr std::array<std::string_view, 7> states{"queued",  "active",  "deferred", "held",
                                                 "bounced", "expired", "delivered"};

// As a person writes it: "<>" and "" are the empty sender, brackets and case of the domain do not matter.
std::string sender_of(std::string_view text) {
  if (text.size() >= 2 && text.front() == '<' && text.back() == '>') text = text.substr(1, text.size() - 2);
  const auto parsed = smtp::Mailbox::parse(text);
  const auto* mailbox = std::get_if<smtp::Mailbox>(&parsed);
  return mailbox != nullptr ? mailbox->text() : std::string(text);
}

std::string from_text(const store::Envelope& envelope) { return envelope.sender.empty() ? "<>" : envelope.sender; }

std::string next_of(const store::RecipientView& one, Time now) {
  if (!one.next || one.active) return "";
  return *one.next <= now ? "now" : "in " + age(*one.next - now);
}

// The filter that --domain, --sender and --state ask for, or what is wrong with them.
struct Wanted {
  store::Filter filter;
  std::string wrong;
};
Wanted wanted(const Arguments& arguments) {
  Wanted result;
  if (const auto domain = arguments.get("--domain")) {
    auto name = dns::Name::parse(*domain);
    if (!name) result.wrong = "--domain: " + name.error().detail;
    if (name) result.filter.domain = std::move(*name);
  }
  if (const auto sender = arguments.get("--sender")) result.filter.sender = sender_of(*sender);
  if (const auto state = arguments.get("--state")) {
    result.filter.state = *state;
    if (std::find(states.begin(), states.end(), *state) == states.end())
      result.wrong = "--state: '" + *state + "' is no state; allowed: queued, active, deferred, held, bounced, expired";
  }
  return result;
}

// Below it the reason takes a second line: an ID, a code or a host that is cut is of no use to anybody.
constexpr std::size_t one_line = 200;
constexpr std::size_t with_sender = 120;
constexpr std::size_t second_line_margin = 4;
bool is_narrow(const Console& console) { return console.width.value_or(one_line) < one_line; }
bool has_sender(const Console& console) { return console.width.value_or(with_sender) >= with_sender; }

// Whether rows have a column for the node that has them.
enum class Nodes : bool { one, several };
Nodes nodes_of(const store::Readers& readers) { return readers.is_shared() ? Nodes::several : Nodes::one; }

Table message_table(const Console& console, Nodes nodes) {
  using Align = Table::Align;
  using Give = Table::Give;
  std::vector<Table::Column> columns{{"ID", Align::left, Give::none},
                                     {"AGE", Align::right, Give::none},
                                     {"SIZE", Align::right, Give::none},
                                     {"STATE", Align::left, Give::none},
                                     {"TRIES", Align::right, Give::none}};
  if (is_narrow(console)) {
    columns.insert(columns.end(), {{"NEXT", Align::left, Give::none}, {"TO"}});
    if (has_sender(console)) columns.insert(columns.end() - 1, Table::Column{"FROM"});
  } else {
    columns.insert(columns.end(), {{"FROM"}, {"TO"}, {"NEXT", Align::left, Give::none}});
    if (nodes == Nodes::several) columns.push_back({"NODE"});
    columns.push_back({"WHY"});
  }
  return Table(console.out, console.width, std::move(columns));
}

void add_rows(const Console& console, Table& table, const store::MessageView& message, Nodes nodes) {
  for (const auto& one : message.recipients) {
    std::vector<std::string> cells{message.id.text(), age(console.now - message.received), size(message.size),
                                   std::string(state_of(one)), std::to_string(one.attempts)};
    const std::string from = from_text(message.envelope), reason = why(one);
    if (is_narrow(console)) {
      const std::string sender = has_sender(console) ? "" : "from " + from;
      cells.insert(cells.end(), {next_of(one, console.now), one.address});
      if (has_sender(console)) cells.insert(cells.end() - 1, from);
      // two lines a message, whatever the server had to say
      const bool has_both = one.attempts == 0 && !one.active && !sender.empty();
      const std::string under = has_both ? sender + ": " + reason : reason.empty() ? sender : reason;
      table.add(std::move(cells),
                fit(printable(under), std::max(*console.width, 2 * second_line_margin) - second_line_margin));
    } else {
      cells.insert(cells.end(), {from, one.address, next_of(one, console.now)});
      if (nodes == Nodes::several) cells.push_back(one.node);
      cells.push_back(reason);
      table.add(std::move(cells));
    }
  }
}

void print_message(const Console& console, const store::MessageView& message, Nodes nodes) {
  auto& out = console.out;
  const auto& envelope = message.envelope;
  out << "ID:        " << message.id.text() << "\nFrom:      " << printable(from_text(envelope))
      << "\nReceived:  " << moment(message.received) << " (" << age(console.now - message.received) << " ago)";
  if (!envelope.client.empty()) out << " from " << printable(envelope.client);
  out << "\nSize:      " << counted(message.size, "octet") << "\nState:     " << message.state() << "\n";
  if (envelope.requiretls) out << "TLS:       required all the way (REQUIRETLS)\n";
  if (envelope.tls_required_no) out << "TLS:       waived by the sender (TLS-Required: No)\n";
  using Give = Table::Give;
  std::vector<Table::Column> columns{{"TO"},
                                     {"STATE", Table::Align::left, Give::none},
                                     {"TRIES", Table::Align::right, Give::none},
                                     {"LAST", Table::Align::left, Give::none},
                                     {"NEXT", Table::Align::left, Give::none},
                                     {"NEXT HOP"}};
  if (nodes == Nodes::several) columns.push_back({"NODE"});
  if (!is_narrow(console)) columns.insert(columns.end(), {{"HOST"}, {"WHY"}});
  Table table(out, console.width, std::move(columns));
  for (const auto& one : message.recipients) {
    std::vector<std::string> cells{one.address,
                                   std::string(state_of(one)),
                                   std::to_string(one.attempts),
                                   one.last ? age(console.now - *one.last) + " ago" : "",
                                   next_of(one, console.now),
                                   one.destination};
    if (nodes == Nodes::several) cells.push_back(one.node);
    const std::string reason = why(one);
    if (is_narrow(console)) {
      table.add(std::move(cells), reason);
    } else {
      cells.insert(cells.end(), {one.host, reason});
      table.add(std::move(cells));
    }
  }
  out << '\n';
  table.finish();
}

Result<> print_body(const Console& console, store::MailReader& reader, store::Id id) {
  TerminalSanitizer sanitizer;
  auto read = reader.body(id, [&](std::string_view octets) {
    if (console.width) {
      console.out << sanitizer.feed(octets);
    } else {
      console.out.write(octets.data(), static_cast<std::streamsize>(octets.size()));
    }
    return console.out.good() ? store::Go::on : store::Go::stop;
  });
  if (console.width) console.out << sanitizer.finish();
  return read;
}

constexpr std::size_t most_rows = 20;  // of each table for people

void print_stats(const Console& console, const store::Stats& stats) {
  const auto oldest = [&](const std::optional<Time>& time) { return time ? age(console.now - *time) : std::string(); };
  console.out << counted(stats.messages, "message");
  if (stats.oldest) console.out << ", the oldest " << oldest(stats.oldest) << " old";
  console.out << '\n';
  using Align = Table::Align;
  Table by_state(console.out, console.width, {{"STATE"}, {"COUNT", Align::right}, {"OLDEST", Align::right}});
  for (const auto& one : stats.states)
    by_state.add({one.state, std::to_string(one.count.count), oldest(one.count.oldest)});
  if (!stats.states.empty()) console.out << '\n';
  by_state.finish();
  const auto print_most = [&](std::string_view title, const auto& rows, const auto& name_of) {
    Table table(
        console.out, console.width,
        {{"COUNT", Align::right, Table::Give::none}, {"OLDEST", Align::right, Table::Give::none}, {title}, {"WHY"}});
    for (std::size_t i = 0; i < std::min(rows.size(), most_rows); ++i)
      table.add({std::to_string(rows[i].count.count), oldest(rows[i].count.oldest), name_of(rows[i]), rows[i].reason});
    if (!rows.empty()) console.out << '\n';
    table.finish();
    if (rows.size() > most_rows) console.out << "and " << rows.size() - most_rows << " more (--json has all)\n";
  };
  print_most("NEXT HOP", stats.hops, [](const auto& one) { return one.name; });
  print_most("DOMAIN", stats.domains, [](const auto& one) { return one.domain; });
}

store::Action action_of(std::string_view command) {
  if (command == "queue hold") return store::Action::hold;
  if (command == "queue release") return store::Action::release;
  if (command == "queue remove") return store::Action::remove;
  if (command == "queue bounce") return store::Action::bounce;
  return store::Action::retry;
}

std::string_view done_word(store::Action action) {
  switch (action) {
    case store::Action::retry:
      return "will be tried again now";
    case store::Action::hold:
      return "held";
    case store::Action::release:
      return "released";
    case store::Action::remove:
      return "removed";
    case store::Action::bounce:
      return "bounced";
  }
  return "";
}

std::string active_words(const Call& call, store::Action action, std::uint64_t active) {
  const std::string count = std::to_string(active);
  const bool shared = !call.loaded.config.store.place.is_sqlite();
  if (shared && action == store::Action::bounce)
    return " (" + count +
           " at another node or under delivery left alone: hold them, and bounce them when they are free)";
  if (shared && (action == store::Action::retry || action == store::Action::release))
    return " (" + count + " of them at another node or under way)";
  if (shared)
    return " (" + count + " of them at another node or under way: not tried again, but an attempt that has begun ends)";
  if (action == store::Action::bounce)
    return " (" + count + " under delivery at this moment left alone: say it again when that attempt has ended)";
  return " (" + count + " of them under way: when that attempt ends)";
}

// Which messages are meant, or what is wrong with how it was said. For a word that names no message there is a complaint.
struct Selected {
  store::Selection selection;
  std::vector<std::string> complaints;
  std::string wrong;
};

void take_ids(const Call& call, Selected& result) {
  std::unique_ptr<store::MailReader> reader;  // only a prefix needs it
  for (const std::string& word : call.arguments.words) {
    if (const auto id = store::Id::parse(word)) {
      result.selection.ids.push_back(*id);
      continue;
    }
    if (!reader) {
      if (auto opened = readers(call.loaded.config)->mail()) reader = std::move(*opened);
    }
    const auto named = reader ? named_message(*reader, word) : Result<NamedMessage>(NamedMessage());
    if (named && named->id) {
      result.selection.ids.push_back(*named->id);
    } else {
      const bool said = named && !named->why.empty();
      result.complaints.push_back(said ? named->why : "there is no message '" + word + "' in the queue");
    }
  }
}

Selected selected(const Call& call) {
  const Arguments& arguments = call.arguments;
  Selected result;
  auto& selection = result.selection;
  int given = arguments.words.empty() ? 0 : 1;
  take_ids(call, result);
  if (const auto domain = arguments.get("--domain")) {
    ++given;
    auto name = dns::Name::parse(*domain);
    if (!name) result.wrong = "--domain: " + name.error().detail;
    if (name) selection.domain = std::move(*name);
    selection.by = store::Selection::By::domain;
  }
  if (const auto sender = arguments.get("--sender")) {
    ++given;
    selection.sender = sender_of(*sender);
    selection.by = store::Selection::By::sender;
  }
  if (arguments.has("--all")) {
    ++given;
    selection.by = store::Selection::By::all;
  }
  if (given != 1) result.wrong = "say which messages, in one way; allowed: ID… | --domain D | --sender S | --all";
  return result;
}

std::optional<std::uint64_t> count_of(const Call& call, const store::Selection& selection) {
  auto reader = readers(call.loaded.config)->mail();
  if (!reader) return std::nullopt;
  if (selection.by == store::Selection::By::all) {
    const auto stats = (*reader)->stats({});
    return stats ? std::optional(stats->messages) : std::nullopt;
  }
  store::Filter filter;
  if (selection.by == store::Selection::By::domain) filter.domain = selection.domain;
  if (selection.by == store::Selection::By::sender) filter.sender = selection.sender;
  std::uint64_t count = 0;
  const auto listed = (*reader)->list(filter, [&count](const store::MessageView&) {
    ++count;
    return store::Go::on;
  });
  return listed ? std::optional(count) : std::nullopt;
}

// What ends mail for good wants a yes, from a person or as --yes, where no message is named. The exit code when there is none.
std::optional<int> unconfirmed(const Call& call, store::Action action, const store::Selection& selection) {
  const bool ends = action == store::Action::remove || action == store::Action::bounce;
  if (!ends || selection.by == store::Selection::By::ids || call.arguments.has("--yes")) return std::nullopt;
  const std::string verb(store::to_text(action));
  const Console& console = call.console;
  if (console.in == nullptr)
    return complain(console, usage, "'" + verb + "' of all that matches cannot be undone; in scripts it needs --yes");
  const auto count = count_of(call, selection);
  console.err << verb << " " << (count ? counted(*count, "message") : "all that matches")
              << "? This cannot be undone. [y/N] " << std::flush;
  std::string answer;
  std::getline(*console.in, answer);
  if (answer == "y" || answer == "Y" || answer == "yes") return std::nullopt;
  return complain(console, no, "nothing was done");
}

}  // namespace

int queue_list(const Call& call) {
  const Console& console = call.console;
  Wanted which = wanted(call.arguments);
  if (!which.wrong.empty()) return complain(console, usage, which.wrong);
  const store::ReadersPtr store = readers(call.loaded.config);
  const Nodes nodes = nodes_of(*store);
  auto reader = store->mail();
  if (!reader) return cannot_read(call, "the queue", reader.error());
  Present now = present(call);
  which.filter.active = std::move(now.active);
  Table table = message_table(console, nodes);
  std::size_t count = 0;
  const auto listed = (*reader)->list(which.filter, [&](const store::MessageView& stored) {
    const store::MessageView message = in_line(stored, now.waiting, console.now);
    if (call.arguments.json) {
      console.out << (count == 0 ? "[\n" : ",\n") << to_line(to_json(message));
    } else {
      add_rows(console, table, message, nodes);
    }
    ++count;
    return console.out.good() ? store::Go::on : store::Go::stop;
  });
  if (call.arguments.json) console.out << (count == 0 ? "[]\n" : "\n]\n");
  table.finish();
  if (!listed) return cannot_read(call, "the queue", listed.error());
  if (!call.arguments.json && count == 0) console.out << "no messages\n";
  return ok;
}

int queue_show(const Call& call) {
  const Console& console = call.console;
  const std::string& word = call.arguments.words.front();
  const store::ReadersPtr store = readers(call.loaded.config);
  auto reader = store->mail();
  if (!reader) return cannot_read(call, "the queue", reader.error());
  const auto named = named_message(**reader, word);
  if (!named) return cannot_read(call, "the queue", named.error());
  if (!named->id) return complain(console, no, named->why);
  const auto id = named->id;
  const Present now = present(call);
  auto message = (*reader)->show(*id, now.active);
  if (!message) return cannot_read(call, "the queue", message.error());
  if (!*message) return complain(console, no, "there is no message '" + word + "' in the queue");
  *message = in_line(std::move(**message), now.waiting, console.now);
  const bool body = call.arguments.has("--body");
  if (!call.arguments.json) {
    print_message(console, **message, nodes_of(*store));
    if (body) console.out << '\n';
    const auto read = body ? print_body(console, **reader, *id) : Result<>{};
    return read ? static_cast<int>(ok) : cannot_read(call, "the queue", read.error());
  }
  json::object object = to_json(**message);
  json::array attempts;
  const auto traced = (*reader)->trace({id, "", "", std::nullopt}, [&](const store::Traced& found) {
    attempts = attempts_of(found);
    return store::Go::stop;
  });
  if (!traced) return cannot_read(call, "the history in", traced.error());
  object["history"] = history(**message, std::move(attempts));
  if (body) {
    std::string content;
    const auto read = (*reader)->body(*id, [&](std::string_view octets) {
      content += octets;
      return store::Go::on;
    });
    if (!read) return cannot_read(call, "the queue", read.error());
    object["content"] = clean(content);
  }
  console.out << to_line(object) << '\n';
  return ok;
}

int queue_stats(const Call& call) {
  auto reader = readers(call.loaded.config)->mail();
  if (!reader) return cannot_read(call, "the queue", reader.error());
  const auto stats = (*reader)->stats(active(call));
  if (!stats) return cannot_read(call, "the queue", stats.error());
  if (call.arguments.json) {
    call.console.out << to_line(to_json(*stats)) << '\n';
  } else {
    print_stats(call.console, *stats);
  }
  return ok;
}

int queue_act(const Call& call) {
  const Console& console = call.console;
  const store::Action action = action_of(call.arguments.command);
  const Selected which = selected(call);
  if (!which.wrong.empty()) return complain(console, usage, which.wrong);
  for (const std::string& complaint : which.complaints) complain(console, no, complaint);
  if (const auto code = unconfirmed(call, action, which.selection)) return *code;
  store::Affected affected;
  auto client = control::Client::connect(control_path(call.loaded.config));
  if (!client) return complain(console, unavailable, client.error().detail);
  if (which.selection.by != store::Selection::By::ids || !which.selection.ids.empty()) {
    const auto progress = [&](std::uint64_t messages) {
      console.err << counted(messages, "message") << " so far" << std::endl;
    };
    const auto done = client->act(action, which.selection, progress);
    if (!done) {  // a daemon that answers is reachable: what it says no to, it cannot store now
      const bool answered = done.error().code == errc::operation_not_permitted;
      return complain(console, answered ? io_error : unavailable, done.error().detail);
    }
    affected = *done;
  }
  if (call.arguments.json) {
    json::object object;
    object["touched"] = affected.messages;
    object["recipients"] = affected.recipients;
    object["active"] = affected.active;
    console.out << to_line(object) << '\n';
  } else {
    console.out << counted(affected.messages, "message") << " " << done_word(action);
    if (affected.active > 0) console.out << active_words(call, action, affected.active);
    console.out << '\n';
  }
  return affected.messages > 0 ? ok : no;
}

}  // namespace hoplock::daemon::tool
