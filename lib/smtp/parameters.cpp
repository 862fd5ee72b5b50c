// SPDX-License-Identifier: Apache-2.0
#include "smtp/parameters.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/ascii.h"
#include "smtp/mailbox.h"
#include "smtp/xtext.h"

namespace hoplock::smtp {

namespace {

bool take_size(std::string_view value, MailParameters& wanted) {
  if (value.empty() || value.size() > 20 || !std::all_of(value.begin(), value.end(), is_digit)) return false;
  wanted.size = parse_decimal(value).value_or(UINT64_MAX);
  return true;
}

bool take_body(std::string_view value, MailParameters& wanted) {
  const bool eight = equals_ignoring_case(value, "8BITMIME");
  const bool binary = equals_ignoring_case(value, "BINARYMIME");
  wanted.body = binary ? Body::binary_mime : eight ? Body::eight_bit_mime : Body::seven_bit;
  return binary || eight || equals_ignoring_case(value, "7BIT");
}

// RFC 4954 section 5. We vouch for nobody: whatever is said counts as AUTH=<> and is not kept (SUB-25).
bool take_auth(std::string_view value, MailParameters& /*wanted*/) {
  if (value == "<>") return true;
  const auto decoded = from_xtext(value);
  if (!decoded || decoded->empty()) return false;
  return std::holds_alternative<Mailbox>(Mailbox::parse(*decoded));
}

bool take_smtputf8(std::string_view value, MailParameters& wanted) {
  wanted.smtputf8 = true;
  return value.empty();
}

bool take_require_tls(std::string_view value, MailParameters& wanted) {
  wanted.require_tls = true;
  return value.empty();
}

bool take_ret(std::string_view value, MailParameters& wanted) {
  wanted.ret = parse_ret(value).value_or(Ret::unset);
  return wanted.ret != Ret::unset;
}

bool take_envid(std::string_view value, MailParameters& wanted) {
  wanted.envid = value;
  return is_envid(value);
}

bool take_notify(std::string_view value, RcptParameters& wanted) {
  wanted.notify = parse_notify(value).value_or(0);
  return wanted.notify != 0;
}

bool take_orcpt(std::string_view value, RcptParameters& wanted) {
  wanted.orcpt = value;
  return parse_orcpt(value).has_value();
}

template <class Wanted>
struct Known {
  std::string_view keyword;
  bool (*take)(std::string_view value, Wanted& wanted);
};
constexpr std::array<Known<MailParameters>, 7> known_to_mail{{{"SIZE", take_size},
                                                              {"BODY", take_body},
                                                              {"AUTH", take_auth},
                                                              {"SMTPUTF8", take_smtputf8},
                                                              {"RET", take_ret},
                                                              {"ENVID", take_envid},
                                                              {"REQUIRETLS", take_require_tls}}};
constexpr std::array<Known<RcptParameters>, 2> known_to_rcpt{{{"NOTIFY", take_notify}, {"ORCPT", take_orcpt}}};

template <class Wanted, std::size_t N>
std::variant<Wanted, BadParameter> parse_with(const std::array<Known<Wanted>, N>& all,
                                              const std::vector<Parameter>& parameters) {
  Wanted wanted;
  std::array<bool, N> seen{};
  for (const Parameter& parameter : parameters) {
    const auto* known = std::find_if(
        all.begin(), all.end(), [&](const auto& one) { return equals_ignoring_case(one.keyword, parameter.keyword); });
    if (known == all.end()) return BadParameter{BadParameter::Kind::unknown, {}};
    bool& repeated = seen.at(static_cast<std::size_t>(known - all.begin()));
    if (repeated || !known->take(parameter.value.value_or(""), wanted))
      return BadParameter{BadParameter::Kind::malformed, "Bad " + std::string(known->keyword)};
    repeated = true;
  }
  return wanted;
}

}  // namespace

std::variant<MailParameters, BadParameter> parse_mail_parameters(const std::vector<Parameter>& parameters) {
  return parse_with(known_to_mail, parameters);
}

std::variant<RcptParameters, BadParameter> parse_rcpt_parameters(const std::vector<Parameter>& parameters) {
  return parse_with(known_to_rcpt, parameters);
}

}  // namespace hoplock::smtp
