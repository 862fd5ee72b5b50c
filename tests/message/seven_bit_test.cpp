// SPDX-License-Identifier: Apache-2.0
// Conversion to 7-bit MIME: what is rewritten and how, what must stay, and what cannot be converted.
#include "message/seven_bit.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <ctime>

#include "base/ascii.h"

namespace message_seven_bit_test {

using namespace hoplock;
using namespace hoplock::message;

namespace {

struct Converted {
  Obstacle obstacle;
  std::string text;
};

Converted convert(std::string_view content, std::size_t step = 100000) {
  const auto pass = [&](SevenBit& reader) {
    std::string out;
    for (std::string_view rest = content; !rest.empty(); rest.remove_prefix(std::min(step, rest.size())))
      reader.feed(rest.substr(0, step), out);
    reader.finish(out);
    return out;
  };
  SevenBit first;
  CHECK(pass(first).empty());
  if (first.plan().obstacle != Obstacle::none) return {first.plan().obstacle, {}};
  SevenBit second(first.plan());
  return {Obstacle::none, pass(second)};
}

bool is_seven_bit(const std::string& text) {
  std::size_t column = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (static_cast<unsigned char>(c) >= 0x80 || c == '\0' || ++column > 1000) return false;
    if (c == '\r' && (i + 1 == text.size() || text[i + 1] != '\n')) return false;
    if (c == '\n' && (i == 0 || text[i - 1] != '\r')) return false;
    if (c == '\n') column = 0;
  }
  return true;
}

const std::string mixed =
    "From: a@example.net\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n boundary=\"b b\"\r\n"
    "Content-Transfer-Encoding: 8bit\r\n\r\n"
    "Pr\xc3\xa4"
    "ambel\r\n--b b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    "Gr\xc3\xbc\xc3\x9f"
    "e = \r\n\r\n--b b\r\n\r\nplain\r\n--b b \r\n"
    "Content-Type: application/x\r\ncontent-transfer-encoding: binary\r\nX: y\r\n\r\n\xff\xfe\r\n\r\n--b "
    "b--\r\nend\r\n";

}  // namespace

TEST_CASE("MX-18: leaves with 8-bit content are encoded by their type, all else stays octet by octet, in any split") {
  const std::string wanted =
      "From: a@example.net\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n boundary=\"b b\"\r\n\r\n"
      "Pr??ambel\r\n--b b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
      "quoted-printable\r\n\r\n"
      "Gr=C3=BC=C3=9Fe =3D=20\r\n\r\n--b b\r\n\r\nplain\r\n--b b \r\n"
      "Content-Type: application/x\r\nX: y\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
      to_base64("\xff\xfe\r\n") + "\r\n--b b--\r\nend\r\n";
  for (std::size_t step = 1; step < mixed.size(); ++step) {
    CAPTURE(step);
    const Converted got = convert(mixed, step);
    CHECK(got.obstacle == Obstacle::none);
    REQUIRE(got.text == wanted);
  }
}

TEST_CASE("MX-18: a message that is no MIME becomes some, of an unknown 8-bit character set") {
  CHECK(convert("Subject: x\r\n\r\n\xe4\r\n").text ==
        "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n=E4\r\n");
  CHECK(convert("Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n\xe4").text ==
        "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n=E4");
}

TEST_CASE(
    "SUB-20: binary content, lone CR and LF, NUL and endless lines come back as they were from what is made of it") {
  std::string binary;
  for (int i = 0; i < 3000; ++i) binary += static_cast<char>(i * 7 % 256);
  const std::string head = "MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n";
  const Converted got = convert(head + "Content-Transfer-Encoding: binary\r\n\r\n" + binary, 7);
  REQUIRE(got.obstacle == Obstacle::none);
  CHECK(is_seven_bit(got.text));
  const std::string new_head = head + "Content-Transfer-Encoding: base64\r\n\r\n";
  REQUIRE(got.text.starts_with(new_head));
  std::string encoded = got.text.substr(new_head.size());
  std::erase_if(encoded, [](char c) { return c == '\r' || c == '\n'; });
  CHECK(from_base64(encoded) == binary);
  const std::string text = std::string("a\rb\nc\0d", 7) + std::string(2000, 'x') + " \r\n";
  const Converted quoted = convert("Subject: x\r\n\r\n" + text, 13);
  CHECK(is_seven_bit(quoted.text));
  CHECK(quoted.text.find("a=0Db=0Ac=00d") != std::string::npos);
  CHECK(quoted.text.ends_with("=20\r\n"));
}

