// SPDX-License-Identifier: Apache-2.0
// One SMTP command line taken apart (RFC 5321 section 4.1). Syntax only: order and policy are the Session's, what a
// mailbox is is Mailbox's. Views point into the line that was parsed and live as long as it.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace hoplock::smtp {

enum class Verb : std::uint8_t {
  ehlo,
  helo,
  mail,
  rcpt,
  data,
  bdat,
  rset,
  noop,
  quit,
  vrfy,
  help,
  starttls,
  auth,
  unimplemented,  // known and not served: EXPN, SEND, SOML, SAML, TURN, ETRN
  http,           // a request of another protocol; see is_http_request
  unknown,
};

// RFC 5321 section 4.1.2: esmtp-keyword ["=" esmtp-value].
struct Parameter {
  std::string_view keyword;
  std::optional<std::string_view> value;
};

// RFC 3030 section 2: how many octets follow the command line.
struct Chunk {
  std::uint64_t octets = 0;
  bool last = false;
};

struct Command {
  Verb verb = Verb::unknown;
  std::string_view argument;  // all behind the verb, without blanks around it
  std::string_view path;      // MAIL, RCPT: between the angle brackets
  std::vector<Parameter> parameters;
  std::optional<Chunk> chunk;  // BDAT, also when it is not well-formed; nothing: nobody can say what belongs to it
  bool well_formed = true;     // false: a known verb whose argument has not the form it must have
};

// `line` is without its CRLF. A blank after "FROM:" or "TO:" and blanks at the end of the line are let pass; nothing
// else is.
Command parse_command(std::string_view line);
// "GET / HTTP/1.1" and its kin, under any method, and header lines: a browser made to speak to the mail port, or
// message content that was never asked for. Never obeyed, whatever its body holds: the session ends at its first line.
bool is_http_request(std::string_view line);

}  // namespace hoplock::smtp
