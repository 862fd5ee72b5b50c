// SPDX-License-Identifier: Apache-2.0
// `hoplock partner list|show|require|except|remove`: reading straight from the store, changing through the daemon.
#include "control/client.h"
#include "daemon/options.h"
#include "daemon/system.h"
#include "daemon/tool/commands.h"
#include "daemon/tool/partner_orders.h"
#include "daemon/tool/partner_view.h"
#include "daemon/tool/text.h"
#include "route/table.h"
#include "store/readers.h"

namespace hoplock::daemon::tool {

namespace {

constexpr std::string_view what_was_read = "the partners in";

struct Given {
  std::optional<partners::Order> order;
  std::string wrong;
};

Given given(const Call& call) {
  Given to;
  partners::Order order;
  const auto& words = call.arguments.words;
  const auto refuse = [&to](const Error& error) {
    to.wrong = error.detail;
    return to;
  };
  auto domain = partners::parse_domain(words.front());
  if (!domain) return refuse(domain.error());
  order.entry.domain = std::move(*domain);
  if (call.arguments.command == "partner require") {
    const auto level = partners::parse_level(words[1]);
    if (!level) return refuse(level.error());
    order.entry.level = *level;
  } else if (words.size() > 1) {
    const auto rule = partners::parse_exception(words[1]);
    if (!rule) return refuse(rule.error());
    order.entry.rule = *rule;
  }
  if (const auto until = call.arguments.get("--until")) {
    const auto day = partners::parse_day(*until);
    if (!day) return refuse(day.error());
    order.entry.until = *day;
  }
  order.entry.note = call.arguments.get("--note").value_or("");
  if (call.arguments.command == "partner remove") {
    order.what = partners::Order::What::remove;
    if (const auto note = partners::parse_note(order.entry.note); !note) return refuse(note.error());
    if (words.size() > 1) order.only = order.entry.rule;
    to.order = std::move(order);
    return to;
  }
  auto good = partners::admitted(order.entry, call.console.now);
  if (!good) return refuse(good.error());
  order.entry.note = good->note;
  to.order = std::move(order);
  return to;
}

// A route of the configuration that takes it: such routes go first.
std::string route_beside(const Call& call, const dns::Pattern& domain) {
  const route::Options options = route_options(call.loaded.config, {});
  const route::Table routes(options.routes, options.security);
  const auto position = routes.position(domain.name, call.console.now);
  if (domain.kind != dns::Pattern::Kind::exact || !position) return "";
  const auto& route = *routes.match(domain.name, call.console.now);
  std::string text = "routes[" + std::to_string(*position) +
                     "] takes this domain, and what it says goes first: a mandate can only ask for more, an exception "
                     "changes nothing that the route says itself";
  if (route.tls == hop::RouteTls::none) text += "; its `tls: none` and any mandate together let no mail pass";
  return text;
}

}  // namespace

std::variant<partners::Done, int> carry_out(const Call& call, const std::vector<partners::Order>& orders) {
  auto client = control::Client::connect(control_path(call.loaded.config));
  if (!client) return complain(call.console, unavailable, client.error().detail);
  auto answer = client->change_partners(orders);
  if (!answer) {
    const bool answered = answer.error().code == errc::operation_not_permitted;
    return complain(call.console, answered ? io_error : unavailable, answer.error().detail);
  }
  if (!answer->refused.empty()) return complain(call.console, usage, answer->refused);
  return std::move(*answer);
}

int partner_list(const Call& call) {
  const Console& console = call.console;
  auto reader = readers(call.loaded.config)->partners();
  if (!reader) return cannot_read(call, what_was_read, reader.error());
  PartnerMap partners;
  const auto listed = (*reader)->list([&](const partners::Entry& entry) { take_in(partners, entry); });
  if (!listed) return cannot_read(call, what_was_read, listed.error());
  if (call.arguments.json) {
    std::size_t count = 0;
    for (const auto& [domain, partner] : partners)
      console.out << (count++ == 0 ? "[\n" : ",\n") << to_line(to_json(partner, console.now));
    console.out << (count == 0 ? "[]\n" : "\n]\n");
    return ok;
  }
  if (partners.empty()) console.out << "no partners\n";
  Table table(console.out, console.width,
              {{"DOMAIN"},
               {"TLS"},
               {"DANE"},
               {"MTA-STS"},
               {"RULE"},
               {"UNTIL"},
               {"BY"},
               {"NOTE", Table::Align::left, Table::Give::lines}});
  for (const auto& [domain, partner] : partners) {
    const Modes modes = modes_of(partner.entries, console.now);
    const auto& [mandate, dane, mta_sts] = partner.entries;
    for (const partners::EntryPtr& one : {mandate, dane, mta_sts}) {
      if (!one) continue;
      std::string until = one->until ? partners::to_text(*one->until) : "";
      if (is_over(*one, console.now)) until += ", over";
      table.add({domain, std::string(modes.tls), std::string(modes.dane), std::string(modes.mta_sts),
                 std::string(kind_of(*one)) + " " + std::string(word_of(*one)), until, one->by, one->note});
    }
  }
  table.finish();
  return ok;
}

int partner_show(const Call& call) {
  const Console& console = call.console;
  const auto domain = partners::parse_domain(call.arguments.words.front());
  if (!domain) return complain(console, usage, domain.error().detail);
  auto reader = readers(call.loaded.config)->partners();
  if (!reader) return cannot_read(call, what_was_read, reader.error());
  // Of a pattern its own entries; of a domain what counts for it.
  const auto read =
      domain->kind == dns::Pattern::Kind::exact ? (*reader)->find(domain->name) : (*reader)->find(*domain);
  if (!read) return cannot_read(call, what_was_read, read.error());
  PartnerMap found;
  for (const partners::Entry& entry : *read) take_in(found, entry);
  if (found.empty()) return complain(console, no, "nothing was agreed on with " + dns::to_text(*domain));
  const std::string beside = route_beside(call, *domain);
  json::array all;
  for (const auto& [text, partner] : found) {
    if (call.arguments.json) {
      all.push_back(to_json(partner, console.now));
    } else {
      print(console, partner);
    }
  }
  if (call.arguments.json) {
    console.out << to_line(json::object{{"domain", clean(dns::to_text(*domain))},
                                        {"route", text_or_null(beside)},
                                        {"partners", std::move(all)}})
                << '\n';
  } else if (!beside.empty()) {
    console.out << "  " << printable(beside) << '\n';
  }
  return ok;
}

int partner_change(const Call& call) {
  const Console& console = call.console;
  Given asked = given(call);
  if (!asked.order) return complain(console, usage, asked.wrong);
  const auto answer = carry_out(call, {*asked.order});
  if (const int* failed = std::get_if<int>(&answer)) return *failed;
  const auto& done = std::get<partners::Done>(answer);
  partners::Entry& entry = asked.order->entry;
  entry.until = done.until;
  const bool removing = asked.order->what == partners::Order::What::remove;
  if (call.arguments.json) {
    json::object to;
    to["domain"] = clean(dns::to_text(entry.domain));
    to["until"] = entry.until ? json::value(partners::to_text(*entry.until)) : json::value();
    to["changed"] = done.changed;
    to["before"] = text_or_null(done.before);
    console.out << to_line(to) << '\n';
  } else if (removing && done.changed > 0) {
    console.out << printable(dns::to_text(entry.domain)) << ": removed\n";
  } else if (!removing) {
    console.out << printable(sentence(entry)) << (done.changed == 0 ? ", as before" : "") << '\n';
    if (!done.before.empty()) console.out << "  until now: " << printable(done.before) << '\n';
    if (const auto beside = route_beside(call, entry.domain); !beside.empty()) console.err << printable(beside) << '\n';
  }
  if (!removing || done.changed > 0) return ok;
  return complain(console, no, "nothing was agreed on with " + dns::to_text(entry.domain));
}

}  // namespace hoplock::daemon::tool
