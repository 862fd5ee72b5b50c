// SPDX-License-Identifier: Apache-2.0
// What a MIME header says of the body below it (RFC 2045, 2046): type, boundary, transfer encoding, and whether
// somebody has signed or encrypted what is there. Reads and rewrites one header block; knows nothing of bodies.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace hoplock::message {

enum class TransferEncoding : std::uint8_t { identity, quoted_printable, base64, unknown };

struct MimeHeader {
  bool is_mime = false;  // has MIME-Version
  bool has_type = false;
  std::string type = "text/plain";  // lower case
  std::string boundary;
  TransferEncoding encoding = TransferEncoding::identity;
  bool sealed = false;     // a signature covers it, or it is encrypted: what is below must stay as it is
  bool eight_bit = false;  // an octet above 127, NUL, or a lone CR or LF
  bool is_multipart() const { return type.starts_with("multipart/"); }
  bool is_message() const { return type == "message/rfc822"; }
};

// `block`: fields, each with its CRLF, without the empty line.
MimeHeader parse_mime_header(std::string_view block);
// The block without its Content-Transfer-Encoding fields.
std::string without_transfer_encoding(std::string_view block);

}  // namespace hoplock::message
