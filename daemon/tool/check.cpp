// SPDX-License-Identifier: Apache-2.0
// `hoplock check DOMAIN`, and `hoplock check --route ADDRESS`
#include <algorithm>

#include "config/files.h"
#include "daemon/options.h"
#include "daemon/system.h"
#include "daemon/tool/check_view.h"
#include "daemon/tool/commands.h"
#include "daemon/tool/network.h"
#include "daemon/tool/route_view.h"
#include "smtpclient/credentials.h"
#include "store/readers.h"

namespace hoplock::daemon::tool {

namespace {

// What the daemon keeps of the domain's MTA-STS policy. Where there is no daemon and no queue, nothing is kept.
std::optional<store::PolicyRow> kept_policy(const Call& call, const dns::Name& domain) {
  auto reader = readers(call.loaded.config)->policies();
  if (!reader && reader.error().code == errc::no_such_file_or_directory) return std::nullopt;
  auto row = reader ? (*reader)->find(domain) : Result<std::optional<store::PolicyRow>>(reader.error());
  if (row) return std::move(*row);
  complain(call.console, ok, "whether a policy of this domain is kept is not known: " + row.error().detail);
  return std::nullopt;
}

// Likewise what was agreed on with the partner.
partners::BookPtr partners_of(const Call& call, const dns::Name& domain) {
  auto book = std::make_shared<partners::Book>();
  auto reader = readers(call.loaded.config)->partners();
  if (!reader && reader.error().code == errc::no_such_file_or_directory) return book;
  auto found = reader ? (*reader)->find(domain) : Result<std::vector<partners::Entry>>(reader.error());
  if (!found) {
    complain(call.console, ok, "whether anything was agreed on with this domain is not known: " + found.error().detail);
    return book;
  }
  for (partners::Entry& entry : *found) book->put(std::move(entry));
  return book;
}

// What a delivery asks the DNS for first: a route may lead to other names, or to addresses only.
std::vector<dns::Name> first_names(const route::Table& table, const dns::Name& domain, Time now) {
  const route::RoutePtr route = table.match(domain, now);
  if (!route || route->hosts.empty()) return {domain};
  std::vector<dns::Name> names;
  for (const auto& one : route->hosts) {
    if (const auto* name = std::get_if<dns::Name>(&one.host)) names.push_back(*name);
  }
  return names;
}

// What there is to tell of a domain while nobody answers. Nothing: somebody does, or nobody need.
std::optional<probe::Finding> unanswered(Network& network, const dns::Name& domain, Time now) {
  const auto silence = network.silence(first_names(network.tools().router.table(), domain, now));
  if (!silence) return std::nullopt;
  probe::Finding finding;
  finding.domain = domain;
  finding.expanded = domain;
  finding.dnssec = probe::Dnssec::failed;
  finding.reason = hop::Reason::dns_failure;
  finding.detail = silence->text + "; " + silence->advice;
  return finding;
}

std::optional<probe::Finding> ask_or_tell_silence(Network& network, probe::Question question) {
  if (auto finding = unanswered(network, question.domain, question.now)) return finding;
  auto task = probe::check(network.tools(), std::move(question));
  return network.run(std::move(task));
}

int check_domain(const Call& call) {
  const Console& console = call.console;
  auto domain = dns::Name::parse(call.arguments.words.front());
  if (!domain || domain->is_root()) {
    return complain(console, usage,
                    "'" + call.arguments.words.front() + "' is no domain; allowed: a name such as example.org");
  }
  const auto connecting = call.arguments.has("--no-connect") ? probe::Connecting::no : probe::Connecting::yes;
  const auto network = Network::open(call.loaded.config, console, OwnHosts::refused);
  if (!network) return complain(console, config_error, network.error().detail);
  (*network)->set_partners(partners_of(call, *domain));
  probe::Question question;
  question.connecting = connecting;
  question.kept = kept_policy(call, *domain);
  question.domain = std::move(*domain);
  question.now = console.now;
  const auto finding = ask_or_tell_silence(**network, std::move(question));
  if (!finding) return complain(console, software, broke_off);
  const probe::Verdict verdict = probe::judge(*finding, connecting);
  if (call.arguments.json) {
    console.out << to_line(to_json(*finding, verdict)) << '\n';
  } else {
    print(console, *finding, verdict);
  }
  return verdict == probe::Verdict::fail ? no : ok;
}

// The expired ones that would have taken the domain.
std::vector<route::RoutePtr> skipped(const route::Table& table, const dns::Name& domain, Time now) {
  std::vector<route::RoutePtr> found = table.expired(now);
  std::erase_if(found, [&](const route::RoutePtr& one) {
    return std::none_of(one->match.begin(), one->match.end(),
                        [&](const auto& pattern) { return pattern.matches(domain); });
  });
  return found;
}

// What the daemon may read and this user may not, so that nothing is known of it.
std::string barred_files(const route::Route& route) {
  std::string all;
  for (const std::string& path : {route.client_certificate, route.client_key, route.password_file}) {
    if (!path.empty() && config::is_barred(path)) all += (all.empty() ? "'" : ", '") + path + "'";
  }
  return all;
}

int check_route(const Call& call) {
  const Console& console = call.console;
  const std::string word = call.arguments.get("--route").value_or("");
  if (call.arguments.has("--no-connect"))
    return complain(console, usage, "'--no-connect' says nothing beside '--route', which connects to nobody");
  auto parsed = smtp::Mailbox::parse(word);
  const auto* mailbox = std::get_if<smtp::Mailbox>(&parsed);
  const smtp::Mailbox own = postmaster(call.loaded.config);
  if (mailbox != nullptr && mailbox->is_bare_postmaster()) mailbox = &own;
  if (mailbox == nullptr || mailbox->is_null() || mailbox->is_literal())
    return complain(console, usage, "'" + word + "' is no address that mail is taken for; allowed: user@example.org");
  const auto network = Network::open(call.loaded.config, console, OwnHosts::refused);
  if (!network) return complain(console, config_error, network.error().detail);
  (*network)->set_partners(partners_of(call, mailbox->domain()));
  const route::Table& table = (*network)->tools().router.table();
  RouteExplanation explained;
  explained.address = mailbox->text();
  explained.route = table.match(mailbox->domain(), console.now);
  explained.position = table.position(mailbox->domain(), console.now);
  explained.routes = call.loaded.config.route.routes.size();
  explained.skipped = skipped(table, mailbox->domain(), console.now);
  explained.rule = table.rule(mailbox->domain(), console.now);
  explained.partner = table.terms(mailbox->domain(), console.now);
  explained.destination = table.destination(mailbox->domain(), console.now);
  if (explained.route) {
    explained.unseen = barred_files(*explained.route);
    const auto credentials = smtpclient::load_credentials(*explained.route);
    if (!credentials && explained.unseen.empty()) explained.obstacle = credentials.error().detail;
  }
  probe::Question question;
  question.domain = mailbox->domain();
  question.connecting = probe::Connecting::no;
  question.kept = kept_policy(call, mailbox->domain());
  question.now = console.now;
  question.judging = probe::Judging::configured;
  auto finding = ask_or_tell_silence(**network, std::move(question));
  if (!finding) return complain(console, software, broke_off);
  explained.finding = std::move(*finding);
  if (call.arguments.json) {
    console.out << to_line(to_json(explained)) << '\n';
  } else {
    print(console, explained);
  }
  return leads_anywhere(explained) ? ok : no;
}

}  // namespace

int check(const Call& call) {
  const bool of_route = call.arguments.has("--route");
  if (call.arguments.words.empty() != of_route)
    return complain(call.console, usage, "say what to check, in one way; allowed: DOMAIN | --route ADDRESS");
  return of_route ? check_route(call) : check_domain(call);
}

}  // namespace hoplock::daemon::tool
