// SPDX-License-Identifier: Apache-2.0
// A detached CMS signature (RFC 5652) over a report: who has the certificate can tell that not an octet was changed. For a file of its
// own, or in one message with the report (RFC 8551), for standard output.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace hoplock::daemon::tool {

// DER. `pem` holds the private key, its certificate, and whatever else of the chain is to go with the signature. The error is a sentence.
Result<std::string> cms_signature(std::string_view pem, std::string_view content);

// multipart/signed: the report as it is, but for the ends of its lines, which are CRLF, below a head of its own; and its signature. One that
// `openssl cms -verify` reads without an option, and a mail program shows.
struct ReportPart {
  std::string subject;
  std::string media_type;  // "text/csv"; the text is UTF-8
  std::string file_name;
  std::string text;
};
Result<std::string> signed_message(std::string_view pem, const ReportPart& part);

}  // namespace hoplock::daemon::tool
