// SPDX-License-Identifier: Apache-2.0
// The mail that carries a report: RFC 8460 section 5.3, RFC 6522. Composes; signing is dkim's, sending the caller's.
#pragma once
#include <string>

#include "base/time.h"
#include "tlsrpt/report.h"

namespace hoplock::tlsrpt {

struct Mail {
  Submitter submitter;
  std::string from;  // a mail address of the submitter's domain
  std::string to;    // as SMTP writes it
  dns::Name domain;  // that the report is about
  Day day{};
  std::string report_id;
  std::string file_name;
  std::string json_gz;     // the report
  std::string message_id;  // without angle brackets
  Time date{};
};

// The whole message, CRLF at each line's end, 7-bit, `TLS-Required: No` in it (RPT-38), to be signed. The same value gives the same
// octets. REQUIRES: from, to, report_id, file_name and message_id are printable ASCII.
std::string to_message(const Mail& mail);

}  // namespace hoplock::tlsrpt
