// SPDX-License-Identifier: Apache-2.0
#include "tlsrpt/json.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "base/utf8.h"

namespace hoplock::tlsrpt {

namespace json = boost::json;

namespace {
json::string string_of(std::string_view text) { return json::string(sanitized(text, Charset::i_json)); }

json::array array_of(const std::vector<std::string>& texts) {
  json::array array;
  array.reserve(texts.size());
  for (const auto& text : texts) array.emplace_back(string_of(text));
  return array;
}

std::string datetime(Time time) {
  std::string text = to_rfc3339(std::chrono::floor<Seconds>(time));
  return text.substr(0, 19) + "Z";  // section 4.4: no fraction
}

json::object to_value(const Policy& policy) {
  json::object object;
  object["policy-type"] = to_text(policy.type);
  if (!policy.text.empty()) object["policy-string"] = array_of(policy.text);
  object["policy-domain"] = policy.domain.text();
  // erratum 6241: an array, and not the host that was contacted
  if (policy.type == PolicyType::sts && !policy.mx_host.empty()) object["mx-host"] = array_of(policy.mx_host);
  return object;
}

json::object to_value(const Failure& failure) {
  json::object object;
  object["result-type"] = to_text(failure.type);
  if (failure.sending_ip) object["sending-mta-ip"] = failure.sending_ip->unmapped().text();
  if (!failure.receiving_host.empty()) object["receiving-mx-hostname"] = string_of(failure.receiving_host);
  if (!failure.receiving_helo.empty()) object["receiving-mx-helo"] = string_of(failure.receiving_helo);
  if (failure.receiving_ip) object["receiving-ip"] = failure.receiving_ip->unmapped().text();
  object["failed-session-count"] = failure.sessions;
  if (!failure.information.empty()) object["additional-information"] = string_of(failure.information);
  if (!failure.reason.empty()) object["failure-reason-code"] = string_of(failure.reason);
  return object;
}

json::object to_value(const Sessions& sessions) {
  json::object summary;
  summary["total-successful-session-count"] = sessions.successes;
  summary["total-failure-session-count"] = sessions.failures;
  json::object object;
  object["policy"] = to_value(sessions.policy);
  object["summary"] = std::move(summary);
  if (sessions.details.empty()) return object;
  json::array details;
  details.reserve(sessions.details.size());
  for (const auto& detail : sessions.details) details.emplace_back(to_value(detail));
  object["failure-details"] = std::move(details);
  return object;
}
}  // namespace

std::string to_json(const Report& report) {
  json::object range;
  range["start-datetime"] = datetime(report.begin);
  range["end-datetime"] = datetime(report.end);
  json::array policies;
  policies.reserve(report.policies.size());
  for (const auto& one : report.policies) policies.emplace_back(to_value(one));
  json::object object;
  object["organization-name"] = string_of(report.organization);
  object["date-range"] = std::move(range);
  object["contact-info"] = string_of(report.contact);
  object["report-id"] = string_of(report.id);
  object["policies"] = std::move(policies);
  return json::serialize(object);
}

}  // namespace hoplock::tlsrpt
