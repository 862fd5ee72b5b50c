// SPDX-License-Identifier: Apache-2.0
#include "tlsrpt/foreign.h"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <vector>

#include "base/ascii.h"
#include "message/mime_header.h"
#include "tlsrpt/gzip.h"

namespace hoplock::tlsrpt {

namespace json = boost::json;

namespace {

constexpr std::size_t deepest_json = 16;
constexpr int deepest_part = 4;
constexpr std::size_t most_parts = 64;
constexpr std::size_t most_items = 100'000;  // policies and details together

// --- JSON

const json::value* find(const json::value& in, std::string_view key) {
  const auto* object = in.if_object();
  return object == nullptr ? nullptr : object->if_contains(key);
}

std::string text_of(const json::value& in, std::string_view key) {
  const json::value* value = find(in, key);
  const auto* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string() : std::string(*text);
}

// An array of texts, or one text in place of it.
std::vector<std::string> texts_of(const json::value& in, std::string_view key) {
  std::vector<std::string> texts;
  const json::value* value = find(in, key);
  if (value == nullptr) return texts;
  if (const auto* one = value->if_string()) texts.emplace_back(*one);
  if (const auto* all = value->if_array()) {
    for (const auto& item : *all) {
      if (const auto* text = item.if_string()) texts.emplace_back(*text);
    }
  }
  return texts;
}

std::uint64_t count_of(const json::value& in, std::string_view key) {
  const json::value* value = find(in, key);
  if (value == nullptr) return 0;
  if (const auto* number = value->if_int64()) return *number > 0 ? static_cast<std::uint64_t>(*number) : 0;
  if (const auto* number = value->if_uint64()) return *number;
  const auto* text = value->if_string();
  return text == nullptr ? 0 : parse_decimal(std::string_view(*text)).value_or(0);
}

std::optional<Ip> ip_of(const json::value& in, std::string_view key) {
  const auto ip = Ip::parse(text_of(in, key));
  return ip ? std::optional(*ip) : std::nullopt;
}

Failure failure_of(const json::value& in) {
  Failure failure;
  const std::string word = text_of(in, "result-type");
  const auto type = parse_result_type(word);
  failure.type = type.value_or(ResultType::validation_failure);
  failure.sending_ip = ip_of(in, "sending-mta-ip");
  failure.receiving_host = text_of(in, "receiving-mx-hostname");
  failure.receiving_helo = text_of(in, "receiving-mx-helo");
  failure.receiving_ip = ip_of(in, "receiving-ip");
  failure.sessions = count_of(in, "failed-session-count");
  failure.information = text_of(in, "additional-information");
  failure.reason = text_of(in, "failure-reason-code");
  if (!type && !word.empty()) failure.reason = word + (failure.reason.empty() ? "" : ": " + failure.reason);
  return failure;
}

Sessions sessions_of(const json::value& in) {
  static const json::value nothing;
  const json::value* policy = find(in, "policy");
  const json::value* summary = find(in, "summary");
  Sessions sessions;
  if (policy == nullptr) policy = &nothing;
  if (summary == nullptr) summary = &nothing;
  sessions.policy.type = parse_policy_type(text_of(*policy, "policy-type")).value_or(PolicyType::no_policy_found);
  sessions.policy.text = texts_of(*policy, "policy-string");
  if (auto name = dns::Name::parse(text_of(*policy, "policy-domain"))) sessions.policy.domain = std::move(*name);
  sessions.policy.mx_host = texts_of(*policy, "mx-host");
  sessions.successes = count_of(*summary, "total-successful-session-count");
  sessions.failures = count_of(*summary, "total-failure-session-count");
  const json::value* details = find(in, "failure-details");
  if (details != nullptr && details->is_object()) sessions.details.push_back(failure_of(*details));
  if (details != nullptr && details->is_array()) {
    for (const auto& one : details->get_array()) sessions.details.push_back(failure_of(one));
  }
  return sessions;
}

Result<Report> report_in(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  json::parse_options options;
  options.max_depth = deepest_json;
  options.allow_invalid_utf8 = true;
  error_code error;
  const json::value value = json::parse(text, error, {}, options);
  if (error) return bad_input("it is no JSON: " + error.message());
  const json::value* policies = find(value, "policies");
  if (policies == nullptr || !policies->is_array())
    return bad_input("it is JSON, but no TLS report: it has no policies");
  static const json::value nothing;
  const json::value* range = find(value, "date-range");
  if (range == nullptr) range = &nothing;
  Report report;
  report.organization = text_of(value, "organization-name");
  report.contact = text_of(value, "contact-info");
  report.id = text_of(value, "report-id");
  report.begin = parse_rfc3339(text_of(*range, "start-datetime")).value_or(Time{});
  report.end = parse_rfc3339(text_of(*range, "end-datetime")).value_or(Time{});
  std::size_t items = 0;
  for (const auto& one : policies->get_array()) {
    report.policies.push_back(sessions_of(one));
    items += 1 + report.policies.back().details.size();
    if (items > most_items)
      return bad_input("it has more than " + std::to_string(most_items) + " policies and failures");
  }
  return report;
}

// --- mail

struct Part {
  message::MimeHeader header;
  std::string_view body;
};

// REQUIRES: lines end in CRLF.
Part part_of(std::string_view text) {
  const auto end = text.starts_with("\r\n") ? 0 : text.find("\r\n\r\n");
  Part part;
  if (end == std::string_view::npos) return part;
  const std::size_t block = end == 0 ? 0 : end + 2;
  part.header = message::parse_mime_header(text.substr(0, block));
  part.body = text.substr(block + 2);
  return part;
}

Result<std::string> decoded(const Part& part) {
  if (part.header.encoding == message::TransferEncoding::identity) return std::string(part.body);
  if (part.header.encoding != message::TransferEncoding::base64)
    return bad_input("the report in the mail has a transfer encoding that reports never have");
  std::string packed;
  for (const char c : part.body) {
    if (c > ' ') packed += c;
  }
  auto octets = from_base64(packed);
  if (!octets) return bad_input("the report in the mail is no base64");
  return std::move(*octets);
}

bool carries_report(const message::MimeHeader& header) {
  constexpr std::string_view types[] = {"application/tlsrpt+gzip", "application/tlsrpt+json", "application/gzip",
                                        "application/x-gzip", "application/json"};
  return std::find(std::begin(types), std::end(types), header.type) != std::end(types);
}

// The first part that carries a report; nothing: there is none.
std::optional<Result<std::string>> report_in_part(std::string_view text, int depth, std::size_t& parts) {
  if (depth > deepest_part || ++parts > most_parts) return std::nullopt;
  const Part part = part_of(text);
  if (carries_report(part.header)) return decoded(part);
  if (part.header.is_message()) return report_in_part(part.body, depth + 1, parts);
  if (!part.header.is_multipart() || part.header.boundary.empty()) return std::nullopt;
  const std::string mark = "--" + part.header.boundary;
  std::size_t at = part.body.starts_with(mark) ? 0 : part.body.find("\r\n" + mark);
  while (at != std::string_view::npos) {
    const std::size_t line = part.body.find("\r\n", at == 0 ? 0 : at + 2);
    if (line == std::string_view::npos) return std::nullopt;
    const std::size_t next = part.body.find("\r\n" + mark, line);
    if (auto found = report_in_part(part.body.substr(line + 2, next == std::string_view::npos ? next : next - line - 2),
                                    depth + 1, parts))
      return found;
    at = next;
  }
  return std::nullopt;
}

std::string with_crlf(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 32);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) out += '\r';
    out += text[i];
  }
  return out;
}

bool is_gzip(std::string_view octets) { return octets.starts_with("\x1f\x8b"); }

bool is_json(std::string_view octets) {
  const auto first = octets.find_first_not_of(" \t\r\n\xef\xbb\xbf");
  return first != std::string_view::npos && octets[first] == '{';
}

Result<Report> unpacked(std::string_view octets) {
  if (!is_gzip(octets)) return report_in(octets);
  const auto json = gunzip(octets, most_foreign_octets);
  if (!json) return json.error();
  return report_in(*json);
}

}  // namespace

Result<Report> read_foreign(std::string_view octets) {
  if (octets.size() > most_foreign_octets) return bad_input("it is larger than a report may be");
  if (is_gzip(octets) || is_json(octets)) return unpacked(octets);
  std::size_t parts = 0;
  const std::string mail = with_crlf(octets);
  const auto found = report_in_part(mail, 0, parts);
  if (!found) return bad_input("it is neither a report (JSON, or gzip of it) nor a mail with one");
  if (!*found) return found->error();
  return unpacked(**found);
}

}  // namespace hoplock::tlsrpt
