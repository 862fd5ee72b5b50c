// SPDX-License-Identifier: Apache-2.0
#include "hop/names.h"

#include <doctest/doctest.h>

#include <set>
#include <vector>

namespace hop_names_test {

using namespace hoplock::hop;

TEST_CASE("every reason has its word, its code and its kind, and is parsed back from its word") {
  struct Row {
    Reason reason;
    const char* text;
    const char* code;
    bool policy;
    Kind kind = Kind::policy;
  };
  const std::vector<Row> rows{
      {Reason::starttls_not_supported, "starttls-not-supported", "7.321", true},
      {Reason::certificate_expired, "certificate-expired", "7.322", true},
      {Reason::tlsa_invalid, "tlsa-invalid", "7.323", true},
      {Reason::dnssec_invalid, "dnssec-invalid", "7.324", true},
      {Reason::certificate_host_mismatch, "certificate-host-mismatch", "7.325", true},
      {Reason::mx_not_in_policy, "mx-not-in-policy", "4.8", true},
      {Reason::certificate_not_trusted, "certificate-not-trusted", "7.5", true},
      {Reason::validation_failure, "validation-failure", "7.5", true},
      {Reason::dane_required, "dane-required", "7.5", true},
      {Reason::sts_policy_fetch_error, "sts-policy-fetch-error", "7.5", true},
      {Reason::sts_policy_invalid, "sts-policy-invalid", "7.5", true},
      {Reason::sts_webpki_invalid, "sts-webpki-invalid", "7.5", true},
      {Reason::requiretls_not_supported, "requiretls-not-supported", "7.30", true},
      {Reason::tls_required_no, "tls-required-no", "", false, Kind::waived},
      {Reason::connect_timeout, "connect-timeout", "4.1", false, Kind::transport},
      {Reason::connect_refused, "connect-refused", "4.1", false, Kind::transport},
      {Reason::connection_lost, "connection-lost", "4.2", false, Kind::transport},
      {Reason::dns_failure, "dns-failure", "4.3", false, Kind::lookup},
      {Reason::smtp_reply, "smtp-reply", "", false, Kind::reply},
  };
  std::set<std::string_view> words;
  for (const auto& row : rows) {
    CAPTURE(row.text);
    CHECK(to_text(row.reason) == row.text);
    CHECK(code(row.reason) == row.code);
    CHECK(is_policy(row.reason) == row.policy);
    CHECK(kind(row.reason) == row.kind);
    CHECK(parse_reason(row.text) == row.reason);
    words.insert(row.text);
  }
  CHECK(words.size() == static_cast<std::size_t>(Reason::smtp_reply) + 1);  // none is left out
  CHECK(all_reasons().size() == words.size());
  CHECK_FALSE(parse_reason(""));
  CHECK_FALSE(parse_reason("TLSA-INVALID"));
  CHECK_FALSE(parse_reason("tlsa-invalid "));
}

TEST_CASE("policies and proofs are told in CONTRACT's words") {
  CHECK(to_text(Policy::opportunistic) == "opportunistic");
  CHECK(to_text(Policy::dane) == "dane");
  CHECK(to_text(Policy::sts) == "sts");
  CHECK(to_text(Policy::sts_testing) == "sts-testing");
  CHECK(to_text(Policy::route) == "route");
  CHECK(to_text(Policy::requiretls) == "requiretls");
  CHECK(to_text(Auth::none) == "none");
  CHECK(to_text(Auth::dane_ee) == "dane-ee");
  CHECK(to_text(Auth::dane_ta) == "dane-ta");
  CHECK(to_text(Auth::pkix) == "pkix");
}

}  // namespace hop_names_test
