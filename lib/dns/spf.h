// SPDX-License-Identifier: Apache-2.0
// Whether an SPF record lets mail come from an address, as far as the record itself and the addresses of its name say (RFC 7208). Nothing
// is looked up here: what needs other names is not known.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"

namespace hoplock::dns {

// The one SPF record among the texts of a name; nothing: there is none, or several, and then it counts as none.
std::optional<std::string> spf_record(const std::vector<std::string>& texts);

enum class Spf : std::uint8_t { passes, fails, unknown };
// `own`: the addresses of the record's own name.
Spf judge_spf(std::string_view record, const Ip& ip, const std::vector<Ip>& own);

}  // namespace hoplock::dns
