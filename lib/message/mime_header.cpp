// SPDX-License-Identifier: Apache-2.0
#include "message/mime_header.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"

namespace hoplock::message {

namespace {

// The first field of `block` with its continuation lines and CRLF.
std::string_view first_field(std::string_view block) {
  std::size_t end = block.find("\r\n");
  while (end != std::string_view::npos && end + 2 < block.size() && is_blank(block[end + 2]))
    end = block.find("\r\n", end + 2);
  return block.substr(0, end == std::string_view::npos ? block.size() : end + 2);
}

bool is_named(std::string_view field, std::string_view name) {
  return equals_ignoring_case(trim(field.substr(0, field.find(':'))), name);
}

std::string_view value_of(std::string_view field) {
  const auto colon = field.find(':');
  return colon == std::string_view::npos ? std::string_view{} : trim(field.substr(colon + 1));
}

// Comments may stand before the first token (RFC 2045 section 5.1).
std::string_view behind_comments(std::string_view text) {
  while (text.starts_with('(')) {
    std::size_t i = 0;
    for (std::size_t depth = 0; i < text.size(); ++i) {
      if (text[i] == '\\') {
        ++i;
      } else if (text[i] == '(') {
        ++depth;
      } else if (text[i] == ')' && --depth == 0) {
        break;
      }
    }
    text = i < text.size() ? trim(text.substr(i + 1)) : std::string_view{};
  }
  return text;
}

// A parameter's value behind "name=": a quoted string or a token; `text` moves behind it.
std::string take_value(std::string_view& text) {
  std::string value;
  std::size_t i = 0;
  if (text.starts_with('"')) {
    for (i = 1; i < text.size() && text[i] != '"'; ++i) {
      if (text[i] == '\\' && i + 1 < text.size()) ++i;
      value += text[i];
    }
  } else {
    while (i < text.size() && text[i] != ';' && !is_blank(text[i]) && text[i] != '\r') value += text[i++];
  }
  text.remove_prefix(std::min(text.size(), i));
  return value;
}

std::string boundary_of(std::string_view value) {
  for (;;) {
    // a semicolon inside a quoted string separates nothing
    std::size_t semicolon = 0;
    for (bool quoted = false; semicolon < value.size() && (quoted || value[semicolon] != ';'); ++semicolon) {
      if (value[semicolon] == '"') quoted = !quoted;
    }
    if (semicolon >= value.size()) return {};
    value.remove_prefix(semicolon + 1);
    const auto equals = value.substr(0, value.find(';')).find('=');  // no further: linear in what semicolons there are
    if (equals == std::string_view::npos) continue;
    if (!equals_ignoring_case(trim(value.substr(0, equals)), "boundary")) continue;
    value = trim(value.substr(equals + 1));
    std::string boundary = take_value(value);
    while (!boundary.empty() && is_blank(boundary.back())) boundary.pop_back();
    return boundary;
  }
}

bool is_sealed(std::string_view type) {
  constexpr std::array<std::string_view, 7> sealed{
      "multipart/signed",         "multipart/encrypted",         "application/pkcs7-mime",
      "application/x-pkcs7-mime", "application/pkcs7-signature", "application/x-pkcs7-signature",
      "application/pgp-encrypted"};
  return std::find(sealed.begin(), sealed.end(), type) != sealed.end();
}

TransferEncoding encoding_of(std::string_view value) {
  const std::string word = to_lower(value.substr(0, value.find_first_of(" \t\r\n;(")));
  if (word == "quoted-printable") return TransferEncoding::quoted_printable;
  if (word == "base64") return TransferEncoding::base64;
  const bool identity = word == "7bit" || word == "8bit" || word == "binary" || word.empty();
  return identity ? TransferEncoding::identity : TransferEncoding::unknown;
}

// A CR or LF that is no part of a CRLF: only BINARYMIME brings one, and a 7-bit line could be ended by it (SUB-08).
bool has_lone_newline(std::string_view block) {
  for (std::size_t i = 0; i < block.size(); ++i) {
    if (block[i] == '\n' && (i == 0 || block[i - 1] != '\r')) return true;
    if (block[i] == '\r' && (i + 1 == block.size() || block[i + 1] != '\n')) return true;
  }
  return false;
}

}  // namespace

MimeHeader parse_mime_header(std::string_view block) {
  MimeHeader header;
  header.eight_bit = std::any_of(block.begin(), block.end(),
                                 [](char c) { return static_cast<unsigned char>(c) >= 0x80 || c == '\0'; }) ||
                     has_lone_newline(block);
  while (!block.empty()) {
    const std::string_view field = first_field(block);
    block.remove_prefix(field.size());
    if (is_named(field, "MIME-Version")) header.is_mime = true;
    if (is_named(field, "DKIM-Signature")) header.sealed = true;
    if (is_named(field, "Content-Transfer-Encoding")) header.encoding = encoding_of(behind_comments(value_of(field)));
    if (!is_named(field, "Content-Type") || header.has_type) continue;
    const std::string_view value = behind_comments(value_of(field));
    header.has_type = true;
    header.type = to_lower(value.substr(0, value.find_first_of("; \t\r\n(")));
    if (header.is_multipart()) header.boundary = boundary_of(value);
    header.sealed = header.sealed || is_sealed(header.type);
  }
  return header;
}

std::string without_transfer_encoding(std::string_view block) {
  std::string kept;
  kept.reserve(block.size());
  while (!block.empty()) {
    const std::string_view field = first_field(block);
    block.remove_prefix(field.size());
    if (!is_named(field, "Content-Transfer-Encoding")) kept += field;
  }
  return kept;
}

}  // namespace hoplock::message
