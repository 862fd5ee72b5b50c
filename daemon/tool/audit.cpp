// SPDX-License-Identifier: Apache-2.0
// `hoplock audit …`: how mail left, by partner, policy and proof; read straight from the statistics in the store.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <system_error>

#include "config/files.h"
#include "config/values.h"
#include "daemon/options.h"
#include "daemon/system.h"
#include "daemon/tool/audit_sign.h"
#include "daemon/tool/audit_view.h"
#include "daemon/tool/commands.h"
#include "store/readers.h"
#include "tlsrpt/report.h"

namespace hoplock::daemon::tool {

namespace {

constexpr std::uint64_t largest_key_file = 1U << 20U;

std::optional<statistics::Day> day_option(const Call& call, std::string_view option, std::string& wrong) {
  const auto word = call.arguments.get(option);
  if (!word) return std::nullopt;
  const auto day = tlsrpt::parse_day(*word);
  if (!day) wrong = std::string(option) + ": '" + *word + "' is no day; allowed: YYYY-MM-DD, UTC";
  return day;
}

Result<statistics::Range> range_of(const Call& call) {
  statistics::Range range;
  std::string wrong;
  const auto from = day_option(call, "--from", wrong);
  const auto to = day_option(call, "--to", wrong);
  if (!wrong.empty()) return bad_input(wrong);
  if (call.arguments.has("--since") && (from || to)) return bad_input("--since, or --from and --to: not both");
  if (to && !from) return bad_input("--to needs --from, the first day");
  range.to = to.value_or(statistics::day_of(call.console.now));
  const auto since = config::Duration::parse(call.arguments.get("--since").value_or("30d"));
  if (!since) return bad_input("--since: " + since.error().detail);
  range.from = from.value_or(statistics::day_of(call.console.now - since->value));
  if (range.to < range.from) return bad_input(to ? "--to lies before --from" : "--from lies in the future");
  if (const auto word = call.arguments.get("--domain")) {
    const auto domain = dns::Name::parse(*word);
    if (!domain || domain->is_root())
      return bad_input("--domain: '" + *word + "' is no domain; allowed: a name such as example.org");
    range.domain = domain->text();
  }
  return range;
}

// How the report is to be written down.
enum class Form : std::uint8_t { text, json, csv, html };
Result<Form> form_of(const Call& call) {
  const Arguments& said = call.arguments;
  const int forms = (said.json ? 1 : 0) + (said.has("--csv") ? 1 : 0) + (said.has("--html") ? 1 : 0);
  if (forms > 1) return bad_input("one of --csv, --json and --html");
  return said.json ? Form::json : said.has("--csv") ? Form::csv : said.has("--html") ? Form::html : Form::text;
}

void write_report(const Console& console, const AuditReport& report, Form form) {
  switch (form) {
    case Form::text:
      return print_audit(console, report);
    case Form::json:
      console.out << to_line(audit_to_json(report)) << '\n';
      return;
    case Form::csv:
      console.out << audit_to_csv(report);
      return;
    case Form::html:
      console.out << audit_to_html(report);
      return;
  }
}

ReportPart part_of(const AuditReport& report, Form form, std::string text) {
  const std::string days = to_text(report.from) + " to " + to_text(report.to);
  const auto of = [&](std::string media_type, std::string_view ending) {
    std::string name = "audit-" + to_text(report.from) + "-" + to_text(report.to) + std::string(ending);
    return ReportPart{"How mail left " + report.relay + ", " + days, std::move(media_type), std::move(name),
                      std::move(text)};
  };
  switch (form) {
    case Form::json:
      return of("application/json", ".json");
    case Form::csv:
      return of("text/csv", ".csv");
    case Form::html:
      return of("text/html", ".html");
    case Form::text:
      break;
  }
  return of("text/plain", ".txt");
}

// Report and signature as one message on standard output, or nothing there.
int print_signed(const Call& call, const ReportPart& part) {
  const std::string key = *call.arguments.get("--sign");
  const auto pem = config::read_file(key, largest_key_file);
  if (!pem) return complain(call.console, io_error, "'" + key + "': " + pem.error().detail);
  const auto message = signed_message(*pem, part);
  if (!message) return complain(call.console, no, "'" + key + "': " + message.error().detail);
  call.console.out << *message;
  return ok;
}

// Nothing but a report is replaced: no device, no FIFO, no link that somebody laid there.
Result<> may_be_replaced(const std::string& path) {
  struct stat there {};
  if (::lstat(path.c_str(), &there) != 0) return {};  // what is wrong with the folder, writing says
  if (S_ISREG(there.st_mode)) return {};
  return fail(make_error_code(boost::system::errc::invalid_argument), "it is there, and no regular file");
}

// Whole, or as it was before; in a folder that others write to, too: the draft is a file of our own.
Result<> write_whole(const std::string& path, std::string_view octets) {
  if (auto fit = may_be_replaced(path); !fit) return fit;
  std::string draft = path + ".XXXXXX";
  const int file = ::mkostemp(draft.data(), O_CLOEXEC);
  bool good = file >= 0 && ::fchmod(file, 0640) == 0;
  for (std::string_view rest = octets; good && !rest.empty();) {
    const ssize_t written = ::write(file, rest.data(), rest.size());
    good = written > 0;
    if (good) rest.remove_prefix(static_cast<std::size_t>(written));
  }
  good = good && ::fsync(file) == 0;
  int error = errno;
  if (file >= 0) ::close(file);
  if (good && ::rename(draft.c_str(), path.c_str()) == 0) return {};
  if (good) error = errno;
  if (file >= 0) ::unlink(draft.c_str());
  return fail(error_code(error, boost::system::system_category()), std::system_category().message(error));
}

bool is_same_file(const std::string& a, const std::string& b) {
  std::error_code none;
  return std::filesystem::equivalent(a, b, none);
}

// The report into a file, and the signature beside it; the signature first: no report is there that should have one and has none.
int put_report_down(const Call& call, const std::string& report) {
  const std::string path = *call.arguments.get("--output");
  std::vector<std::pair<std::string, std::string>> files;
  if (const auto key = call.arguments.get("--sign")) {
    for (const std::string& file : {path, path + ".p7s"}) {
      if (is_same_file(file, *key)) return complain(call.console, no, "'" + file + "' is the key: it stays as it is");
    }
    const auto pem = config::read_file(*key, largest_key_file);
    if (!pem) return complain(call.console, io_error, "'" + *key + "': " + pem.error().detail);
    auto signature = cms_signature(*pem, report);
    if (!signature) return complain(call.console, no, "'" + *key + "': " + signature.error().detail);
    files.emplace_back(path + ".p7s", std::move(*signature));
  }
  files.emplace_back(path, report);
  for (const auto& [name, octets] : files) {
    if (const auto written = write_whole(name, octets); !written)
      return complain(call.console, cannot_create, "'" + name + "': " + written.error().detail);
  }
  return ok;
}

}  // namespace

int audit(const Call& call) {
  const Console& console = call.console;
  const auto form = form_of(call);
  if (!form) return complain(console, usage, form.error().detail);
  const auto range = range_of(call);
  if (!range) return complain(console, usage, range.error().detail);
  auto reader = readers(call.loaded.config)->statistics();
  if (!reader) return cannot_read(call, "the statistics in", reader.error());
  auto found = (*reader)->read(*range);
  if (!found) return cannot_read(call, "the statistics in", found.error());
  AuditReport report = audit_report(std::move(*found));
  report.relay = hostname(call.loaded.config).text();
  report.made = console.now;
  report.from = range->from;
  report.to = range->to;
  if (report.partners.empty() && *form == Form::text)
    return complain(console, no,
                    "nothing was delivered or refused from " + to_text(range->from) + " to " + to_text(range->to));
  const bool apart = call.arguments.has("--output");
  if (!apart && !call.arguments.has("--sign")) {
    write_report(console, report, *form);
    return ok;
  }
  std::ostringstream text;
  write_report({text, console.err, std::nullopt, console.now}, report, *form);
  return apart ? put_report_down(call, text.str()) : print_signed(call, part_of(report, *form, text.str()));
}

}  // namespace hoplock::daemon::tool
