// SPDX-License-Identifier: Apache-2.0
// The parameters of MAIL and RCPT as a client gives them: SIZE (RFC 1870), BODY (RFC 6152, 3030), AUTH (RFC 4954), SMTPUTF8 (RFC 6531),
// RET, ENVID, NOTIFY and ORCPT (RFC 3461), REQUIRETLS (RFC 8689). Syntax only, each at most once; whether what they ask for can be had is the Session's to say.
#pragma once
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "smtp/command.h"
#include "smtp/envelope.h"

namespace hoplock::smtp {

struct MailParameters {
  std::uint64_t size = 0;  // 0: not given; a number too large for us is the largest there is
  Body body = Body::seven_bit;
  bool smtputf8 = false;
  bool require_tls = false;
  Ret ret = Ret::unset;
  std::string envid;
};

struct RcptParameters {
  std::uint8_t notify = 0;
  std::string orcpt;
};

struct BadParameter {
  enum class Kind : std::uint8_t { unknown, malformed } kind = Kind::unknown;
  std::string why;  // of a malformed one: "Bad SIZE"
};

std::variant<MailParameters, BadParameter> parse_mail_parameters(const std::vector<Parameter>& parameters);
std::variant<RcptParameters, BadParameter> parse_rcpt_parameters(const std::vector<Parameter>& parameters);

}  // namespace hoplock::smtp