TEST_CASE("MX-18: what is 7-bit already stays as it is") {
  for (const std::string& text :
       {std::string("Subject: x\r\n\r\nbody\r\n"), std::string("Subject: x\r\n"), std::string(),
        std::string("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
                    "Content-Transfer-Encoding: base64\r\n\r\nYQ==\r\n--b--\r\n")}) {
    CHECK(convert(text).text == text);
  }
}

TEST_CASE("MX-18: a message inside a message is converted where it needs it") {
  const Converted got = convert(
      "MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
      "Subject: inner\r\n\r\n\xe4\r\n");
  CHECK(got.text ==
        "MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=unknown-8bit\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=E4\r\n");
}

TEST_CASE("MX-18: what may not or cannot be converted, and why") {
  struct Row {
    std::string header;
    std::string body;
    Obstacle why;
  };
  const std::string mime = "MIME-Version: 1.0\r\n";
  for (const Row& row : {
           Row{"DKIM-Signature: v=1\r\n", "\xe4\r\n", Obstacle::sealed},
           Row{"dkim-signature : v=1\r\n", "\xe4\r\n", Obstacle::sealed},
           Row{mime + "Content-Type: multipart/signed; boundary=b\r\n", "--b\r\n\r\n\xe4\r\n--b--\r\n",
               Obstacle::sealed},
           Row{mime + "Content-Type: Application/PKCS7-MIME; name=x\r\n", "\xe4\r\n", Obstacle::sealed},
           Row{mime + "Content-Type: multipart/encrypted; boundary=b\r\n", "--b\r\n\r\n\xe4\r\n", Obstacle::sealed},
           Row{mime, "-----BEGIN PGP SIGNED MESSAGE-----\r\n\xe4\r\n", Obstacle::sealed},
           Row{"Subject: \xe4\r\n", "x\r\n", Obstacle::header},
           Row{mime + "Content-Type: multipart/mixed; boundary=b\r\n",
               "--b\r\nContent-Type: image/png; name=\"\xe4.png\"\r\n\r\nx\r\n--b--\r\n", Obstacle::header},
           Row{"X: a\n.\r\nMAIL FROM:<x@y>\r\n", "x\r\n", Obstacle::header},  // SUB-08: no smuggling by BINARYMIME
           Row{"X: a\rb\r\n", "x\r\n", Obstacle::header},
           Row{mime + "Content-Type: multipart/mixed; boundary=\"b\nb\"\r\n", "x\r\n", Obstacle::header},
           Row{mime + "Content-Type: multipart/mixed; boundary=b\r\n", "--b\r\nX: a\n.\r\n\r\nx\r\n--b--\r\n",
               Obstacle::header},
           Row{mime + "Content-Type: message/rfc822\r\n", "X: a\n.\r\n\r\nx\r\n", Obstacle::header},
           Row{mime + "Content-Type: multipart/mixed\r\n", "\xe4\r\n", Obstacle::structure},
           Row{mime + "Content-Transfer-Encoding: base64\r\n", "\xe4\r\n", Obstacle::structure},
           Row{mime + "Content-Transfer-Encoding: x-uuencode\r\n", "\xe4\r\n", Obstacle::structure},
           Row{mime + "Content-Type: message/delivery-status\r\n", "\xe4\r\n", Obstacle::structure},
           Row{"X: " + std::string(300000, 'x') + "\r\n", "\xe4\r\n", Obstacle::structure},
       }) {
    CAPTURE(row.header.substr(0, 100));
    CHECK(convert(row.header + "\r\n" + row.body).obstacle == row.why);
  }
}

TEST_CASE("MX-18: a header of semicolons costs no more than any other") {
  const std::string text = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed" + std::string(200000, ';') +
                           " x; boundary=abc\r\n\r\n--abc\r\n\r\n\xe4\r\n--abc--\r\n";
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) REQUIRE(convert(text).obstacle == Obstacle::none);
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(5));
}

