// SPDX-License-Identifier: Apache-2.0
#include "daemon/tool/arguments.h"

#include <algorithm>

#include "daemon/tool/commands.h"

namespace hoplock::daemon::tool {

namespace {

constexpr std::string_view selection = "ID… | --domain D | --sender S | --all";

Syntax ledger(std::string_view name, Run run, std::string_view parameters, std::string_view summary) {
  return {name, run, parameters, summary, 0, 0, {"--day", "--domain"}};
}

Syntax action(std::string_view name, std::string_view summary) {
  return {name, queue_act, selection, summary, 0, SIZE_MAX, {"--domain", "--sender"}, {"--all"}};
}

// What cannot be undone: of several messages it is asked about first, or told --yes.
Syntax ending(std::string_view name, std::string_view summary) {
  return {name,
          queue_act,
          "ID… | --domain D | --sender S | --all [--yes]",
          summary,
          0,
          SIZE_MAX,
          {"--domain", "--sender"},
          {"--all", "--yes"}};
}

bool holds(const std::vector<std::string_view>& list, std::string_view one) {
  return std::find(list.begin(), list.end(), one) != list.end();
}

bool is_option(std::string_view word) { return word.size() > 1 && word.front() == '-'; }

// Options of any command that take a value, so that words can be told from values before the command is known.
bool takes_value(std::string_view option) {
  if (option == "--config") return true;
  return std::any_of(commands().begin(), commands().end(),
                     [&](const Syntax& one) { return holds(one.options, option); });
}

Parsed wrong(std::string why) {
  Parsed parsed;
  parsed.bad.why = std::move(why);
  return parsed;
}

std::string joined(const std::vector<std::string_view>& list) {
  std::string text;
  for (const std::string_view one : list) text += (text.empty() ? "" : ", ") + std::string(one);
  return text;
}

std::string usage_of(const Syntax& syntax) {
  return "usage: hoplock " + std::string(syntax.name) + (syntax.parameters.empty() ? "" : " ") +
         std::string(syntax.parameters);
}

const Syntax* find_command(const std::vector<std::string>& words) {
  for (const Syntax& one : commands()) {
    const bool two = words.size() > 1 && one.name == words[0] + " " + words[1];
    if (two || one.name == words[0]) return &one;
  }
  return nullptr;
}

std::optional<std::string> objection(const Syntax& syntax, const Arguments& arguments) {
  for (const auto& [option, value] : arguments.options) {
    if (holds(syntax.options, option) || holds(syntax.flags, option)) continue;
    auto allowed = syntax.options;
    allowed.insert(allowed.end(), syntax.flags.begin(), syntax.flags.end());
    allowed.emplace_back("--json");
    allowed.emplace_back("--config");
    return "unknown option '" + option + "' for '" + std::string(syntax.name) + "'; allowed: " + joined(allowed);
  }
  if (arguments.words.size() < syntax.least) return "an argument is missing; " + usage_of(syntax);
  if (arguments.words.size() > syntax.most)
    return "unexpected argument '" + arguments.words[syntax.most] + "'; " + usage_of(syntax);
  return std::nullopt;
}

// Fills in the options; what is left over are the words.
std::optional<std::string> take_options(const std::vector<std::string>& from, Arguments& into) {
  bool only_words = false;
  for (std::size_t i = 0; i < from.size(); ++i) {
    const auto equals = from[i].find('=');
    const std::string option = from[i].substr(0, equals);
    if (only_words || !is_option(from[i])) {
      into.words.push_back(from[i]);
    } else if (from[i] == "--") {
      only_words = true;
    } else if (option == "--help" || option == "-h") {
      into.ask = Arguments::Ask::help;
    } else if (option == "--version") {
      into.ask = Arguments::Ask::version;
    } else if (option == "--json") {
      into.json = true;
    } else if (takes_value(option)) {
      if (equals == std::string::npos && i + 1 == from.size()) return "'" + option + "' needs a value";
      const std::string value = equals == std::string::npos ? from[++i] : from[i].substr(equals + 1);
      if (option == "--config") {
        into.config = value;
      } else if (!into.options.emplace(option, value).second) {
        return "'" + option + "' is given twice";
      }
    } else {
      into.options.emplace(from[i], "");
    }
  }
  return std::nullopt;
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
      {"config check",
       config_check,
       "[--user NAME]",
       "say what is wrong with the configuration; for root also whether the user whom hoplockd runs as, or NAME, can "
       "read the files that it names and write its data and its log",
       0,
       0,
       {"--user"}},
      {"config show", config_show, "", "print the effective configuration, defaults included"},
      {"queue list",
       queue_list,
       "[--domain D] [--sender S] [--state STATE]",
       "the queue, oldest first",
       0,
       0,
       {"--domain", "--sender", "--state"}},
      {"queue show",
       queue_show,
       "ID [--body]",
       "one message: envelope, recipients, attempts; after a blank line its headers and body with --body (the octets "
       "as they are when the output is no terminal)",
       1,
       1,
       {},
       {"--body"}},
      action("queue retry", "try again now; held messages stay held"),
      action("queue hold", "do not try until released"),
      action("queue release", "try held messages now"),
      ending("queue remove", "delete, without any notice"),
      ending("queue bounce",
             "end now, with a notice to the senders; what is under delivery at this moment is left alone"),
      {"queue stats", queue_stats, "", "counts and oldest age by state, by reason and by domain"},
      {"trace",
       trace,
       "ID|ADDRESS|DOMAIN [--since 2d]",
       "the whole life of the messages from or to it, in the queue or gone: every attempt, what operators did, who was "
       "told",
       1,
       1,
       {"--since"}},
      {"check",
       check,
       "DOMAIN [--no-connect] | --route ADDRESS",
       "what a delivery there would meet; exit 0 when mail would be delivered under the policies that it publishes; "
       "--route: which route the address takes, and on what terms each host would get its mail; connects to nobody",
       1,
       1,
       {},
       {"--no-connect", "--route"}},
      {"tlsa",
       tlsa,
       "CERT.pem|HOST[:PORT] [--name MXNAME] [--usage 3] [--selector 1] [--matching 1] | [HOST[:PORT]] --next NEW.pem "
       "[--published TIME] [--ttl 1h]",
       "the TLSA record for a certificate (usage 2: for the CA behind it), or for what a live host presents, and then "
       "also whether DNS holds a record that matches; --next: the step that comes next in a change to NEW.pem, what to "
       "publish, when to put it in place, what to remove; exit 0 only when DNS and TTLs say that it is done",
       0,
       1,
       {"--name", "--usage", "--selector", "--matching", "--next", "--published", "--ttl"}},
      {"sts list", sts_list, "", "the MTA-STS policies that are kept, by domain"},
      {"sts show", sts_show, "DOMAIN", "one of them, word for word, and what became of its last fetch", 1, 1},
      {"sts refresh", sts_refresh, "DOMAIN",
       "let the daemon fetch it now, whatever it keeps; exit 1 when none came, and a policy that is in force stays", 1,
       1},
      {"backup", backup, "FILE",
       "a copy of the whole store as it is at this moment, verified, while the daemon runs or not; never over a file "
       "that is there",
       1, 1},
      {"restore", restore, "FILE", "a backup back into a data_dir that holds no store, the daemon stopped", 1, 1},
      {"compact", compact, "", "let the running daemon give back the space that its database has free"},
      {"dkim new",
       dkim_new,
       "DOMAIN [SELECTOR] [--rsa|--ed25519]",
       "make a signing key (RSA of 2048 bits unless --ed25519) beside the configuration, and say what to publish",
       1,
       2,
       {},
       {"--rsa", "--ed25519", "--windows"}},
      {"dkim list", dkim_list, "",
       "the keys: which sign, which wait for their record, and until when the record of one that retires must stay"},
      {"dkim record",
       dkim_record,
       "DOMAIN SELECTOR [--windows]",
       "the record to publish for a key, as a line of a zone file, or for the DNS server of Windows",
       2,
       2,
       {},
       {"--windows"}},
      {"dkim check", dkim_check, "",
       "whether what the DNS holds verifies what the keys sign; exit 1 where it does not"},
      {"doctor", doctor, "",
       "everything around the relay: configuration, daemon, clock, DNS, names, ports, files, space, certificates, "
       "records, next hops, what waits, what the last day failed with; exit 1 when something needs a hand"},
      {"audit",
       audit,
       "[--since 30d|--from D --to D] [--domain D] [--csv|--json|--html] [--output FILE] [--sign KEY.pem]",
       "how mail left, by partner domain: under which policy and proof, with which keys and records, what was relaxed, "
       "refused or never proved; kept by the day, in UTC, for years. --html prints as a report on A4. --output: into "
       "FILE; --sign: and a detached CMS signature (DER) into FILE.p7s, with the key and the certificate that KEY.pem "
       "holds: openssl cms -verify -binary -inform DER -in FILE.p7s -content FILE -CAfile CA.pem -purpose any; without "
       "--output report and signature go to standard output, as one signed message (S/MIME): openssl cms -verify -in "
       "MESSAGE -CAfile CA.pem -purpose any",
       0,
       0,
       {"--since", "--from", "--to", "--domain", "--output", "--sign"},
       {"--csv", "--html"}},
      ledger("tlsrpt list", tlsrpt_list, "[--day D] [--domain D]",
             "sessions by day and domain, and what became of their report"),
      ledger("tlsrpt show", tlsrpt_show, "--day YYYY-MM-DD [--domain D]",
             "the report as it was sent, or as it would be now"),
      ledger("tlsrpt send", tlsrpt_send, "--day YYYY-MM-DD [--domain D]",
             "let the daemon send that day's reports now, today's too; exit 1 when all of them are sent, or there is "
             "none"),
      {"tlsrpt read", tlsrpt_read, "FILE...",
       "what others report about us (JSON, gzip of it, or the mail that brought it): who could not reach us, and why",
       1, 1000},
      {"partner list", partner_list, "",
       "what was agreed on with partners, by domain: mandates, exceptions, until when, by whom and why"},
      {"partner show", partner_show, "DOMAIN", "what counts for mail to the domain, and whether a route goes first", 1,
       1},
      {"partner require",
       partner_change,
       "DOMAIN LEVEL [--until DATE] [--note TEXT]",
       "the least that mail to the domain gets, whatever it publishes; *.DOMAIN is for its subdomains. encrypt: TLS or "
       "no delivery; verify: a host that DANE, an enforced MTA-STS policy or a certificate for its name proves; dane: "
       "usable TLSA records, one of which matches. At once, also for mail that waits",
       2,
       2,
       {"--until", "--note"}},
      {"partner except",
       partner_change,
       "DOMAIN RULE [--until DATE] [--note TEXT]",
       "let mail to the domain pass that fails RULE (dane or mta-sts); each is logged and reported with its reason. It "
       "ends after 90 days, or sooner with --until",
       2,
       2,
       {"--until", "--note"}},
      {"partner remove",
       partner_change,
       "DOMAIN [RULE] [--note TEXT]",
       "forget what was agreed on, or only the exception from RULE, and say in the log why; exit 1 when there was "
       "nothing",
       1,
       2,
       {"--note"}},
      {"partner suggest", partner_suggest, "",
       "by the figures of 30 days: what could be required of each domain, and what speaks against it"},
      {"partner import",
       partner_import,
       "FILE [--dry-run]",
       "set what the lines of a CSV file say (domain,level,exceptions,until,note), all of it or nothing; what is not "
       "in "
       "the file stays; --dry-run only says what would be set",
       1,
       1,
       {},
       {"--dry-run"}},
      {"partner export", partner_export, "", "what is in force, as such a file"},
      {"version", nullptr, "", "print the version"},
      {"help", nullptr, "[COMMAND]", "what the commands do, or one of them", 0, 2, {}, {"--roff"}},
  };
  return table;
}

std::optional<std::string> Arguments::get(std::string_view option) const {
  const auto found = options.find(option);
  return found == options.end() ? std::nullopt : std::optional(found->second);
}

Parsed parse(const std::vector<std::string>& words) {
  Arguments arguments;
  if (auto why = take_options(words, arguments)) return wrong(std::move(*why));
  if (arguments.ask != Arguments::Ask::command) {
    for (const std::string& word : arguments.words) arguments.command += (arguments.command.empty() ? "" : " ") + word;
  } else if (arguments.words.empty()) {
    const auto& options = arguments.options;
    const std::string why = options.empty() ? "" : "'" + options.begin()->first + "' alone says nothing: ";
    return wrong(why + "no command given; 'hoplock help' lists them");
  } else {
    const Syntax* syntax = find_command(arguments.words);
    const auto& said = arguments.words;
    if (syntax == nullptr) return wrong(unknown_command(said[0] + (said.size() > 1 ? " " + said[1] : "")));
    arguments.command = syntax->name;
    arguments.run = syntax->run;
    arguments.words.erase(arguments.words.begin(),
                          arguments.words.begin() + (syntax->name.find(' ') == std::string_view::npos ? 1 : 2));
    if (auto why = objection(*syntax, arguments)) return wrong(std::move(*why));
  }
  Parsed parsed;
  parsed.good = std::move(arguments);
  return parsed;
}

}  // namespace hoplock::daemon::tool
