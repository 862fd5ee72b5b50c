// SPDX-License-Identifier: Apache-2.0
// The audit as HTML that prints as a report on A4.
#include "daemon/tool/audit_view.h"
#include "daemon/tool/text.h"
#include "page/markup.h"

namespace hoplock::daemon::tool {

namespace {

using statistics::Kind;

constexpr std::size_t longest_text = 4000;  // octets; a note has at most 1000

constexpr std::string_view audit_style = R"(
@page { size: A4; margin: 18mm 15mm 20mm; }
body { font: 10pt/1.4 "Liberation Sans", Arial, sans-serif; color: #111; background: #fff; max-width: 180mm; margin: 0 auto; padding: 4mm; }
h1 { font-size: 17pt; margin: 0 0 2mm; }
h2 { font-size: 12.5pt; margin: 8mm 0 2mm; break-after: avoid; overflow-wrap: anywhere; }
h3 { font-size: 10.5pt; margin: 4mm 0 1mm; break-after: avoid; }
p { margin: 0 0 2mm; }
table { border-collapse: collapse; width: 100%; margin: 0 0 3mm; }
thead { display: table-header-group; }
tr { break-inside: avoid; }
th, td { text-align: left; vertical-align: top; padding: 1mm 1.5mm; border-bottom: 0.2mm solid #bbb; }
th { border-bottom: 0.4mm solid #444; font-weight: bold; }
.n { text-align: right; white-space: nowrap; }
.day { white-space: nowrap; }
.word { overflow-wrap: anywhere; min-width: 34mm; }
.key { overflow-wrap: anywhere; font: 8.5pt/1.35 "Liberation Mono", monospace; }
.method { break-before: page; }
dt { font-weight: bold; margin-top: 2mm; }
dd { margin: 0 0 0 5mm; }
@media screen { .method { border-top: 0.4mm solid #444; margin-top: 12mm; padding-top: 4mm; } }
)";

constexpr std::string_view audit_method = R"(<section class="method">
<h2>Method and terms</h2>
<p>The relay writes these figures down itself. Each attempt to deliver is counted in the same transaction that stores its result, by the
UTC day on which the attempt ended. Nothing is added up afterwards from logs. What is kept: one row for each day, partner domain and proof,
without senders, recipients or content.</p>
<dl>
<dt>Mails</dt><dd>A message, once for each partner domain and attempt that delivered it. It counts again when some of its recipients were
delivered in a later attempt. The size is that of the message as accepted.</dd>
<dt>Recipients, attempts</dt><dd>One for each recipient, as in the relay's log, in its history (hoplock trace) and in its metrics.</dd>
<dt>DANE</dt><dd>The certificate of the receiving server matched a TLSA record that DNSSEC vouches for (RFC 7672).</dd>
<dt>MTA-STS</dt><dd>An MTA-STS policy of the partner governed, and the certificate was valid for a host that it names (RFC 8461).</dd>
<dt>Verified</dt><dd>A certificate of a trusted authority was checked under another rule, such as a route of the operator.</dd>
<dt>Encrypted</dt><dd>TLS, without a proof of who the server is. Somebody between the two who acts could read the mail.</dd>
<dt>Clear</dt><dd>No TLS.</dd>
<dt>Cipher class</dt><dd>pfs-aead: forward secrecy and authenticated encryption (all of TLS 1.3). pfs-cbc: forward secrecy with an older mode.
no-pfs: who gets the server's key later can read what was recorded. anonymous: TLS without any certificate.</dd>
<dt>Policy</dt><dd>The rule that governed the hop: dane, sts, sts-testing, route (the operator's), requiretls (RFC 8689), opportunistic.</dd>
<dt>Certificate key</dt><dd>SHA-256 of the public key that the server showed, as in a TLSA record 3 1 1. A renewed certificate with the same
key is the same line.</dd>
<dt>Less than the rule asks</dt><dd>audit: the rule failed, and the operator only watches. route: an exception of the operator, until when and
why. sender: the sender asked for it (TLS-Required: No). unknown: whether there is a policy could not be found out for 15 minutes.</dd>
<dt>Never proved</dt><dd>Partners that got mail in this time, and of whom no delivery was under DANE, MTA-STS or a verified certificate.</dd>
<dt>Others</dt><dd>A domain's certificates, records and policy ids beyond 24 a day are counted together. So are domains beyond 5,000 a day, and
beyond 2,500 a day those that never got mail before.</dd>
</dl>
</section>
)";

std::string shown(std::string_view foreign) {
  return foreign.empty() ? "" : "<bdi>" + page::escaped(printable(foreign), longest_text) + "</bdi>";
}
std::string html_figure(std::uint64_t count) { return std::to_string(count); }
std::string day_text(Time time) { return to_text(statistics::day_of(time)); }

// The first character of a title says what the column holds: "#" numbers, "." days, "~" words of any length, "=" keys; " " other words.
class HtmlTable {
 public:
  explicit HtmlTable(const std::vector<std::string_view>& titles) {
    html_ = "<table>\n<thead><tr>";
    for (const std::string_view title : titles) {
      classes_.push_back(class_of(title.front()));
      // the title of keys is not in their letters
      const std::string_view of_title = title.front() == '=' ? "" : classes_.back();
      html_ += "<th" + std::string(of_title) + ">" + std::string(title.substr(1)) + "</th>";
    }
    html_ += "</tr></thead>\n<tbody>\n";
  }
  void row(const std::vector<std::string>& cells) {
    html_ += "<tr>";
    for (std::size_t i = 0; i < cells.size(); ++i) html_ += "<td" + std::string(classes_[i]) + ">" + cells[i] + "</td>";
    html_ += "</tr>\n";
  }
  std::string end() const { return html_ + "</tbody>\n</table>\n"; }

 private:
  static std::string_view class_of(char kind) {
    switch (kind) {
      case '#':
        return " class=\"n\"";
      case '.':
        return " class=\"day\"";
      case '~':
        return " class=\"word\"";
      case '=':
        return " class=\"key\"";
      default:
        return "";
    }
  }
  std::vector<std::string_view> classes_;
  std::string html_;
};

std::string overview_table(const AuditReport& report) {
  HtmlTable table({"~Partner", "#Mails", "#Size", "#DANE", "#MTA-STS", "#Verified", "#Encrypted", "#Clear", "#Failed"});
  const auto add = [&table](const std::string& name, const AuditPartner& one) {
    std::vector<std::string> cells{name, html_figure(one.delivered.messages), size(one.delivered.octets)};
    for (const std::uint64_t count : one.proofs) cells.push_back(html_figure(count));
    cells.push_back(html_figure(one.failed));
    table.row(cells);
  };
  for (const AuditPartner& one : report.partners) add(shown(audit_domain(one)), one);
  add("<b>All</b>", report.total);
  return table.end();
}

std::vector<std::string> html_cells(const AuditLine& line, std::size_t count) {
  std::vector<std::string> cells;
  for (std::size_t i = 0; i < count; ++i)
    cells.push_back(line.words.empty() ? (i == 0 ? "(others)" : "") : shown(line.word(i)));
  return cells;
}

// One kind's rows: its words, how often, and when.
std::string kind_table(const AuditPartner& partner, Kind kind, std::string_view title,
                       std::vector<std::string_view> titles) {
  const std::vector<AuditLine> lines = partner.of(kind);
  if (lines.empty()) return "";
  const bool by_count = kind == Kind::failed || kind == Kind::host;
  const bool has_size = kind == Kind::delivered;
  const std::size_t words = titles.size();
  titles.emplace_back(by_count ? "#Times" : "#Mails");
  if (has_size) titles.emplace_back("#Size");
  for (const std::string_view one : {".First", ".Last"}) titles.push_back(one);
  HtmlTable table(titles);
  for (const AuditLine& line : lines) {
    std::vector<std::string> cells = html_cells(line, words);
    cells.push_back(html_figure(by_count ? line.sum.count : line.sum.messages));
    if (has_size) cells.push_back(size(line.sum.octets));
    cells.push_back(day_text(line.sum.first));
    cells.push_back(day_text(line.sum.last));
    table.row(cells);
  }
  return "<h3>" + std::string(title) + "</h3>\n" + table.end();
}

std::string partner_section(const AuditPartner& partner) {
  return "<section>\n<h2>" + shown(audit_domain(partner)) + "</h2>\n" +
         kind_table(partner, Kind::delivered, "How mail left",
                    {" Policy", " TLS", " Proof of the server", " Cipher class"}) +
         kind_table(partner, Kind::key, "Certificate keys", {"=SHA-256 of the public key"}) +
         kind_table(partner, Kind::tlsa, "TLSA records that matched", {"=Record"}) +
         kind_table(partner, Kind::sts, "MTA-STS policies", {"=Policy id"}) +
         kind_table(partner, Kind::relaxed, "Delivered with less than the rule asks",
                    {" By", " What", ".Until", "~Why"}) +
         kind_table(partner, Kind::failed, "Attempts that did not end in delivery",
                    {" Outcome", " Policy", " Reason"}) +
         kind_table(partner, Kind::host, "Hosts refused before the next one, or relaxed",
                    {" Action", " Policy", " Reason"}) +
         "</section>\n";
}

std::string proved_section(const AuditReport& report) {
  std::string html = "<h2>Never proved</h2>\n";
  if (report.never_proved.empty())
    return html + "<p>None: of each partner that got mail some delivery was proved.</p>\n";
  html += "<p>These partners got mail, and no delivery proved who took it:</p>\n<p>";
  for (std::size_t i = 0; i < report.never_proved.size(); ++i)
    html += (i == 0 ? "" : ", ") + shown(report.never_proved[i]);
  return html + "</p>\n";
}

}  // namespace

std::string audit_to_html(const AuditReport& report) {
  const std::string range = to_text(report.from) + " to " + to_text(report.to);
  std::string html =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n";
  html += "<title>How mail left " + page::escaped(printable(report.relay), longest_text) + ", " + range +
          "</title>\n<style>" + std::string(audit_style) + "</style>\n</head>\n<body>\n<h1>How mail left " +
          shown(report.relay) + "</h1>\n<p>" + range + " (UTC), made " + moment(report.made) + "</p>\n";
  if (report.since && *report.since > report.from)
    html += "<p>Nothing was recorded before " + to_text(*report.since) + ".</p>\n";
  html += overview_table(report) + proved_section(report);
  for (const AuditPartner& one : report.partners) html += partner_section(one);
  return html + std::string(audit_method) + "</body>\n</html>\n";
}

}  // namespace hoplock::daemon::tool