TEST_CASE("MX-18: whether anything needs a conversion is known, whoever signed it") {
  const auto needed = [](const std::string& text) {
    SevenBit first;
    std::string nothing;
    first.feed(text, nothing);
    first.finish(nothing);
    return first.plan().needed;
  };
  const std::string signed_by_others = "DKIM-Signature: v=1\r\n\r\n";
  CHECK_FALSE(needed(signed_by_others + "x\r\n"));
  CHECK_FALSE(
      needed("MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n"));
  for (const char* body : {"\xe4\r\n", "a\nb\r\n", "a\rb\r\n", "a\r"}) CHECK(needed(signed_by_others + body));
  CHECK(needed(signed_by_others + std::string(1, '\0') + "\r\n"));
  CHECK(needed(signed_by_others + std::string(999, 'x') + "\r\n"));
  CHECK(needed("Subject: \xe4\r\n\r\nx\r\n"));
}

TEST_CASE("MX-18: what stands in a digest is a message of its own, and a comment before a type hides nothing") {
  const std::string digest = "MIME-Version: 1.0\r\nContent-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n";
  const Converted got = convert(digest + "Subject: x\r\nMIME-Version: 1.0\r\n\r\n\xe4\r\n--b--\r\n");
  REQUIRE(got.obstacle == Obstacle::none);
  CHECK(got.text == digest +
                        "Subject: x\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
                        "=E4\r\n--b--\r\n");
  CHECK(convert("MIME-Version: 1.0\r\nContent-Type: (a (b)) multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\xe4\r\n")
            .obstacle == Obstacle::sealed);
}

TEST_CASE("MX-18: boundaries: nested, one the beginning of another, quoted, never closed") {
  const std::string text =
      "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; x=\"boundary=no;\"; boundary=abc\r\n\r\n--abc\r\n"
      "Content-Type: multipart/alternative; boundary=abcd\r\n\r\n--abcd\r\n\r\n\xe4\r\n--abcde\r\n--abcd\r\n"
      "Content-Type: text/html\r\n\r\n\xf6\r\n--abc\r\n\r\n--abcx\r\n\xfc";
  const Converted got = convert(text, 3);
  REQUIRE(got.obstacle == Obstacle::none);
  CHECK(is_seven_bit(got.text));
  CHECK(got.text.find("\r\n\r\n=E4\r\n--abcde\r\n--abcd\r\n") != std::string::npos);
  CHECK(got.text.find("\r\n\r\n=F6\r\n--abc\r\n") != std::string::npos);
  CHECK(got.text.ends_with("\r\n\r\n--abcx\r\n=FC"));
}

TEST_CASE("BND-01: nesting without end costs what the octets cost, and is refused") {
  const auto nested = [](int levels) {
    std::string text = "MIME-Version: 1.0\r\n";
    for (int i = 0; i < levels; ++i) {
      const std::string boundary = "b" + std::to_string(i);
      text += "Content-Type: multipart/mixed; boundary=" + boundary + "\r\n\r\n--" + boundary + "\r\n";
    }
    return text + "\r\n\xc3\xa4\r\n";
  };
  CHECK(convert(nested(20)).obstacle == Obstacle::none);
  const auto time = [&](int levels) {
    const std::string text = nested(levels);
    const auto begin = std::clock();  // of the processor: the machine may be busy
    CHECK(convert(text).obstacle == Obstacle::structure);
    return std::chrono::milliseconds(1000 * (std::clock() - begin) / CLOCKS_PER_SEC);
  };
  time(1000);
  CHECK(time(100'000) < std::chrono::seconds(1));  // 7 MB
}

TEST_CASE("MX-18: what is 7-bit lines needs nothing, however deep it nests") {
  std::string text = "MIME-Version: 1.0\r\n";
  for (int i = 0; i < 100; ++i) {
    const std::string boundary = "b" + std::to_string(i);
    text += "Content-Type: multipart/mixed; boundary=" + boundary + "\r\n\r\n--" + boundary + "\r\n";
  }
  SevenBit plain;
  std::string out;
  plain.feed(text + "\r\nplain\r\n", out);
  plain.finish(out);
  CHECK_FALSE(plain.plan().needed);
  SevenBit long_line;
  long_line.feed(text + "\r\n" + std::string(3000, 'x') + "\r\n", out);
  long_line.finish(out);
  CHECK(long_line.plan().needed);
  CHECK_FALSE(long_line.plan().lines);
}

}  // namespace message_seven_bit_test
