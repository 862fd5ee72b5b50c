// SPDX-License-Identifier: Apache-2.0
#include "store/stored_report.h"

#include <utility>

namespace hoplock::store {

std::string join_lines(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) (text += line) += '\n';
  return text;
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  return lines;
}

tlsrpt::Report report_about(const ReportKey& key, const tlsrpt::Submitter& submitter, std::string_view tag,
                            std::vector<tlsrpt::Sessions> policies) {
  tlsrpt::Report report;
  report.organization = submitter.organization;
  report.contact = submitter.contact;
  report.id = tlsrpt::report_id(submitter, key.domain, key.day, tag);
  report.begin = tlsrpt::begin_of(key.day);
  report.end = tlsrpt::end_of(key.day);
  report.policies = std::move(policies);
  return report;
}

}  // namespace hoplock::store
