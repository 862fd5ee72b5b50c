// SPDX-License-Identifier: Apache-2.0
// A notice in UTF-8 around whatever a message's header and its recipients hold, and its plain form: the one is UTF-8, the other ASCII, both
// end as they must, and no line of a server's or a client's making becomes a field.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/utf8.h"
#include "dsn/notice.h"
#include "dsn/plain.h"

using namespace hoplock;

namespace {

void require(bool held) {
  if (!held) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  if (input.find("=_hoplock-") != std::string::npos) return 0;  // nobody knows the boundary beforehand
  const auto cut = input.find('\n');
  dsn::Recipient recipient;
  recipient.address = input.substr(0, cut);
  recipient.status = "5.1.1";
  recipient.reply = input;
  dsn::Notice notice;
  notice.script = dsn::Script::utf8;
  notice.hostname = "relay.example.net";
  notice.from = "postmaster@relay.example.net";
  notice.to = "ann@contoso.com";
  notice.message_id = "1@relay.example.net";
  notice.boundary = "=_hoplock-5f2e9a7c31d0";
  notice.id = "0D5K2M7QZ3";
  notice.recipients.push_back(recipient);
  for (const auto what : {dsn::Return::nothing, dsn::Return::headers, dsn::Return::message}) {
    dsn::Content content;
    content.what = what;
    content.octets = dsn::Content::Octets::eight_bit;
    content.beginning = input;
    const dsn::Text text = dsn::compose(notice, content);
    require(is_utf8(text.head) && text.script == dsn::Script::utf8);
    const std::string whole = text.head + (what == dsn::Return::message ? input : "") + text.tail;
    const std::string plain = dsn::to_plain(whole);
    require(is_ascii(plain));
    require(plain.ends_with("\r\n--=_hoplock-5f2e9a7c31d0--\r\n"));
    const auto begin = plain.find("\r\nContent-Type: message/delivery-status\r\n\r\n");
    require(begin != std::string::npos);
    const std::string status = plain.substr(begin, plain.find("\r\n--=_hoplock", begin) - begin);
    const auto first = status.find("\nFinal-Recipient: ");
    require(first != std::string::npos && status.find("\nFinal-Recipient: ", first + 1) == std::string::npos);
  }
  dsn::to_plain(input);
  return 0;
}
