// SPDX-License-Identifier: Apache-2.0
// DATA content in and out: end of data, dots, line ends, sizes, at every split.
#include <doctest/doctest.h>

#include <string>

#include "smtp/data_decoder.h"
#include "smtp/dot_stuffer.h"

namespace smtp_data_test {

using namespace hoplock::smtp;

namespace {

struct Decoded {
  std::string content;
  std::string rest;  // octets behind the end of data
  bool finished = false;
  Content verdict = Content::good;
  std::uint64_t size = 0;
};

Decoded decode(std::string_view octets, std::size_t step, BareNewline mode, std::uint64_t limit = 1U << 30U) {
  DataDecoder decoder(mode, limit);
  Decoded decoded;
  while (!octets.empty() && !decoder.finished()) {
    const auto piece = octets.substr(0, step);
    const std::size_t used = decoder.feed(piece, decoded.content);
    CHECK(used <= piece.size());
    CHECK((used == piece.size() || decoder.finished()));
    octets.remove_prefix(used);
  }
  decoded.rest = octets;
  decoded.finished = decoder.finished();
  decoded.verdict = decoder.content();
  decoded.size = decoder.size();
  return decoded;
}

std::string stuffed(std::string_view content, std::size_t step) {
  DotStuffer stuffer;
  std::string out;
  while (!content.empty()) {
    stuffer.feed(content.substr(0, step), out);
    content.remove_prefix(std::min(step, content.size()));
  }
  stuffer.finish(out);
  return out;
}

const std::string nul(1, '\0');

}  // namespace

TEST_CASE("SUB-06: data ends at CRLF.CRLF only; what looks like it does not, and makes the content unfit") {
  const std::string fakes[] = {"\n.\n",
                               "\n.\r\n",
                               "\r.\r",
                               "\r\n.\n",
                               "\r\n.\r",
                               "\n.\r",
                               "\r\n" + nul + ".\r\n",
                               "\r.\r\n",
                               "\r\n.\r\r\n",
                               "\n\r\n.\n",
                               "\r\r\n.\n",
                               "\r\n." + nul + "\r\n",
                               "\r\n.\n\r\n.\r"};
  for (const std::string& fake : fakes) {
    const std::string octets = "line" + fake + "MAIL FROM:<evil@x>\r\n.\r\nQUIT\r\n";
    for (std::size_t step = 1; step <= octets.size(); ++step) {
      for (const BareNewline mode : {BareNewline::reject, BareNewline::normalize}) {
        CAPTURE(fake);
        CAPTURE(step);
        const Decoded decoded = decode(octets, step, mode);
        CHECK(decoded.finished);
        CHECK(decoded.rest == "QUIT\r\n");
        if (mode == BareNewline::reject) CHECK(decoded.verdict != Content::good);
      }
    }
  }
}

TEST_CASE(
    "SUB-07: a lone CR, a lone LF or a NUL is remembered; normalize turns the first two into CRLF and nothing else") {
  struct Row {
    std::string octets;
    Content rejecting;
    Content normalizing;
    const char* normalized;
  };
  const Row rows[] = {
      {"a\r\nb\r\n.\r\n", Content::good, Content::good, "a\r\nb\r\n"},
      {"a\nb\r\n.\r\n", Content::bare_newline, Content::good, "a\r\nb\r\n"},
      {"a\rb\r\n.\r\n", Content::bare_newline, Content::good, "a\r\nb\r\n"},
      {"a\r\r\nb\r\n.\r\n", Content::bare_newline, Content::good, "a\r\n\r\nb\r\n"},
      {"a\n\nb\r\n.\r\n", Content::bare_newline, Content::good, "a\r\n\r\nb\r\n"},
      {"a\n.\nb\r\n.\r\n", Content::bare_newline, Content::good, "a\r\n.\r\nb\r\n"},
      {"a\n..b\r\n.\r\n", Content::bare_newline, Content::good, "a\r\n..b\r\n"},
      {"a\r\n.\rb\r\n.\r\n", Content::bare_newline, Content::good, "a\r\n\r\nb\r\n"},
      {"a\r\n.\r\r\n.\r\n", Content::bare_newline, Content::good, "a\r\n\r\n\r\n"},
      {"\n.\r\n\r\n.\r\n", Content::bare_newline, Content::good, "\r\n.\r\n\r\n"},
      {"a" + nul + "b\r\n.\r\n", Content::nul, Content::nul, nullptr},
  };
  for (const Row& row : rows) {
    for (std::size_t step = 1; step <= row.octets.size(); ++step) {
      CAPTURE(row.octets);
      CAPTURE(step);
      CHECK(decode(row.octets, step, BareNewline::reject).verdict == row.rejecting);
      const Decoded decoded = decode(row.octets, step, BareNewline::normalize);
      CHECK(decoded.finished);
      CHECK(decoded.verdict == row.normalizing);
      if (row.normalized != nullptr) CHECK(decoded.content == row.normalized);
      if (row.normalized != nullptr) CHECK(decoded.size == decoded.content.size());
    }
  }
}

TEST_CASE("SUB-07: nothing behind a lone LF is handed on") {
  CHECK(decode("a\r\nb\nc\r\nd\r\n.\r\n", 4, BareNewline::reject).content == "a\r\nb");
}

TEST_CASE("SUB-09: stuffed dots go on input and come on output, for every content at every split") {
  const std::string contents[] = {"",
                                  "\r\n",
                                  ".\r\n",
                                  "..\r\n",
                                  ".x\r\n",
                                  "a\r\n.\r\n..\r\n...\r\n.b\r\n\r\n.\r\n",
                                  "a.b\r\n",
                                  "x\r\n\r\n\r\n.\r\n",
                                  "no end of line.\r\n.\r\n"};
  for (const std::string& content : contents) {
    for (std::size_t step = 1; step <= content.size() + 1; ++step) {
      const std::string wire = stuffed(content, step);
      CAPTURE(content);
      CAPTURE(step);
      CHECK(wire == stuffed(content, content.size() + 1));
      CHECK(wire.find("\r\n.\r\n") >= (content.empty() ? 0 : wire.size() - 5));
      for (std::size_t in = 1; in <= wire.size(); ++in) {
        const Decoded decoded = decode(wire + "QUIT\r\n", in, BareNewline::reject);
        CHECK(decoded.finished);
        CHECK(decoded.content == content);
        CHECK(decoded.rest == "QUIT\r\n");
        CHECK(decoded.verdict == Content::good);
      }
    }
  }
  CHECK(stuffed("", 1) == ".\r\n");
  CHECK(stuffed(".", 1) == "..\r\n.\r\n");
  CHECK(stuffed("a\r\n.b", 2) == "a\r\n..b\r\n.\r\n");
  CHECK(stuffed("a\r", 1) == "a\r\n.\r\n");
}

TEST_CASE("SUB-15: the size is that of the content; at the limit it passes, above it is read to its end and refused") {
  const std::string octets = "..a\r\nbc\r\n.\r\n";  // ".a", CRLF, "bc", CRLF: 8 octets
  for (std::size_t step = 1; step <= octets.size(); ++step) {
    const Decoded at = decode(octets + "NOOP\r\n", step, BareNewline::reject, 8);
    CHECK(at.size == 8);
    CHECK(at.verdict == Content::good);
    CHECK(at.content == ".a\r\nbc\r\n");
    const Decoded above = decode(octets + "NOOP\r\n", step, BareNewline::reject, 7);
    CHECK(above.verdict == Content::too_large);
    CHECK(above.size == 8);
    CHECK(above.finished);
    CHECK(above.rest == "NOOP\r\n");
    CHECK(above.content.size() <= 7);
  }
}

TEST_CASE("SUB-28: a line of a million octets passes unchanged") {
  const std::string content = std::string(1'000'000, 'x') + "\r\n" + std::string(70'000, '.') + "\r\n";
  const Decoded decoded = decode(stuffed(content, 4096), 16384, BareNewline::reject);
  CHECK(decoded.finished);
  CHECK(decoded.content == content);
}

TEST_CASE("content made of nothing but line ends takes linear time") {
  std::string out;
  for (const char octet : {'\r', '\n'}) {
    DataDecoder decoder(BareNewline::normalize, UINT64_MAX);
    const std::string octets(8U << 20U, octet);
    CHECK(decoder.feed(octets, out) == octets.size());
    CHECK(decoder.lone_newlines() >= octets.size() - 1);
    out.clear();
  }
}

}  // namespace smtp_data_test
