// SPDX-License-Identifier: Apache-2.0
#include "daemon/tool/text.h"

#include <doctest/doctest.h>

#include <sstream>

#include "base/utf8.h"
#include "daemon/tool/json.h"

namespace daemon_tool_text_test {

using namespace hoplock;
using namespace hoplock::daemon::tool;
using namespace std::chrono_literals;

namespace {
// Octets that a terminal would obey.
bool has_controls(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == 0x7F || (c < 0x20 && c != '\n')) return true;
    if (c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0) return true;
  }
  return !is_utf8(text);
}
std::string nasty() {
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  return all + "\xc2\x9b" + "31m\xe2\x80\xae" + "gnp.exe\xf0\x9f\x98\x80\xe2\x80";
}
}  // namespace

TEST_CASE("printable: no control character, no turned text, nothing that is not UTF-8, and the rest as it is") {
  CHECK_FALSE(has_controls(printable(nasty())));
  CHECK(printable("caf\xc3\xa9 \xe6\x97\xa5\xe6\x9c\xac") == "caf\xc3\xa9 \xe6\x97\xa5\xe6\x9c\xac");
  CHECK(printable("a\r\nb\tc") == "a b c");
  CHECK(printable("\x1b[2J\x07\xc2\x9b") == "?[2J??");
  CHECK(printable("a\xe2\x80\xae"
                  "b") == "a?b");
  CHECK(printable("\xff\xc3") == "??");
}

TEST_CASE("to_line: JSON without raw control characters that still says the same") {
  json::object object;
  object["text"] = clean(nasty());
  const std::string line = to_line(object);
  CHECK_FALSE(has_controls(line));
  CHECK(line.find('\n') == std::string::npos);
  CHECK(line.find("\\u007f") != std::string::npos);
  CHECK(line.find("\\u009b") != std::string::npos);
  CHECK(line.find("\\u202e") != std::string::npos);
  CHECK(to_line(json::value(clean("\xe2\x82\xac \xc2\xa0"))) == "\"\xe2\x82\xac \xc2\xa0\"");
}

TEST_CASE("TerminalSanitizer: a body for a terminal, its characters whole however it was cut") {
  const std::string body = "Subject: caf\xc3\xa9\r\n\r\n\x1b[31m\ttab \xf0\x9f\x98\x80\r\nend\xc3";
  for (std::size_t cut = 0; cut <= body.size(); ++cut) {
    TerminalSanitizer sanitizer;
    std::string out = sanitizer.feed(std::string_view(body).substr(0, cut));
    out += sanitizer.feed(std::string_view(body).substr(cut));
    out += sanitizer.finish();
    CHECK(out == "Subject: caf\xc3\xa9\n\n?[31m\ttab \xf0\x9f\x98\x80\nend?");
  }
}

TEST_CASE("fit: as many columns as there are, wide characters counted as two") {
  CHECK(fit("example", 7) == "example");
  CHECK(fit("example", 6) == "examp…");
  CHECK(columns("\xe6\x97\xa5\xe6\x9c\xac") == 4);
  CHECK(fit("\xe6\x97\xa5\xe6\x9c\xac", 4) == "\xe6\x97\xa5\xe6\x9c\xac");
  CHECK(fit("\xe6\x97\xa5\xe6\x9c\xac", 3) == "\xe6\x97\xa5…");
  CHECK(columns("e\xcc\x81") == 1);
  CHECK(fit("abc", 0) == "");
}

TEST_CASE("age and size: short and exact enough") {
  CHECK(age(0s) == "0s");
  CHECK(age(59s) == "59s");
  CHECK(age(60s) == "1m");
  CHECK(age(2h + 5min) == "2h5m");
  CHECK(age(49h) == "2d1h");
  CHECK_MESSAGE(age(-5s) == "0s", "the clock was set back");
  CHECK(size(0) == "0B");
  CHECK(size(1023) == "1023B");
  CHECK(size(1536) == "1.5KiB");
  CHECK(size(50ULL << 20U) == "50MiB");
  CHECK(daemon::tool::counted(1, "message") == "1 message");
  CHECK(daemon::tool::counted(0, "message") == "0 messages");
}

TEST_CASE("Table: aligned, whole when the output is no terminal, cut to fit when it is") {
  const auto print = [](std::optional<std::size_t> width) {
    std::ostringstream out;
    Table table(out, width, {{"ID"}, {"SIZE", Table::Align::right}, {"WHY"}});
    table.add({"0000000001", "5KiB", std::string(60, 'x')});
    table.add({"2", "812B", "short\x1b"});
    table.finish();
    return out.str();
  };
  CHECK(print(std::nullopt) ==
        "ID          SIZE  WHY\n0000000001  5KiB  " + std::string(60, 'x') + "\n2           812B  short?\n");
  CHECK(print(40) ==
        "ID          SIZE  WHY\n0000000001  5KiB  " + std::string(21, 'x') + "…\n2           812B  short?\n");
  for (std::size_t width = 20; width < 90; ++width) {
    std::istringstream lines(print(width));
    for (std::string line; std::getline(lines, line);) CHECK(columns(line) <= width);
  }
}

TEST_CASE("Table: a sentence in the last column goes on below it, and so does what stands under a row") {
  std::ostringstream out;
  Table table(out, 40,
              {{"", Table::Align::left, Table::Give::none}, {"FOUND", Table::Align::left, Table::Give::lines}});
  table.add({"note", "nothing keeps it right: DNSSEC, certificates and DKIM go by it"},
            "run systemd-timesyncd or chrony, or any other");
  table.finish();
  CHECK(out.str() ==
        "      FOUND\n"
        "note  nothing keeps it right: DNSSEC,\n"
        "      certificates and DKIM go by it\n"
        "    run systemd-timesyncd or chrony, or\n"
        "    any other\n");
}

TEST_CASE("Table: nothing at all without rows, and beyond the first thousand rows come as they are added") {
  std::ostringstream out;
  Table table(out, std::nullopt, {{"N"}});
  table.finish();
  CHECK(out.str().empty());
  for (int i = 0; i < 2500; ++i) table.add({std::to_string(i)});
  table.finish();
  const std::string text = out.str();
  CHECK(std::count(text.begin(), text.end(), '\n') == 2501);
  CHECK(text.find("\n2499\n") != std::string::npos);
}

}  // namespace daemon_tool_text_test
