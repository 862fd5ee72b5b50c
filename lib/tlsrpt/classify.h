// SPDX-License-Identifier: Apache-2.0
// From what a hop met to what is reported of it: policies, counts and result types of RFC 8460 section 4. One call for each outbound
// connection, once its TLS step ended, and one for each host that a policy refused before connecting; none for a connection that
// is used again. It reads the facts as they were found, not what the operator made of them: a policy that was only watched, or in
// testing mode, is judged like one that binds (RPT-28).
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "hop/outcome.h"
#include "hop/plan.h"
#include "tlsrpt/report.h"

namespace hoplock::tlsrpt {

// The domain whose report a hop belongs to, and at which its TLSRPT record is looked up (RPT-05): the recipient domain, or the name of
// a configured host. Nothing for an address literal or a name of an inner network (exch01.contoso.local): nobody is reported to.
std::optional<dns::Name> report_domain(const hop::Facts& facts);

// What `hop::decide` was asked.
struct Question {
  const hop::Facts& facts;
  const hop::LocalRule& rule;
};

// The two ends of a connection, as far as they may be told. `sending_ip` is the one that the world sees, behind NAT too (RPT-18), and
// absent where that is not known.
struct Ends {
  std::optional<Ip> sending_ip;
  std::optional<Ip> receiving_ip;
};

// One element a policy that applied, each with one session and a count of one; no two of the same policy. Empty: the connection is
// not counted (RPT-10: it ended before its TLS step), adds nothing (the second try in clear, RPT-07), or nobody asked for TLS.
// REQUIRES: `plan` was decided from `question` or is hop::in_clear of that.
std::vector<Sessions> classify(const Question& question, const hop::Connect& plan, const hop::Outcome& outcome,
                               const Ends& ends);
// A host refused before connecting counts as one failed session when its TLSA records or the STS policy did it.
std::vector<Sessions> classify(const Question& question, const hop::Refuse& refused);

}  // namespace hoplock::tlsrpt
