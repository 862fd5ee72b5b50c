// SPDX-License-Identifier: Apache-2.0
#include "daemon/tool/arguments.h"

#include <algorithm>

#include "daemon/tool/commands.h"

namespace hoplock::daemon::tool {

namespace {

constexpr std::string_view selection = "ID… | --domain D | --sender S | --all";
// What cannot be undone: of several messages it is asked about first, or told --yes.
constexpr std::string_view selection_with_yes = "ID… | --domain D | --sender S | --all [--yes]";

std::string joined(const std::vector<std::string_view>& list) {
  std::string text;
  for (const std::string_view one : list) text += (text.empty() ? "" : ", ") + std::string(one);
  return text;
}

std::string usage_of(const Syntax& syntax) {
  return std::string(usage_begin) + std::string(syntax.name) + (syntax.synopsis.empty() ? "" : " ") +
         std::string(syntax.synopsis);
}

const Syntax* find_command(const std::vector<std::string>& words) {
  for (const Syntax& one : commands()) {
    const bool two = words.size() > 1 && one.name == words[0] + " " + words[1];
    if (two || one.name == words[0]) return &one;
  }
  return nullptr;
}

}  // namespace

std::string unknown_command(std::string_view said) {
  const std::string_view first = said.substr(0, said.find(' '));
  std::vector<std::string_view> near;
  for (const Syntax& one : commands()) {
    if (one.name.substr(0, one.name.find(' ')) == first) near.push_back(one.name);
  }
  if (!near.empty()) return "unknown command '" + std::string(said) + "'; allowed: " + joined(near);
  for (const Syntax& one : commands()) near.push_back(one.name);
  return "unknown command '" + std::string(first) + "'; allowed: " + joined(near);
}

const std::vector<Syntax>& commands() {
  static const std::vector<Syntax> table{
      {"status", status, "", "the daemon's state in a few lines: version, queue, connections, health"},
      {"reload", reload, "", "let the daemon read its configuration again; exit 78 with the complaint when it refuses"},
      {"config check", config_check, "[--user NAME]",
       "say what is wrong with the configuration; for root also whether the user whom hoplockd runs as, or NAME, can "
       "read the files that it names and write its data and its log"},
      {"config show", config_show, "", "print the effective configuration, defaults included"},
      {"queue list", queue_list, "[--domain D] [--sender S] [--state STATE]", "the queue, oldest first"},
      {"queue show", queue_show, "ID [--body]",
       "one message: envelope, recipients, attempts; after a blank line its headers and body with --body (the octets "
       "as they are when the output is no terminal)"},
      {"queue retry", queue_act, selection, "try again now; held messages stay held"},
      {"queue hold", queue_act, selection, "do not try until released"},
      {"queue release", queue_act, selection, "try held messages now"},
      {"queue remove", queue_act, selection_with_yes, "delete, without any notice"},
      {"queue bounce", queue_act, selection_with_yes,
       "end now, with a notice to the senders; what is under delivery at this moment is left alone"},
      {"queue stats", queue_stats, "", "counts and oldest age by state, by reason and by domain"},
      {"trace", trace, "ID|ADDRESS|DOMAIN [--since 2d]",
       "the whole life of the messages from or to it, in the queue or gone: every attempt, what operators did, who was "
       "told"},
      {"check", check, "DOMAIN [--no-connect] | --route ADDRESS",
       "what a delivery there would meet; exit 0 when mail would be delivered under the policies that it publishes; "
       "--route: which route the address takes, and on what terms each host would get its mail; connects to nobody"},
      {"tlsa", tlsa,
       "CERT.pem|HOST[:PORT] [--name MXNAME] [--usage 3] [--selector 1] [--matching 1] | [HOST[:PORT]] --next NEW.pem "
       "[--published TIME] [--ttl 1h]",
       "the TLSA record for a certificate (usage 2: for the CA behind it), or for what a live host presents, and then "
       "also whether DNS holds a record that matches; --next: the step that comes next in a change to NEW.pem, what to "
       "publish, when to put it in place, what to remove; exit 0 only when DNS and TTLs say that it is done"},
      {"sts list", sts_list, "", "the MTA-STS policies that are kept, by domain"},
      {"sts show", sts_show, "DOMAIN", "one of them, word for word, and what became of its last fetch"},
      {"sts refresh", sts_refresh, "DOMAIN",
       "let the daemon fetch it now, whatever it keeps; exit 1 when none came, and a policy that is in force stays"},
      {"backup", backup, "FILE",
       "a copy of the whole store as it is at this moment, verified, while the daemon runs or not; never over a file "
       "that is there"},
      {"restore", restore, "FILE", "a backup back into a data_dir that holds no store, the daemon stopped"},
      {"nodes", nodes, "",
       "the nodes that share the store: alive, silent, dead or left, since when, what they have under way, and which "
       "standbys the servers have; works with all daemons stopped"},
      {"store migrate", store_migrate, "",
       "bring the tables of a shared store up to date, with the role that `store` names; forward only"},
      {"store copy", store_copy, "--to URL",
       "the mail of queue.db, its history, policies and partners into a store that several nodes share, the daemon "
       "stopped; where it was cut off, give it again, and it goes on: a message is copied once, with a fresh id where "
       "its own is taken. From the beginning on hoplockd refuses queue.db; it is marked as moved once the counts of "
       "both sides agree. store_synchronous holds for the copy, too. What was counted for TLS reports and audit stays "
       "in queue.db"},
      {"compact", compact, "", "let the running daemon give back the space that its database has free"},
      {"dkim new", dkim_new, "DOMAIN [SELECTOR] [--rsa|--ed25519] [--windows]",
       "make a signing key (RSA of 2048 bits unless --ed25519) beside the configuration, and say what to publish"},
      {"dkim list", dkim_list, "",
       "the keys: which sign, which wait for their record, and until when the record of one that retires must stay"},
      {"dkim record", dkim_record, "DOMAIN SELECTOR [--windows]",
       "the record to publish for a key, as a line of a zone file, or for the DNS server of Windows"},
      {"dkim check", dkim_check, "",
       "whether what the DNS holds verifies what the keys sign; exit 1 where it does not"},
      {"doctor", doctor, "",
       "everything around the relay: configuration, daemon, clock, DNS, names, ports, files, space, certificates, "
       "records, next hops, what waits, what the last day failed with; exit 1 when something needs a hand"},
      {"audit", audit,
       "[--since 30d|--from D --to D] [--domain D] [--csv|--json|--html] [--output FILE] [--sign KEY.pem]",
       "how mail left, by partner domain: under which policy and proof, with which keys and records, what was relaxed, "
       "refused or never proved; kept by the day, in UTC, for years. --html prints as a report on A4. --output: into "
       "FILE; --sign: and a detached CMS signature (DER) into FILE.p7s, with the key and the certificate that KEY.pem "
       "holds: openssl cms -verify -binary -inform DER -in FILE.p7s -content FILE -CAfile CA.pem -purpose any; without "
       "--output report and signature go to standard output, as one signed message (S/MIME): openssl cms -verify -in "
       "MESSAGE -CAfile CA.pem -purpose any"},
      {"tlsrpt list", tlsrpt_list, "[--day D] [--domain D]",
       "sessions by day and domain, and what became of their report"},
      {"tlsrpt show", tlsrpt_show, "--day YYYY-MM-DD [--domain D]", "the report as it was sent, or as it would be now"},
      {"tlsrpt send", tlsrpt_send, "--day YYYY-MM-DD [--domain D]",
       "let the daemon send that day's reports now, today's too; exit 1 when all of them are sent, or there is "
       "none"},
      {"tlsrpt read", tlsrpt_read, "FILE…",
       "what others report about us (JSON, gzip of it, or the mail that brought it): who could not reach us, and why"},
      {"partner list", partner_list, "",
       "what was agreed on with partners, by domain: mandates, exceptions, until when, by whom and why"},
      {"partner show", partner_show, "DOMAIN", "what counts for mail to the domain, and whether a route goes first"},
      {"partner require", partner_change, "DOMAIN LEVEL [--until DATE] [--note TEXT]",
       "the least that mail to the domain gets, whatever it publishes; *.DOMAIN is for its subdomains. encrypt: TLS or "
       "no delivery; verify: a host that DANE, an enforced MTA-STS policy or a certificate for its name proves; dane: "
       "usable TLSA records, one of which matches. At once, also for mail that waits"},
      {"partner except", partner_change, "DOMAIN RULE [--until DATE] [--note TEXT]",
       "let mail to the domain pass that fails RULE (dane or mta-sts); each is logged and reported with its reason. It "
       "ends after 90 days, or sooner with --until"},
      {"partner remove", partner_change, "DOMAIN [RULE] [--note TEXT]",
       "forget what was agreed on, or only the exception from RULE, and say in the log why; exit 1 when there was "
       "nothing"},
      {"partner suggest", partner_suggest, "",
       "by the figures of 30 days: what could be required of each domain, and what speaks against it"},
      {"partner import", partner_import, "FILE [--dry-run]",
       "set what the lines of a CSV file say (domain,level,exceptions,until,note), all of it or nothing; what is not "
       "in the file stays; --dry-run only says what would be set"},
      {"partner export", partner_export, "", "what is in force, as such a file"},
      {"version", nullptr, "", "print the version"},
      {"help", nullptr, "[COMMAND…] [--roff]", "what the commands do, or one of them; --roff: as the man page"},
  };
  return table;
}

Result<Arguments> parse(const std::vector<std::string>& words) {
  std::vector<std::string_view> synopses;
  for (const Global& one : globals) synopses.push_back(one.option);
  for (const Syntax& one : commands()) synopses.push_back(one.synopsis);
  auto line = daemon::parse_command_line(words, synopses);
  if (!line) return line.error();
  Arguments arguments{std::move(*line)};
  arguments.config = arguments.take("--config");
  arguments.json = arguments.take("--json").has_value();
  if (arguments.take("--version")) arguments.ask = Arguments::Ask::version;
  if (arguments.take("--help")) arguments.ask = Arguments::Ask::help;
  auto& said = arguments.words;
  if (arguments.ask != Arguments::Ask::command) {
    for (const std::string& word : said) arguments.command += (arguments.command.empty() ? "" : " ") + word;
    return arguments;
  }
  if (said.empty()) {
    const auto& options = arguments.options;
    const std::string why = options.empty() ? "" : "'" + options.begin()->first + "' alone says nothing: ";
    return bad_input(why + "no command given; 'hoplock help' lists them");
  }
  const Syntax* syntax = find_command(said);
  if (syntax == nullptr) return bad_input(unknown_command(said[0] + (said.size() > 1 ? " " + said[1] : "")));
  arguments.command = syntax->name;
  arguments.run = syntax->run;
  said.erase(said.begin(), said.begin() + (syntax->name.find(' ') == std::string_view::npos ? 1 : 2));
  if (const auto why = objection(arguments, syntax->synopsis)) return bad_input(*why + "; " + usage_of(*syntax));
  return arguments;
}

}  // namespace hoplock::daemon::tool
