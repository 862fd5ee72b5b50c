// SPDX-License-Identifier: Apache-2.0
#include "smtp/command.h"

#include <doctest/doctest.h>

#include <string>

#include "smtp/line_buffer.h"

namespace smtp_command_test {

using namespace hoplock::smtp;

TEST_CASE("verbs in any case, arguments without the blanks around them") {
  CHECK(parse_command("EHLO c.example").argument == "c.example");
  CHECK(parse_command("eHlO c.example  \t").verb == Verb::ehlo);
  CHECK(parse_command("eHlO c.example  \t").argument == "c.example");
  CHECK(parse_command("STARTTLS ").well_formed);
  CHECK(parse_command("EHLOX c").verb == Verb::unknown);
  CHECK(parse_command(" NOOP").verb == Verb::unknown);
  CHECK(parse_command("").verb == Verb::unknown);
  CHECK(parse_command("BDAT 5").verb == Verb::bdat);
  CHECK(parse_command("GET").verb == Verb::unknown);
}

TEST_CASE("SUB-04: the form of MAIL and RCPT; a blank behind the colon is let pass, nothing else is") {
  struct Row {
    const char* line;
    bool good;
    const char* path;
  };
  const Row rows[] = {
      {"MAIL FROM:<a@b.example>", true, "a@b.example"},
      {"MAIL FROM: <a@b.example>", true, "a@b.example"},
      {"mail from:<>", true, ""},
      {"RCPT TO:<\"a>b\"@c.example>", true, "\"a>b\"@c.example"},
      {"RCPT TO:<\"a\\\">b\"@c.example> X=1", true, "\"a\\\">b\"@c.example"},
      {"MAIL FROM:a@b.example", false, ""},
      {"MAIL FROM:  <a@b.example>", false, ""},
      {"MAIL  FROM:<a@b.example>", false, ""},
      {"MAIL FROM <a@b.example>", false, ""},
      {"MAIL FROM :<a@b.example>", false, ""},
      {"MAIL TO:<a@b.example>", false, ""},
      {"MAIL FROM:<a@b.example", false, ""},
      {"MAIL FROM:<a@b.example>SIZE=1", false, ""},
      {"MAIL FROM:<a@b.example>  SIZE=1", false, ""},
      {"MAIL", false, ""},
      {"MAIL FROM:", false, ""},
      {"RCPT TO:<\"a>", false, ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.line);
    const Command command = parse_command(row.line);
    CHECK(command.well_formed == row.good);
    if (row.good) CHECK(command.path == row.path);
  }
}

TEST_CASE("SUB-04: parameters keep their order and octets; malformed ones are a syntax error") {
  const Command command = parse_command("MAIL FROM:<> SIZE=12 SMTPUTF8 X-a=b+3D<c>");
  REQUIRE(command.parameters.size() == 3);
  CHECK(command.parameters[0].keyword == "SIZE");
  CHECK(command.parameters[0].value == "12");
  CHECK_FALSE(command.parameters[1].value.has_value());
  CHECK(command.parameters[2].value == "b+3D<c>");
  for (const char* bad :
       {"MAIL FROM:<> =1", "MAIL FROM:<> A=", "MAIL FROM:<> A=b=c", "MAIL FROM:<> -A", "MAIL FROM:<> A_B",
        "MAIL FROM:<> A\t"
        "B"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_command(bad).well_formed);
  }
}

TEST_CASE("an HTTP request is known by its method, the version at its end, or a header line") {
  for (const char* line : {"GET / HTTP/1.1", "GET /", "BREW /pot HTTP/1.1", "NOOP / HTTP/1.1 ",
                           "MAIL FROM:<a@b.example> HTTP/2", "Host: x", "Content-Length:5"}) {
    CAPTURE(line);
    CHECK(is_http_request(line));
  }
  for (const char* line : {"GETX /", "GET", " HTTP/1.1x", "NOOP HTTP/", "RCPT TO:<\"x HTTP/1.1\"@c.example>",
                           "MAIL FROM:<a@b.example>", ":", "VRFY a:b"}) {
    CAPTURE(line);
    CHECK_FALSE(is_http_request(line));
  }
}

namespace {
// The events of `octets` fed `step` at a time: lines as they are, '~' too long, '!' lone CR or LF.
std::string events(std::string_view octets, std::size_t step) {
  LineBuffer buffer;
  std::string seen;
  while (!octets.empty()) {
    buffer.append(octets.substr(0, step));
    octets.remove_prefix(std::min(step, octets.size()));
    for (;;) {
      const auto event = buffer.next();
      if (event == LineBuffer::Event::none) break;
      if (event == LineBuffer::Event::bare_newline) return seen + "!";
      seen += event == LineBuffer::Event::too_long ? "~" : std::string(buffer.line());
      seen += ';';
    }
  }
  return seen;
}
}  // namespace

TEST_CASE("SUB-05: a command ends at CRLF only; a lone CR or LF is found at every split of the octets") {
  struct Row {
    std::string octets;
    const char* seen;
  };
  const Row rows[] = {
      {"NOOP\r\nQUIT\r\n", "NOOP;QUIT;"},
      {"\r\n\r\n", ";;"},
      {"NOOP", ""},
      {"NOOP\r", ""},
      {"RCPT TO:<a@x>\nRCPT TO:<b@x>\r\n", "!"},
      {"NOOP\r\nA\rB\r\n", "NOOP;!"},
      {"A\r\r\n", "!"},
      {"\n", "!"},
      {"A\n\r\n", "!"},
  };
  for (const Row& row : rows) {
    for (std::size_t step = 1; step <= row.octets.size(); ++step) {
      CAPTURE(row.octets);
      CAPTURE(step);
      CHECK(events(row.octets, step) == row.seen);
    }
  }
}

TEST_CASE("SUB-28: a line of 2048 octets with its CRLF is taken, one more is too long and swallowed to its end") {
  const std::string fits = "NOOP " + std::string(LineBuffer::max_line - 7, 'x');
  for (const std::size_t step :
       {std::size_t{1}, std::size_t{7}, std::size_t{2046}, std::size_t{2047}, std::size_t{2048}, std::size_t{5000}}) {
    CAPTURE(step);
    CHECK(events(fits + "\r\nQUIT\r\n", step) == fits + ";QUIT;");
    CHECK(events(fits + "x\r\nQUIT\r\n", step) == "~;QUIT;");
    CHECK(events(std::string(100'000, 'x') + "\r\nQUIT\r\n", step) == "~;QUIT;");
    CHECK(events(std::string(100'000, 'x') + "\nQUIT\r\n", step) == "!");
  }
}

TEST_CASE("SUB-10: what follows a line stays visible and can be taken by a decoder") {
  LineBuffer buffer;
  buffer.append("STARTTLS\r\nMAIL FROM:<evil@x>\r\n");
  CHECK(buffer.next() == LineBuffer::Event::line);
  CHECK(buffer.line() == "STARTTLS");
  CHECK(buffer.rest() == "MAIL FROM:<evil@x>\r\n");
  buffer.consume(4);
  CHECK(buffer.rest() == " FROM:<evil@x>\r\n");
  buffer.append("X");
  CHECK(buffer.rest() == " FROM:<evil@x>\r\nX");
  buffer.clear();
  CHECK(buffer.next() == LineBuffer::Event::none);
}

}  // namespace smtp_command_test
