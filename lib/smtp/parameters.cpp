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
  wanted.body = eight ? Body::eight_bit_mime : Body::seven_bit;
  return eight || equals_ignoring_case(value, "7BIT");
}

// RFC 4954 section 5. We vouch for nobody: whatever is said counts as AUTH=<> and is not kept (SUB-25).
bool take_auth(std::string_view value, MailParameters& /*wanted*/) {
  if (value == "<>") return true;
  const auto decoded = from_xtext(value);
  if (!decoded || decoded->empty()) return false;
  return std::holds_alternative<Mailbox>(Mailbox::parse(*decoded));
}

struct Known {
  std::string_view keyword;
  bool (*take)(std::string_view value, MailParameters& wanted);
};
constexpr std::array<Known, 3> known_to_mail{{{"SIZE", take_size}, {"BODY", take_body}, {"AUTH", take_auth}}};

}  // namespace

std::variant<MailParameters, BadParameter> parse_mail_parameters(const std::vector<Parameter>& parameters) {
  MailParameters wanted;
  std::array<bool, known_to_mail.size()> seen{};
  for (const Parameter& parameter : parameters) {
    const auto* known = std::find_if(known_to_mail.begin(), known_to_mail.end(), [&](const Known& one) {
      return equals_ignoring_case(one.keyword, parameter.keyword);
    });
    if (known == known_to_mail.end()) return BadParameter{BadParameter::Kind::unknown, {}};
    bool& repeated = seen.at(static_cast<std::size_t>(known - known_to_mail.begin()));
    if (repeated || !known->take(parameter.value.value_or(""), wanted))
      return BadParameter{BadParameter::Kind::malformed, "Bad " + std::string(known->keyword)};
    repeated = true;
  }
  return wanted;
}

}  // namespace hoplock::smtp
