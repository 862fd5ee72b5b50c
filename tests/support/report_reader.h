// SPDX-License-Identifier: Apache-2.0
// Reads a report as strictly as tlsrpt::to_json is exact. The product never reads one of its own.
#pragma once
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "base/ascii.h"
#include "base/result.h"
#include "tlsrpt/json.h"

namespace hoplock::tlsrpt {

namespace json = boost::json;

namespace strict {
constexpr std::int64_t greatest_count = (std::int64_t{1} << 53) - 1;  // RFC 7493 section 2.2
constexpr std::size_t most_octets = std::size_t{64} << 20;
constexpr std::size_t deepest = 8;

// Members of one object are taken one after the other; what is left at the end was not expected. The first complaint is kept,
// and from then on everything is empty.
class Object {
 public:
  Object(const json::value& value, std::string name, std::optional<std::string>& complaint)
      : object_(value.if_object()), name_(std::move(name)), complaint_(complaint) {
    if (object_ == nullptr) complain("is no object");
  }

  void end() {
    if (object_ != nullptr && taken_ != object_->size()) complain("has members that no report has");
  }

  const json::value* find(std::string_view key) {
    const json::value* value = object_ == nullptr ? nullptr : object_->if_contains(key);
    if (value != nullptr) ++taken_;
    return value;
  }
  const json::value& get(std::string_view key) {
    static const json::value nothing;
    const json::value* value = find(key);
    if (value == nullptr) complain("lacks " + std::string(key));
    return value == nullptr ? nothing : *value;
  }

  std::string text(std::string_view key) { return text_of(get(key), key); }
  std::string optional_text(std::string_view key) {
    const json::value* value = find(key);
    return value == nullptr ? std::string() : text_of(*value, key);
  }
  std::vector<std::string> optional_texts(std::string_view key) {
    std::vector<std::string> texts;
    const json::value* value = find(key);
    if (value == nullptr) return texts;
    for (const auto& item : array_of(*value, key)) texts.push_back(text_of(item, key));
    return texts;
  }
  std::uint64_t count(std::string_view key) {
    const json::value& value = get(key);
    const auto* number = value.if_int64();
    if (number == nullptr || *number < 0 || *number > greatest_count) complain(std::string(key) + " is no count");
    return number == nullptr ? 0 : static_cast<std::uint64_t>(*number);
  }
  Time time(std::string_view key) {
    const std::string value = text(key);
    const auto time = parse_rfc3339(value);
    if (!time || value.size() != 20) complain(std::string(key) + " is no UTC date-time");
    return time.value_or(Time{});
  }
  std::optional<Ip> optional_ip(std::string_view key) {
    const std::string value = optional_text(key);
    if (value.empty()) return std::nullopt;
    const auto ip = Ip::parse(value);
    if (!ip || ip->text() != value) complain(std::string(key) + " is no address as RFC 5952 writes it");
    return ip ? std::optional(*ip) : std::nullopt;
  }
  const json::array& array_of(const json::value& value, std::string_view key) {
    static const json::array nothing;
    const auto* array = value.if_array();
    if (array == nullptr || array->empty()) complain(std::string(key) + " is no array, or an empty one");
    return array == nullptr ? nothing : *array;
  }
  void complain(std::string_view what) {
    if (!complaint_) complaint_ = name_ + " " + std::string(what);
  }

 private:
  std::string text_of(const json::value& value, std::string_view key) {
    const auto* string = value.if_string();
    if (string == nullptr || string->empty()) complain(std::string(key) + " is no text, or an empty one");
    return string == nullptr ? std::string() : std::string(*string);
  }

