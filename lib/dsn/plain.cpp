// SPDX-License-Identifier: Apache-2.0
#include "dsn/plain.h"

#include <algorithm>

#include "base/utf8.h"
#include "dsn/wrap.h"
#include "message/transfer_encoding.h"

namespace hoplock::dsn {

namespace {

constexpr std::string_view end_of_header = "\r\n\r\n";
constexpr std::string_view quoted = "Content-Transfer-Encoding: quoted-printable\r\n\r\n";

// With its line ends, and taken off `text`.
std::string_view take_line(std::string_view& text) {
  const auto end = text.find("\r\n");
  const std::string_view line = text.substr(0, end == std::string_view::npos ? text.size() : end + 2);
  text.remove_prefix(line.size());
  return line;
}

std::string without_encoding(std::string_view header) {
  std::string out;
  while (!header.empty()) {
    const std::string_view line = take_line(header);
    if (!line.starts_with("Content-Transfer-Encoding:")) out += line;
  }
  return out;
}

std::string status(std::string_view fields) {
  constexpr std::string_view recipient = "Final-Recipient: utf-8; ";
  std::string out;
  while (!fields.empty()) {
    std::string_view line = take_line(fields);
    if (line.starts_with(recipient) && line.ends_with("\r\n")) {
      const std::string_view address = line.substr(recipient.size(), line.size() - recipient.size() - 2);
      out += std::string(recipient) + to_utf8_addr_xtext(address) + "\r\n";
      continue;
    }
    std::string rest(line);
    std::replace_if(
        rest.begin(), rest.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
    out += rest;
  }
  return out;
}

std::string part(std::string_view octets) {
  const auto end = octets.find(end_of_header);
  const std::string_view header = octets.substr(0, end == std::string_view::npos ? octets.size() : end + 2);
  std::string_view body =
      end == std::string_view::npos ? std::string_view{} : octets.substr(end + end_of_header.size());
  if (header.starts_with("Content-Type: text/plain"))
    return "Content-Type: text/plain; charset=utf-8\r\n" + std::string(quoted) + message::quoted_printable(body);
  if (header.starts_with("Content-Type: message/global-delivery-status"))
    return "Content-Type: message/delivery-status\r\n\r\n" + status(body);
  if (header.starts_with("Content-Type: message/global")) {
    const auto last = body.find(end_of_header);
    if (last != std::string_view::npos) body = body.substr(0, last + 2);
    return "Content-Type: message/global-headers\r\n" + std::string(quoted) + message::quoted_printable(body);
  }
  return std::string(octets);
}

}  // namespace

std::string to_plain(std::string_view notice) {
  constexpr std::string_view mark = "boundary=\"";
  const auto end = notice.find(end_of_header);
  const std::string_view header = notice.substr(0, end == std::string_view::npos ? 0 : end + 2);
  const auto begin = header.find(mark);
  if (begin == std::string_view::npos) return std::string(notice);
  std::string_view boundary = header.substr(begin + mark.size());
  boundary = boundary.substr(0, boundary.find('"'));
  const std::string delimiter = "\r\n--" + std::string(boundary);
  std::string out = without_encoding(header) + "\r\n";
  std::string_view rest = notice.substr(end + 2);
  auto next = rest.find(delimiter);
  out += rest.substr(2, next == std::string_view::npos ? 0 : next - 2);
  while (next != std::string_view::npos) {
    rest.remove_prefix(next + delimiter.size());
    if (!rest.starts_with("\r\n")) break;
    rest.remove_prefix(2);
    next = rest.find(delimiter);
    out += delimiter + "\r\n" + part(rest.substr(0, next));
  }
  return out + delimiter + "--\r\n";
}

}  // namespace hoplock::dsn
