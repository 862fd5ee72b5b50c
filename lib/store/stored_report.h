// SPDX-License-Identifier: Apache-2.0
// What the ledger of TLS reports keeps in the same way whatever keeps it, and how a report is made of it.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "store/ledger.h"

namespace hoplock::store {

// Lists of lines in one column.
std::string join_lines(const std::vector<std::string>& lines);
std::vector<std::string> split_lines(std::string_view text);

// `tag` tells reports about one day apart.
tlsrpt::Report report_about(const ReportKey& key, const tlsrpt::Submitter& submitter, std::string_view tag,
                            std::vector<tlsrpt::Sessions> policies);

}  // namespace hoplock::store