  const json::object* object_;
  std::string name_;
  std::optional<std::string>& complaint_;
  std::size_t taken_ = 0;
};

using Complaint = std::optional<std::string>;

inline Policy read_policy(const json::value& value, Complaint& complaint) {
  Object object(value, "policy", complaint);
  Policy policy;
  const auto type = parse_policy_type(object.text("policy-type"));
  if (!type) object.complain("has an unknown policy-type");
  policy.type = type.value_or(PolicyType::no_policy_found);
  // lines of a policy may be empty
  if (const auto* strings = object.find("policy-string")) {
    for (const auto& line : object.array_of(*strings, "policy-string")) {
      const auto* text = line.if_string();
      if (text == nullptr) object.complain("has a policy-string that is no text");
      policy.text.emplace_back(text == nullptr ? std::string() : std::string(*text));
    }
  }
  const std::string domain = object.text("policy-domain");
  const auto name = dns::Name::parse(domain);
  if (!name || name->text() != domain) object.complain("has a policy-domain that is no name in A-labels");
  if (name) policy.domain = *name;
  policy.mx_host = object.optional_texts("mx-host");
  if (!policy.mx_host.empty() && policy.type != PolicyType::sts) object.complain("has an mx-host, but is not sts");
  object.end();
  return policy;
}

inline Failure read_failure(const json::value& value, Complaint& complaint) {
  Object object(value, "failure-details", complaint);
  Failure failure;
  const auto type = parse_result_type(object.text("result-type"));
  if (!type) object.complain("has an unknown result-type");
  failure.type = type.value_or(ResultType::validation_failure);
  failure.sending_ip = object.optional_ip("sending-mta-ip");
  failure.receiving_host = object.optional_text("receiving-mx-hostname");
  failure.receiving_helo = object.optional_text("receiving-mx-helo");
  failure.receiving_ip = object.optional_ip("receiving-ip");
  failure.sessions = object.count("failed-session-count");
  failure.information = object.optional_text("additional-information");
  failure.reason = object.optional_text("failure-reason-code");
  object.end();
  return failure;
}

inline Sessions read_sessions(const json::value& value, Complaint& complaint) {
  Object object(value, "policies", complaint);
  Sessions sessions;
  sessions.policy = read_policy(object.get("policy"), complaint);
  Object summary(object.get("summary"), "summary", complaint);
  sessions.successes = summary.count("total-successful-session-count");
  sessions.failures = summary.count("total-failure-session-count");
  summary.end();
  if (const auto* details = object.find("failure-details")) {
    for (const auto& detail : object.array_of(*details, "failure-details")) {
      sessions.details.push_back(read_failure(detail, complaint));
    }
  }
  object.end();
  return sessions;
}

inline Report read_report(const json::value& value, Complaint& complaint) {
  Object object(value, "report", complaint);
  Report report;
  report.organization = object.text("organization-name");
  Object range(object.get("date-range"), "date-range", complaint);
  report.begin = range.time("start-datetime");
  report.end = range.time("end-datetime");
  range.end();
  report.contact = object.text("contact-info");
  report.id = object.text("report-id");
  const json::value& policies = object.get("policies");
  for (const auto& one : object.array_of(policies, "policies"))
    report.policies.push_back(read_sessions(one, complaint));
  object.end();
  return report;
}

// Of a member that stands twice the parser keeps one (RFC 7493 section 2.3 forbids it): then the text has more colons outside its
// strings than the value has members.
inline std::size_t colons(std::string_view text) {
  std::size_t found = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (!quoted && text[i] == ':') {
      ++found;
    }
  }
  return found;
}

inline std::size_t members(const json::value& value) {
  std::size_t found = 0;
  if (const auto* object = value.if_object()) {
    found += object->size();
    for (const auto& member : *object) found += members(member.value());
  } else if (const auto* array = value.if_array()) {
    for (const auto& item : *array) found += members(item);
  }
  return found;
}
}  // namespace strict

// Errors: anything that `to_json` does not write, but for white space and the order of members: unknown members, members that stand
// twice or are missing, empty strings, counts that are no whole numbers below 2^53, dates with an offset.
inline Result<Report> parse_report(std::string_view text) {
  using namespace strict;
  if (text.size() > most_octets) return bad_input("the report is too large");
  json::parse_options options;
  options.max_depth = deepest;
  error_code error;
  const json::value value = json::parse(text, error, {}, options);
  if (error) return bad_input("the report is no JSON: " + error.message());
  if (colons(text) != members(value)) return bad_input("a member stands twice in the report");
  Complaint complaint;
  Report report = read_report(value, complaint);
  if (complaint) return bad_input(*complaint);
  return report;
}

}  // namespace hoplock::tlsrpt
