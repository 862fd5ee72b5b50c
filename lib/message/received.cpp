// SPDX-License-Identifier: Apache-2.0
#include "message/received.h"

#include <algorithm>

#include "base/ascii.h"
#include "message/date.h"

namespace hoplock::message {

namespace {

constexpr std::size_t max_token = 255;

// Host names, address literals, ids, cipher names: what has another octet in it gets '?' in its place, so that no
// space, parenthesis, semicolon or line end of the client's gets into the field.
void append_token(std::string& out, std::string_view token) {
  for (const char c : token.substr(0, max_token)) {
    const bool harmless =
        is_digit(c) || is_alpha(c) || (c != '\0' && std::string_view("-._:[]+").find(c) != std::string_view::npos);
    out += harmless ? c : '?';
  }
}

// An address goes in as it is or not at all: it was parsed, so that what is special in it is quoted.
bool is_printable(std::string_view text) {
  return text.size() <= 800 && std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

}  // namespace

std::string to_field(const Received& received) {
  std::string out;
  out.reserve(320);
  out += "Received: from ";
  append_token(out, received.helo.empty() ? "unknown" : received.helo);
  out += " (";
  if (!received.client_name.empty()) {
    append_token(out, received.client_name);
    out += ' ';
  }
  out += received.client.unmapped().literal();
  out += ")\r\n";
  if (!received.tls_version.empty()) {
    out += "\t(";
    append_token(out, received.tls_version);
    out += " cipher ";
    append_token(out, received.tls_cipher);
    out += ")\r\n";
  }
  out += "\tby ";
  append_token(out, received.by);
  out += " with ";
  append_token(out, received.with);
  out += " id ";
  append_token(out, received.id);
  if (!received.for_address.empty() && is_printable(received.for_address)) {
    out += "\r\n\tfor <";
    out += received.for_address;
    out += '>';
  }
  out += ";\r\n\t";
  out += to_rfc5322(received.date);
  out += "\r\n";
  return out;
}

}  // namespace hoplock::message
