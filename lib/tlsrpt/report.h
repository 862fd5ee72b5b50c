// SPDX-License-Identifier: Apache-2.0
// A TLS report as a value: RFC 8460 section 4. What is counted, for whom, over which day, and the names that a report carries through
// its body, its mail and its file. Counts come from `classify`; JSON is json.h's.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "base/time.h"
#include "dns/name.h"

namespace hoplock::tlsrpt {

// The ledger keeps the numbers on disk (DUR-06), of this and the next: none is ever renumbered.
enum class PolicyType : std::uint8_t { tlsa = 0, sts = 1, no_policy_found = 2 };
std::string_view to_text(PolicyType type);
std::optional<PolicyType> parse_policy_type(std::string_view text);

// RFC 8460 section 4.3.
enum class ResultType : std::uint8_t {
  starttls_not_supported = 0,
  certificate_host_mismatch = 1,
  certificate_expired = 2,
  certificate_not_trusted = 3,
  validation_failure = 4,
  tlsa_invalid = 5,
  dnssec_invalid = 6,
  dane_required = 7,
  sts_policy_fetch_error = 8,
  sts_policy_invalid = 9,
  sts_webpki_invalid = 10,
};
std::string_view to_text(ResultType type);
std::optional<ResultType> parse_result_type(std::string_view text);

// The policy as it was found, which is what sessions are counted under: texts that changed during the day are policies of
// their own (RPT-11).
struct Policy {
  PolicyType type = PolicyType::no_policy_found;
  std::vector<std::string> text;     // policy-string; none: not known, or there is none
  dns::Name domain;                  // policy-domain: the TLSA base, else the recipient domain
  std::vector<std::string> mx_host;  // the patterns of an sts policy
  auto operator<=>(const Policy&) const = default;
};

// Failed sessions of one kind. What is not known is absent.
struct Failure {
  ResultType type = ResultType::validation_failure;
  std::optional<Ip> sending_ip;
  std::string receiving_host;  // the MX record's name
  std::string receiving_helo;  // as the server announced it, one printable line
  std::optional<Ip> receiving_ip;
  std::string information;  // additional-information: a URI
  std::string reason;       // failure-reason-code, short ASCII
  std::uint64_t sessions = 0;
  bool operator==(const Failure&) const = default;
};

// What became of the sessions under one policy. A session with two defects is one failure with two details; one that succeeded may
// have a detail too (a policy that could not be refreshed, RPT-26).
struct Sessions {
  Policy policy;
  std::uint64_t successes = 0;
  std::uint64_t failures = 0;
  std::vector<Failure> details;
  bool operator==(const Sessions&) const = default;
};

// Who reports. One domain stands in contact-info, From, d=, TLS-Report-Submitter and the file name (RPT-33).
struct Submitter {
  std::string organization;
  std::string contact;  // a mail address
  dns::Name domain;
  // Errors: `contact` or `from` is no mail address, or their domains differ.
  static Result<Submitter> make(std::string organization, std::string contact, std::string_view from);
};

using Day = std::chrono::sys_days;
Time begin_of(Day day);  // 00:00:00Z
Time end_of(Day day);    // 23:59:59Z
inline Day day_of(Time time) { return std::chrono::floor<std::chrono::days>(time); }
std::string to_text(Day day);  // "2025-03-01"
std::optional<Day> parse_day(std::string_view text);

struct Report {
  std::string organization;
  std::string contact;
  std::string id;  // report-id, without angle brackets
  Time begin{};
  Time end{};
  std::vector<Sessions> policies;
  bool operator==(const Report&) const = default;
};

// The left and right side of a msg-id (RFC 5322), so that it can stand in the Subject. The same for the same arguments: a repeated
// report is the same report. `unique` tells several reports about one day apart; letters and digits.
std::string report_id(const Submitter& submitter, const dns::Name& domain, Day day, std::string_view unique);

// `sender!policy-domain!begin!end!unique.json.gz` (section 5.1).
std::string file_name(const Submitter& submitter, const dns::Name& domain, Day day, std::string_view unique);

}  // namespace hoplock::tlsrpt
