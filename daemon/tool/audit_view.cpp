// SPDX-License-Identifier: Apache-2.0
#include "daemon/tool/audit_view.h"

#include "daemon/tool/text.h"

namespace hoplock::daemon::tool {

namespace {

using statistics::Kind;
using Column = Table::Column;
constexpr auto in_line = Table::Align::left;
constexpr auto whole = Table::Give::none;
constexpr auto to_right = Table::Align::right;

std::string figure(std::uint64_t count) { return std::to_string(count); }

// What the row says of one kind, in the order of its JSON keys.
struct KindKeys {
  Kind kind;
  std::string_view list;
  std::vector<std::string_view> words;
};
const std::vector<KindKeys>& all_keys() {
  static const std::vector<KindKeys> keys{{Kind::delivered, "delivered", {"policy", "tls", "auth", "cipher"}},
                                          {Kind::key, "keys", {"sha256"}},
                                          {Kind::tlsa, "records", {"record"}},
                                          {Kind::sts, "policies", {"id"}},
                                          {Kind::failed, "failed", {"outcome", "policy", "reason"}},
                                          {Kind::host, "hosts", {"action", "policy", "reason"}},
                                          {Kind::relaxed, "relaxed", {"by", "detail", "until", "note"}}};
  return keys;
}

json::object sum_to_json(const statistics::Sum& sum) {
  json::object to;
  to["messages"] = sum.messages;
  to["recipients"] = sum.count;
  to["octets"] = sum.octets;
  const bool any = sum.count > 0 || sum.messages > 0;
  to["first"] = any ? json::value(moment(sum.first)) : json::value();
  to["last"] = any ? json::value(moment(sum.last)) : json::value();
  return to;
}

json::object proofs_to_json(const std::array<std::uint64_t, 5>& proofs) {
  json::object to;
  for (const statistics::Proof one : statistics::all_proofs) to[to_text(one)] = proofs[static_cast<std::size_t>(one)];
  return to;
}

json::object line_to_json(const AuditLine& line, const KindKeys& keys) {
  json::object to;
  for (std::size_t i = 0; i < keys.words.size(); ++i) to[keys.words[i]] = text_or_null(line.word(i));
  if (const auto proof = line.proof()) to["proof"] = to_text(*proof);
  for (auto& [key, value] : sum_to_json(line.sum)) to[key] = std::move(value);
  if (line.kind == Kind::failed || line.kind == Kind::host) to.erase("octets");
  if (line.kind == Kind::host) {
    to.erase("recipients");
    to["hosts"] = line.sum.count;
  }
  return to;
}

json::object partner_to_json(const AuditPartner& partner) {
  json::object to;
  for (auto& [key, value] : sum_to_json(partner.delivered)) to[key] = std::move(value);
  to["proofs"] = proofs_to_json(partner.proofs);
  to["failed_attempts"] = partner.failed;
  return to;
}

void print_overview(const Console& console, const AuditReport& report) {
  Table table(console.out, console.width,
              {{"DOMAIN"},
               {"MAILS", to_right},
               {"SIZE", to_right},
               {"DANE", to_right},
               {"STS", to_right},
               {"CERT", to_right},
               {"TLS", to_right},
               {"CLEAR", to_right},
               {"FAILED", to_right}});
  const auto add = [&table](std::string name, const AuditPartner& one) {
    std::vector<std::string> cells{std::move(name), figure(one.delivered.messages), size(one.delivered.octets)};
    for (const std::uint64_t count : one.proofs) cells.push_back(figure(count));
    cells.push_back(figure(one.failed));
    table.add(std::move(cells));
  };
  for (const AuditPartner& one : report.partners) add(audit_domain(one), one);
  if (report.partners.size() > 1) add("all", report.total);
  table.finish();
}

std::vector<std::string> words_or_others(const AuditLine& line, std::size_t count) {
  std::vector<std::string> words = line.words;
  if (words.empty()) words.emplace_back("(others)");
  words.resize(count);
  return words;
}

// The rows of one kind, of all domains.
void print_kind(const Console& console, const AuditReport& report, Kind kind, std::vector<Column> columns) {
  columns.insert(columns.begin(), Column{"DOMAIN"});
  const std::size_t words = columns.size() - 1;
  columns.push_back({kind == Kind::relaxed ? "MAILS" : "TIMES", to_right});
  columns.push_back({"LAST", in_line, whole});
  Table table(console.out, console.width, std::move(columns));
  for (const AuditPartner& partner : report.partners) {
    for (const AuditLine& line : partner.of(kind)) {
      std::vector<std::string> cells = words_or_others(line, words + (kind == Kind::relaxed ? 1 : 0));
      std::string note;
      if (kind == Kind::relaxed) {
        note = std::move(cells.back());
        cells.pop_back();
      }
      cells.insert(cells.begin(), audit_domain(partner));
      cells.push_back(figure(kind == Kind::relaxed ? line.sum.messages : line.sum.count));
      cells.push_back(to_text(statistics::day_of(line.sum.last)));
      table.add(std::move(cells), std::move(note));
    }
  }
  table.finish();
}

bool has(const AuditReport& report, Kind kind) {
  for (const AuditPartner& one : report.partners)
    if (!one.of(kind).empty()) return true;
  return false;
}

void print_section(const Console& console, const AuditReport& report, Kind kind, std::string_view title,
                   std::vector<Column> columns) {
  if (!has(report, kind)) return;
  console.out << '\n' << title << '\n';
  print_kind(console, report, kind, std::move(columns));
}

// What proved one domain's mail, and when.
void print_proofs(const Console& console, const AuditPartner& partner) {
  Table deliveries(
      console.out, console.width,
      {{"POLICY"}, {"TLS"}, {"AUTH"}, {"CIPHER"}, {"MAILS", to_right}, {"SIZE", to_right}, {"FIRST"}, {"LAST"}});
  for (const AuditLine& line : partner.of(Kind::delivered)) {
    std::vector<std::string> cells = words_or_others(line, 4);
    for (std::string cell : {figure(line.sum.messages), size(line.sum.octets),
                             to_text(statistics::day_of(line.sum.first)), to_text(statistics::day_of(line.sum.last))})
      cells.push_back(std::move(cell));
    deliveries.add(std::move(cells));
  }
  console.out << "\nHow mail left:\n";
  deliveries.finish();
  Table proofs(console.out, console.width, {{"WHAT"}, {"MAILS", to_right}, {"FIRST"}, {"LAST"}});
  for (const auto& [kind, name] : {std::pair(Kind::key, "certificate key (SHA-256)"),
                                   std::pair(Kind::tlsa, "TLSA record"), std::pair(Kind::sts, "MTA-STS policy id")}) {
    for (const AuditLine& line : partner.of(kind))
      proofs.add({name, figure(line.sum.messages), moment(line.sum.first), moment(line.sum.last)},
                 line.words.empty() ? "(others)" : line.words.front());
  }
  console.out << "\nWhat it showed, first and last:\n";
  proofs.finish();
}

// What a spreadsheet would take for a formula gets a quote before it: where a cell begins, which is also behind a semicolon where commas
// are decimal, and behind quotes and blanks there.
std::string without_formulas(std::string_view text) {
  std::string tame;
  bool begins = true;
  for (const char c : text) {
    if (begins && std::string_view("=+-@").find(c) != std::string_view::npos) tame += '\'';
    begins = c == ';' || (begins && (c == '"' || c == ' '));
    tame += c;
  }
  return tame;
}

// RFC 4180.
std::string csv_cell(std::string_view text) {
  const std::string clean = without_formulas(printable(text));
  if (clean.find_first_of(",\"") == std::string::npos) return clean;
  std::string quoted = "\"";
  for (const char c : clean) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

}  // namespace

void print_audit(const Console& console, const AuditReport& report) {
  auto& out = console.out;
  out << to_text(report.from) << " to " << to_text(report.to) << " (UTC), " << counted(report.partners.size(), "domain")
      << ", " << counted(report.total.delivered.messages, "message") << ", " << size(report.total.delivered.octets)
      << "\n";
  if (report.since && *report.since > report.from)
    out << "nothing was recorded before " << to_text(*report.since) << '\n';
  out << "\nMails by what proved who took them: DANE, MTA-STS, another certificate that was\nchecked, TLS without a "
         "proof, "
         "in clear; attempts that failed, by recipient.\n";
  print_overview(console, report);
  if (report.partners.size() == 1 && report.partners.front().delivered.messages > 0)
    print_proofs(console, report.partners.front());
  if (!report.never_proved.empty()) {
    std::string names;
    for (const std::string& one : report.never_proved) names += (names.empty() ? "" : " ") + printable(one);
    out << "\nNever proved who took the mail:\n" << wrapped(names, 2, console.width.value_or(80));
  }
  print_section(console, report, Kind::relaxed, "Delivered with less than the rule asks:",
                {{"BY", in_line, whole}, {"WHAT"}, {"UNTIL", in_line, whole}});
  print_section(console, report, Kind::failed, "Attempts that did not end in delivery:",
                {{"OUTCOME", in_line, whole}, {"POLICY", in_line, whole}, {"REASON", in_line, whole}});
  print_section(console, report, Kind::host, "Hosts refused before the next one, or relaxed:",
                {{"ACTION", in_line, whole}, {"POLICY", in_line, whole}, {"REASON", in_line, whole}});
}

json::object audit_to_json(const AuditReport& report) {
  json::object to;
  to["relay"] = clean(report.relay);
  to["made"] = moment(report.made);
  to["from"] = to_text(report.from);
  to["to"] = to_text(report.to);
  to["since"] = report.since ? json::value(to_text(*report.since)) : json::value();
  json::array never;
  for (const std::string& one : report.never_proved) never.emplace_back(clean(one));
  to["never_proved"] = std::move(never);
  to["total"] = partner_to_json(report.total);
  json::array domains;
  for (const AuditPartner& partner : report.partners) {
    json::object one;
    one["domain"] = text_or_null(partner.domain);
    for (auto& [key, value] : partner_to_json(partner)) one[key] = std::move(value);
    for (const KindKeys& keys : all_keys()) {
      json::array lines;
      for (const AuditLine& line : partner.of(keys.kind)) lines.push_back(line_to_json(line, keys));
      one[keys.list] = std::move(lines);
    }
    domains.push_back(std::move(one));
  }
  to["domains"] = std::move(domains);
  return to;
}

std::string audit_to_csv(const AuditReport& report) {
  static constexpr std::array<std::string_view, 13> columns{"policy", "tls",    "auth", "cipher", "outcome",
                                                            "action", "reason", "by",   "detail", "until",
                                                            "note",   "value",  "proof"};
  std::string csv = "domain,kind";
  for (const std::string_view one : columns) csv += "," + std::string(one);
  csv += ",recipients,messages,octets,first,last\r\n";
  for (const AuditPartner& partner : report.partners) {
    for (const KindKeys& keys : all_keys()) {
      for (const AuditLine& line : partner.of(keys.kind)) {
        csv += csv_cell(audit_domain(partner)) + "," + std::string(to_text(line.kind));
        for (const std::string_view column : columns) {
          std::string_view value;
          for (std::size_t i = 0; i < keys.words.size(); ++i) {
            const bool is_value = keys.words.size() == 1 && column == "value";
            if (keys.words[i] == column || is_value) value = line.words.empty() ? "(others)" : line.word(i);
          }
          if (const auto proof = line.proof(); proof && column == "proof") value = to_text(*proof);
          csv += "," + csv_cell(value);
        }
        csv += "," + figure(line.sum.count) + "," + figure(line.sum.messages) + "," + figure(line.sum.octets) + "," +
               moment(line.sum.first) + "," + moment(line.sum.last) + "\r\n";
      }
    }
  }
  return csv;
}

}  // namespace hoplock::daemon::tool
