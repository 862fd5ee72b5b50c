// SPDX-License-Identifier: Apache-2.0
#include "page/frame.h"

#include <utility>

#include "page/markup.h"

namespace hoplock::page {

namespace {

constexpr std::string_view before_title = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="stylesheet" href="/page.css">
<script src="/page.js" defer></script>
)";

std::string_view sign_of(Mood mood) {
  switch (mood) {
    case Mood::good:
      return "\u2713 ";
    case Mood::attention:
      return "! ";
    case Mood::bad:
      return "\u2717 ";
  }
  return "";
}

std::string search_form(const std::string& sought) {
  return "<form role=\"search\" action=\"/find\" method=\"get\"><label class=\"unseen\" for=\"q\">A message's ID, an "
         "address or a "
         "domain</label><input type=\"search\" id=\"q\" name=\"q\" maxlength=\"320\" required autocomplete=\"off\" "
         "spellcheck=\"false\" "
         "dir=\"auto\" placeholder=\"ID, address or domain\" value=\"" +
         escaped(sought) + "\"><button>Find</button></form>";
}

}  // namespace

std::string in_frame(const Frame& frame, const std::string& main) {
  const std::string host = escaped(frame.hostname);
  std::string html(before_title);
  html +=
      "<link rel=\"icon\" type=\"image/svg+xml\" href=\"/icon/" + std::string(to_text(frame.mood)) + ".svg\">\n<title>";
  html += std::string(sign_of(frame.mood)) + (frame.title.empty() ? "" : escaped(frame.title) + " \u2013 ") + host +
          " \u2013 hoplock</title>\n</head>\n";
  html += "<body>\n<a class=\"skip\" href=\"#main\">Skip to the content</a>\n<header><a class=\"home\" href=\"/\">" +
          host + "</a>" + search_form(frame.sought) + "</header>\n";
  html += "<main id=\"main\">\n" + main + "</main>\n<footer>\n<p data-part=\"foot\">" + frame.foot + "</p>\n";
  return html + "<p id=\"live\" role=\"status\"></p>\n</footer>\n</body>\n</html>\n";
}

http::Reply html_reply(std::string body, unsigned status) {
  http::Reply reply;
  reply.status = status;
  reply.type = "text/html; charset=utf-8";
  reply.body = std::move(body);
  return reply;
}

}  // namespace hoplock::page
