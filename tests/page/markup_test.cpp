// SPDX-License-Identifier: Apache-2.0
#include "page/markup.h"

#include <doctest/doctest.h>

#include "page/assets.h"

namespace page_markup_test {

using namespace hoplock;

namespace {
const Time t0 = from_millis(1'790'000'000'000);  // 2026-09-21T14:13:20Z
}

TEST_CASE("markup: text is one line, and no octet of it is markup") {
  CHECK(page::escaped("<script>alert('x' & \"y\")</script>") ==
        "&lt;script&gt;alert(&#39;x&#39; &amp; &quot;y&quot;)&lt;/script&gt;");
  CHECK(page::escaped("\x1b[31m\xff") == "?[31m?");
  CHECK(page::escaped("a\r\n<b>") == "a &lt;b&gt;");
  CHECK(page::foreign("") == "");
  CHECK(page::foreign("\u0645<x>") == "<bdi>\u0645&lt;x&gt;</bdi>");
  for (const char* turning : {"\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069"})
    CHECK(page::escaped(turning) == "\ufffd");
  CHECK(page::escaped("\u2029\u2065\u206a\u201d") == "\u2029\u2065\u206a\u201d");
}

TEST_CASE("markup: what is too long is cut, and says so") {
  const std::string html = page::escaped(std::string(10'000, 'x'));
  CHECK(html.size() < 320);
  CHECK(html.ends_with("\u2026"));
  CHECK(page::escaped("short") == "short");
}

TEST_CASE("markup: a name in a URL comes back as it was, whatever it holds") {
  for (const std::string text : {"example.org", "a b+c&d=e/f?g#h%20", "\u00fc\u202e<\"'>", "%", "%zz", ""}) {
    CAPTURE(text);
    const std::string url = page::url_encoded(text);
    CHECK(url.find_first_of(" +&=/?#<>\"'") == std::string::npos);
    CHECK(page::url_decoded(url) == text);
  }
  CHECK(page::url_decoded("a+b%2") == "a b%2");
}

TEST_CASE("markup: numbers and times are for people") {
  CHECK(page::count(0) == "0");
  CHECK(page::count(999) == "999");
  CHECK(page::count(102'048) == "102,048");
  CHECK(page::count(1'000'000) == "1,000,000");
  CHECK(page::counted(1, "message") == "1 message");
  CHECK(page::counted(2, "message") == "2 messages");
  CHECK(page::octets(1023) == "1,023 B");
  CHECK(page::octets(50ULL << 20U) == "50 MiB");
  CHECK(page::age(Seconds(59)) == "59 s");
  CHECK(page::age(Seconds(-5)) == "0 s");
  CHECK(page::age(std::chrono::hours(49)) == "2 d 1 h");
  CHECK(page::moment(t0, t0) == "14:13 UTC");
  CHECK(page::moment(t0 - std::chrono::hours(24), t0) == "2026-09-20 14:13 UTC");
  CHECK(page::moment_html(std::nullopt, t0) == "");
}

TEST_CASE("markup: each cell of a table knows its heading, for a phone shows no head") {
  page::Table table("Hosts <x>", {"host", "#mails"});
  table.row({"a", "3"});
  table.row({"", "4"});
  const std::string html = table.end();
  CHECK(html.find("<caption class=\"unseen\">Hosts &lt;x&gt;</caption>") != std::string::npos);
  CHECK(html.find("<td data-label=\"mails\" class=\"n\">3</td>") != std::string::npos);
  CHECK(html.find("<td data-label=\"host\" data-empty></td>") != std::string::npos);
}

TEST_CASE("assets: style sheet, script and icons, and nothing else") {
  CHECK(page::asset_at("/page.css")->type == "text/css; charset=utf-8");
  CHECK(page::asset_at("/page.js")->type == "text/javascript; charset=utf-8");
  for (const char* path : {"/icon/good.svg", "/icon/attention.svg", "/icon/bad.svg"})
    CHECK(page::asset_at(path)->type == "image/svg+xml");
  CHECK_FALSE(page::asset_at("/page.css/"));
  CHECK_FALSE(page::asset_at("/icon/../page.js"));
}

}  // namespace page_markup_test
