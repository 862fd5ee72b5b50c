// SPDX-License-Identifier: Apache-2.0
#include "probe/reporting.h"

#include <utility>

namespace hoplock::probe {

Reporting reporting_of(dns::Name domain, const dns::Answer& answer) {
  Reporting to;
  to.domain = std::move(domain);
  to.texts = answer.all<std::string>();
  to.failed = answer.failed();
  to.choice = tlsrpt::choose_record(to.texts);
  to.error = to.failed ? "the record cannot be looked up: " + answer.why : to.choice.why;
  if (to.choice.state == tlsrpt::Choice::State::none && !to.texts.empty())
    to.error = "no TXT record here begins with v=TLSRPTv1;";
  return to;
}

}  // namespace hoplock::probe
