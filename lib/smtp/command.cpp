// SPDX-License-Identifier: Apache-2.0
#include "smtp/command.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/ascii.h"

namespace hoplock::smtp {

namespace {

constexpr std::array<std::pair<std::string_view, Verb>, 19> verbs{{
    {"EHLO", Verb::ehlo},          {"HELO", Verb::helo},          {"MAIL", Verb::mail},
    {"RCPT", Verb::rcpt},          {"DATA", Verb::data},          {"RSET", Verb::rset},
    {"NOOP", Verb::noop},          {"QUIT", Verb::quit},          {"VRFY", Verb::vrfy},
    {"HELP", Verb::help},          {"STARTTLS", Verb::starttls},  {"BDAT", Verb::bdat},
    {"AUTH", Verb::auth},          {"EXPN", Verb::unimplemented}, {"SEND", Verb::unimplemented},
    {"SOML", Verb::unimplemented}, {"SAML", Verb::unimplemented}, {"TURN", Verb::unimplemented},
    {"ETRN", Verb::unimplemented},
}};

std::string_view without_trailing_blanks(std::string_view text) {
  const auto last = text.find_last_not_of(" \t");
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

// RFC 5321 section 4.1.2: esmtp-keyword is letters, digits and '-'; a value holds no '=' and no control.
bool is_keyword(std::string_view text) {
  return !text.empty() && text.front() != '-' &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_alpha(c) || is_digit(c) || c == '-'; });
}
bool is_value(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    const auto octet = static_cast<unsigned char>(c);
    return octet > 0x20 && octet != 0x7f && c != '=';
  });
}

// Where the '>' is that closes the path, quoted strings passed over; npos: nowhere.
std::size_t path_end(std::string_view text) {
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (text[i] == '>' && !quoted) {
      return i;
    }
  }
  return std::string_view::npos;
}

bool parse_parameters(std::string_view text, Command& command) {
  while (!text.empty()) {
    if (text.front() != ' ') return false;
    text.remove_prefix(1);
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(word.size());
    const auto equals = word.find('=');
    Parameter parameter{word.substr(0, equals), std::nullopt};
    if (equals != std::string_view::npos) parameter.value = word.substr(equals + 1);
    if (!is_keyword(parameter.keyword) || (parameter.value && !is_value(*parameter.value))) return false;
    command.parameters.push_back(parameter);
  }
  return true;
}

// "FROM:<path> parameters" with `prefix` "FROM:".
bool parse_path(std::string_view text, std::string_view prefix, Command& command) {
  if (text.size() < prefix.size() || !equals_ignoring_case(text.substr(0, prefix.size()), prefix)) return false;
  text.remove_prefix(prefix.size());
  if (text.starts_with(' ')) text.remove_prefix(1);
  if (!text.starts_with('<')) return false;
  text.remove_prefix(1);
  const auto end = path_end(text);
  if (end == std::string_view::npos) return false;
  command.path = text.substr(0, end);
  return parse_parameters(text.substr(end + 1), command);
}

// "1000 LAST": how much follows is told even when the rest is wrong, so that it can be passed over (SUB-19).
bool parse_chunk(std::string_view text, Command& command) {
  const std::string_view size = text.substr(0, text.find(' '));
  const auto octets = parse_decimal(size);
  if (!octets) return false;
  const std::string_view rest = text.substr(size.size());
  command.chunk = Chunk{*octets, equals_ignoring_case(rest, " LAST")};
  return rest.empty() || command.chunk->last;
}

}  // namespace

Command parse_command(std::string_view line) {
  Command command;
  line = without_trailing_blanks(line);
  if (is_http_request(line)) {
    command.verb = Verb::http;
    return command;
  }
  const std::string_view word = line.substr(0, line.find(' '));
  const auto known = std::find_if(verbs.begin(), verbs.end(),
                                  [&](const auto& verb) { return equals_ignoring_case(word, verb.first); });
  if (known == verbs.end()) {
    return command;
  }
  command.verb = known->second;
  if (word.size() < line.size()) command.argument = line.substr(word.size() + 1);
  switch (command.verb) {
    case Verb::mail:
      command.well_formed = parse_path(command.argument, "FROM:", command);
      break;
    case Verb::rcpt:
      command.well_formed = parse_path(command.argument, "TO:", command);
      break;
    case Verb::bdat:
      command.well_formed = parse_chunk(command.argument, command);
      break;
    case Verb::data:
    case Verb::rset:
    case Verb::quit:
    case Verb::starttls:
      command.well_formed = command.argument.empty();
      break;
    case Verb::ehlo:
    case Verb::helo:
      command.well_formed =
          !command.argument.empty() && command.argument.size() <= 255 &&
          std::all_of(command.argument.begin(), command.argument.end(), [](char c) { return c > ' ' && c < 0x7f; });
      break;
    case Verb::vrfy:
    case Verb::auth:
      command.well_formed = !command.argument.empty();
      break;
    case Verb::noop:
    case Verb::help:
    case Verb::unimplemented:
    case Verb::http:
    case Verb::unknown:
      break;
  }
  return command;
}

bool is_http_request(std::string_view line) {
  constexpr std::array<std::string_view, 9> methods{"GET",    "POST",    "PUT",   "HEAD", "OPTIONS",
                                                    "DELETE", "CONNECT", "PATCH", "TRACE"};
  line = without_trailing_blanks(line);
  const std::string_view word = line.substr(0, line.find(' '));
  // "Host: x": also what is left of a request whose first line was too long. No verb of ours has a colon.
  if (word.size() > 1 && word.find(':') != std::string_view::npos) return true;
  if (word.size() == line.size()) return false;
  if (std::find(methods.begin(), methods.end(), word) != methods.end()) return true;
  // Any method at all, a verb of ours among them: "NOOP / HTTP/1.1" is what a browser can be made to send.
  const std::string_view last = line.substr(line.rfind(' ') + 1);
  return last.size() > 5 && last.starts_with("HTTP/") &&
         last.find_first_not_of("0123456789.", 5) == std::string_view::npos;
}

}  // namespace hoplock::smtp
