// SPDX-License-Identifier: Apache-2.0
// The TLS-RPT part of a finding: whether a domain wants reports, and where they could go (RFC 8460 section 3). Pure: asking is done
// elsewhere.
#pragma once
#include <string>
#include <vector>

#include "dns/answer.h"
#include "tlsrpt/record.h"

namespace hoplock::probe {

struct Reporting {
  dns::Name domain;  // at which the record stands: the recipient domain, or the name of a route's first host (RPT-05)
  std::vector<std::string> texts;  // the TXT records at _smtp._tls.<domain>, whatever they say
  tlsrpt::Choice choice;
  bool failed = false;  // nothing could be found out
  std::string error;    // what is wrong; "": nothing
};

Reporting reporting_of(dns::Name domain, const dns::Answer& answer);

}  // namespace hoplock::probe
