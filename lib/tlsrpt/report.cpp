// SPDX-License-Identifier: Apache-2.0
#include "tlsrpt/report.h"

#include <algorithm>
#include <array>

namespace hoplock::tlsrpt {

namespace {
constexpr std::array<std::string_view, 3> policy_words{"tlsa", "sts", "no-policy-found"};
constexpr std::array<std::string_view, 11> result_words{"starttls-not-supported", "certificate-host-mismatch",
                                                        "certificate-expired",    "certificate-not-trusted",
                                                        "validation-failure",     "tlsa-invalid",
                                                        "dnssec-invalid",         "dane-required",
                                                        "sts-policy-fetch-error", "sts-policy-invalid",
                                                        "sts-webpki-invalid"};

template <class Enum, std::size_t size>
std::optional<Enum> parse_word(const std::array<std::string_view, size>& words, std::string_view text) {
  const auto word = std::find(words.begin(), words.end(), text);
  if (word == words.end()) return std::nullopt;
  return static_cast<Enum>(word - words.begin());
}

std::optional<dns::Name> domain_of(std::string_view address) {
  const std::size_t at = address.rfind('@');
  if (at == std::string_view::npos || at == 0) return std::nullopt;
  auto name = dns::Name::parse(address.substr(at + 1));
  return name && !name->is_root() ? std::optional(std::move(*name)) : std::nullopt;
}

std::int64_t unix_seconds(Time time) { return std::chrono::floor<Seconds>(time).time_since_epoch().count(); }

}  // namespace

std::string_view to_text(PolicyType type) { return policy_words.at(static_cast<std::size_t>(type)); }
std::optional<PolicyType> parse_policy_type(std::string_view text) {
  return parse_word<PolicyType>(policy_words, text);
}
std::string_view to_text(ResultType type) { return result_words.at(static_cast<std::size_t>(type)); }
std::optional<ResultType> parse_result_type(std::string_view text) {
  return parse_word<ResultType>(result_words, text);
}

Result<Submitter> Submitter::make(std::string organization, std::string contact, std::string_view from) {
  auto domain = domain_of(contact);
  if (!domain) return bad_input("\"" + contact + "\" is no mail address");
  const auto from_domain = domain_of(from);
  if (!from_domain) return bad_input("\"" + std::string(from) + "\" is no mail address");
  if (*from_domain != *domain) {
    return bad_input("reports come from " + from_domain->text() + " but name a contact at " + domain->text() +
                     "; receivers want both to be one domain");
  }
  return Submitter{std::move(organization), std::move(contact), std::move(*domain)};
}

Time begin_of(Day day) { return Time{day}; }
Time end_of(Day day) { return Time{day} + std::chrono::days{1} - Seconds{1}; }

std::string to_text(Day day) { return to_rfc3339(Time{day}).substr(0, 10); }

std::optional<Day> parse_day(std::string_view text) {
  if (text.size() != 10) return std::nullopt;
  const auto time = parse_rfc3339(std::string(text) + "T00:00:00Z");
  return time ? std::optional(day_of(*time)) : std::nullopt;
}

std::string report_id(const Submitter& submitter, const dns::Name& domain, Day day, std::string_view unique) {
  return to_text(day) + "." + domain.text() + "." + std::string(unique) + "@" + submitter.domain.text();
}

std::string file_name(const Submitter& submitter, const dns::Name& domain, Day day, std::string_view unique) {
  return submitter.domain.text() + "!" + domain.text() + "!" + std::to_string(unix_seconds(begin_of(day))) + "!" +
         std::to_string(unix_seconds(end_of(day))) + "!" + std::string(unique) + ".json.gz";
}

}  // namespace hoplock::tlsrpt
