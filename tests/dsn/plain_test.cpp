// SPDX-License-Identifier: Apache-2.0
#include "dsn/plain.h"

#include <doctest/doctest.h>

#include "base/utf8.h"
#include "dsn/notice.h"
#include "tests/dsn/samples.h"

namespace dsn_plain_test {

using namespace hoplock;
using namespace hoplock::dsn;
using namespace hoplock::dsn::samples;

namespace {

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

const std::string utf8_message =
    "From: δοκιμή@contoso.com\r\nSubject: Grüße\r\nMessage-ID: <1@contoso.com>\r\n\r\nbody ü\r\n";

Notice international() {
  Recipient recipient = refused();
  recipient.address = "δ@παράδειγμα.example";
  recipient.reply = "550 5.1.1 <δ@παράδειγμα.example> no such user";
  Notice some = notice(recipient);
  some.script = Script::utf8;
  return some;
}

}  // namespace

TEST_CASE("DSN-14: a notice about SMTPUTF8 mail has the parts of RFC 6533, with addresses as they are") {
  Content content = headers(utf8_message);
  content.octets = Content::Octets::eight_bit;
  const Text text = compose(international(), content);
  CHECK(text.script == Script::utf8);
  CHECK(text.octets == Content::Octets::eight_bit);
  CHECK(is_utf8(text.head));
  CHECK(has(text.head, "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"));
  CHECK(has(text.head, "\r\n<δ@παράδειγμα.example>\r\n"));
  CHECK(has(text.head, "\r\nContent-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"));
  CHECK(has(text.head, "\r\nFinal-Recipient: utf-8; δ@παράδειγμα.example\r\n"));
  CHECK(
      text.head.ends_with("\r\nContent-Type: message/global-headers\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
                          "From: δοκιμή@contoso.com\r\nSubject: Grüße\r\nMessage-ID: <1@contoso.com>\r\n"));
  content.what = Return::message;
  const Text full = compose(international(), content);
  CHECK(full.head.ends_with("\r\nContent-Type: message/global\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"));
}

TEST_CASE("DSN-14: to a sender in UTF-8 it goes under his own name") {
  Notice some = international();
  some.to = "δοκιμή@contoso.com";
  CHECK(has(whole(some, headers(utf8_message)), "\r\nTo: <δοκιμή@contoso.com>\r\n"));
  some.to = "δ\r\nBcc: x@evil.example";
  CHECK_FALSE_MESSAGE(has(whole(some, headers(utf8_message)), "\r\nBcc:"), "no field comes in by an address");
}

TEST_CASE("DSN-14: what the header holds that is no UTF-8 goes back encoded, under the old type") {
  const std::string text = whole(international(), headers("Subject: caf\xe9\r\n\r\n"));
  CHECK(has(text,
            "\r\nContent-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nSubject: "
            "caf=E9\r\n"));
  CHECK(is_utf8(text));
}

TEST_CASE("DSN-14: for a way back without SMTPUTF8 addresses are written in ASCII, and all else is 7-bit") {
  for (const Return what : {Return::headers, Return::message, Return::nothing}) {
    Content content = headers(utf8_message);
    content.what = what;
    content.octets = Content::Octets::eight_bit;
    const std::string plain = to_plain(whole(international(), content));
    CHECK(is_ascii(plain));
    CHECK_FALSE(has(plain, "8bit"));
    CHECK(has(plain, "\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; relay.example.net\r\n"));
    CHECK(has(plain, "\r\nFinal-Recipient: utf-8; \\x{3B4}@\\x{3C0}\\x{3B1}"));
    CHECK(has(plain, "\r\n<=CE=B4@=CF=80"));
    CHECK(has(plain, "Subject: Gr=C3=BC=C3=9Fe\r\n") == (what != Return::nothing));
    CHECK_FALSE(has(plain, "body"));
    CHECK(plain.ends_with("\r\n--=_hoplock-5f2e9a7c31d0--\r\n"));
  }
}

TEST_CASE("to_plain: what it was not made for comes back bounded and whole, and cut notices end well") {
  Content content = headers(utf8_message);
  content.what = Return::message;
  const std::string text = whole(international(), content);
  for (std::size_t cut = 0; cut < text.size(); ++cut) {
    const std::string plain = to_plain(std::string_view(text).substr(0, cut));
    CHECK(plain.size() < 4 * text.size() + 64);
  }
  CHECK(to_plain("no header at all") == "no header at all");
}

}  // namespace dsn_plain_test
