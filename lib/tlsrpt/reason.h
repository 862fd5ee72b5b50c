// SPDX-License-Identifier: Apache-2.0
// Short ASCII words for failure-reason-code, and what a server called itself, made fit for a report: bounded, printable, without
// anything that is nobody's business (RPT-16, RPT-19, RPT-45). For this module's own sources and tests.
#pragma once
#include <string>
#include <string_view>

#include "hop/names.h"

namespace hoplock::tlsrpt {

inline constexpr std::size_t longest_reason = 100;
inline constexpr std::size_t longest_helo = 100;

// The refusal's code, or nothing.
std::string short_code(const hop::Refusal& refusal);
// The refusal's code, or the beginning of its text.
std::string short_reason(const hop::Refusal& refusal);
// Why a look-up failed, without the addresses of name servers, some of which may be our own.
std::string dnssec_reason(std::string_view why);
std::string clean_helo(std::string_view helo);

}  // namespace hoplock::tlsrpt
