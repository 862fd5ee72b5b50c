// SPDX-License-Identifier: Apache-2.0
#include "tlsrpt/mail.h"

#include "base/ascii.h"
#include "message/date.h"

namespace hoplock::tlsrpt {

namespace {
// No line of base64 begins with a hyphen, nor does one of the text below.
constexpr std::string_view boundary = "=_hoplock-tlsrpt";

void add_field(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  out += value;
  out += "\r\n";
}

std::string header_of(const Mail& mail) {
  const std::string& submitter = mail.submitter.domain.text();
  std::string out;
  add_field(out, "From", "<" + mail.from + ">");
  add_field(out, "To", "<" + mail.to + ">");
  add_field(out, "Date", message::to_rfc5322(mail.date));
  // RFC 8460 section 5.3: unfolded, one space between the parts
  add_field(out, "Subject",
            "Report Domain: " + mail.domain.text() + "\r\n Submitter: " + submitter + "\r\n Report-ID: <" +
                mail.report_id + ">");
  add_field(out, "Message-ID", "<" + mail.message_id + ">");
  add_field(out, "TLS-Report-Domain", mail.domain.text());
  add_field(out, "TLS-Report-Submitter", submitter);
  add_field(out, "TLS-Required", "No");
  add_field(out, "Auto-Submitted", "auto-generated");
  add_field(out, "MIME-Version", "1.0");
  add_field(out, "Content-Type",
            "multipart/report; report-type=\"tlsrpt\";\r\n\tboundary=\"" + std::string(boundary) + "\"");
  return out + "\r\n";
}

std::string text_part(const Mail& mail) {
  const std::string& submitter = mail.submitter.domain.text();
  return "Content-Type: text/plain; charset=us-ascii\r\n"
         "Content-Transfer-Encoding: 7bit\r\n"
         "\r\n"
         "This is a report about TLS between the mail servers of two domains (RFC 8460).\r\n"
         "It is meant for programs and attached as compressed JSON.\r\n"
         "\r\n"
         "Mail sent to:   " +
         mail.domain.text() + "\r\nBy:             " + submitter + "\r\nOn the day:     " + to_text(mail.day) +
         " (UTC)\r\nReport-ID:      " + mail.report_id + "\r\n\r\n" + "The TXT record at _smtp._tls." +
         mail.domain.text() + "\r\nasks for these reports.\r\n";
}

std::string report_part(const Mail& mail) {
  std::string out = "Content-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n";
  out += "Content-Disposition: attachment;\r\n\tfilename=\"" + mail.file_name + "\"\r\n\r\n";
  return out + to_base64_lines(mail.json_gz);
}
}  // namespace

std::string to_message(const Mail& mail) {
  const std::string delimiter = "--" + std::string(boundary);
  return header_of(mail) + delimiter + "\r\n" + text_part(mail) + "\r\n" + delimiter + "\r\n" + report_part(mail) +
         "\r\n" + delimiter + "--\r\n";
}

}  // namespace hoplock::tlsrpt
