// SPDX-License-Identifier: Apache-2.0
#include "page/markup.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/ascii.h"
#include "base/utf8.h"

namespace hoplock::page {

namespace {

std::string_view entity_of(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    default:
      return "";
  }
}

// U+202A to U+202E and U+2066 to U+2069: embeddings, overrides and isolates.
bool turns_direction(std::string_view text) {
  if (text.size() < 3 || text[0] != '\xe2') return false;
  const auto last = static_cast<unsigned char>(text[2]);
  return (text[1] == '\x80' && last >= 0xaa && last <= 0xae) || (text[1] == '\x81' && last >= 0xa6 && last <= 0xa9);
}

bool is_unreserved(char c) { return is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~'; }

std::string two(std::int64_t a, std::string_view x, std::int64_t b, std::string_view y) {
  return std::to_string(a) + std::string(x) + (b == 0 ? "" : " " + std::to_string(b) + std::string(y));
}

}  // namespace

std::string escaped(std::string_view text, std::size_t limit) {
  std::string html;
  const std::string line = to_one_line(text, limit);
  for (std::size_t i = 0; i < line.size(); ++i) {
    const auto entity = entity_of(line[i]);
    if (turns_direction(std::string_view(line).substr(i))) {
      html += "\ufffd";
      i += 2;
    } else if (entity.empty()) {
      html += line[i];
    } else {
      html += entity;
    }
  }
  if (line.size() + 4 > limit && text.size() > limit) html += "\u2026";
  return html;
}

std::string foreign(std::string_view text, std::size_t limit) {
  return text.empty() ? "" : "<bdi>" + escaped(text, limit) + "</bdi>";
}

std::string url_encoded(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string url;
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if (is_unreserved(c))
      url += c;
    else
      url += {'%', digits[octet >> 4U], digits[octet & 15U]};
  }
  return url;
}

std::string url_decoded(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto octet = text[i] == '%' ? from_hex(text.substr(i + 1, 2)) : std::nullopt;
    if (octet && octet->size() == 1) {
      plain += *octet;
      i += 2;
    } else {
      plain += text[i] == '+' ? ' ' : text[i];
    }
  }
  return plain;
}

std::string count(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

std::string counted(std::uint64_t number, std::string_view one) {
  return count(number) + " " + std::string(one) + (number == 1 ? "" : "s");
}

std::string octets(std::uint64_t number) {
  constexpr std::array<std::string_view, 5> units = {" B", " KiB", " MiB", " GiB", " TiB"};
  std::size_t unit = 0;
  for (; number >= 10240 && unit + 1 < units.size(); ++unit) number /= 1024;
  return count(number) + std::string(units[unit]);
}

std::string age(Milliseconds time) {
  const std::int64_t s = std::max<std::int64_t>(0, std::chrono::duration_cast<Seconds>(time).count());
  if (s < 60) return std::to_string(s) + " s";
  if (s < 3600) return two(s / 60, " min", s % 60, " s");
  if (s < 86400) return two(s / 3600, " h", s % 3600 / 60, " min");
  return two(s / 86400, " d", s % 86400 / 3600, " h");
}

std::string moment(Time time, Time now) {
  const std::string text = to_rfc3339(time);  // "2026-11-21T19:14:09.123Z"
  const std::string clock = text.substr(11, 5) + " UTC";
  return text.substr(0, 10) == to_rfc3339(now).substr(0, 10) ? clock : text.substr(0, 10) + " " + clock;
}

std::string moment_html(const std::optional<Time>& time, Time now) {
  if (!time) return "";
  const std::string whole = to_rfc3339(*time);
  return "<time datetime=\"" + whole + "\" title=\"" + whole + "\">" + moment(*time, now) + "</time>";
}

std::string capital(std::string_view text) {
  std::string sentence(text);
  if (!sentence.empty() && sentence.front() >= 'a' && sentence.front() <= 'z')
    sentence.front() = static_cast<char>(sentence.front() - 'a' + 'A');
  return sentence;
}

std::string unbroken(std::string_view text) {
  constexpr std::size_t short_text = 28;  // fits the narrowest screen
  return text.size() > short_text ? foreign(text) : "<span class=\"whole\">" + foreign(text) + "</span>";
}

std::string link_html(const std::string& path, std::string_view text) {
  return "<a href=\"" + path + "\">" + unbroken(text) + "</a>";
}

std::string domain_link(std::string_view domain) { return link_html("/domain/" + url_encoded(domain), domain); }

std::string message_link(std::string_view id) {
  return "<code>" + link_html("/message/" + url_encoded(id), id) + "</code>";
}

std::string command_html(std::string_view command) {
  return command.empty() ? "" : "<code class=\"command\">" + escaped(command, 600) + "</code>";
}

std::string dim(const std::string& html) { return "<p class=\"dim\">" + html + "</p>\n"; }

Table::Table(std::string_view caption, const std::vector<std::string_view>& headings) {
  html_ = "<table><caption class=\"unseen\">" + escaped(caption) + "</caption>\n<thead><tr>";
  for (const auto heading : headings) {
    const bool of_numbers = heading.starts_with('#');
    headings_.push_back({escaped(heading.substr(of_numbers ? 1 : 0)), of_numbers});
    html_ += std::string("<th scope=\"col\"") + (of_numbers ? " class=\"n\">" : ">") + headings_.back().text + "</th>";
  }
  html_ += "</tr></thead>\n<tbody>";
}

void Table::row(const std::vector<std::string>& cells) {
  html_ += "<tr>";
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const Heading& heading = headings_[i];
    html_ += "<td data-label=\"" + heading.text + "\"" + (heading.of_numbers ? " class=\"n\"" : "") +
             (cells[i].empty() ? " data-empty>" : ">") + cells[i] + "</td>";
  }
  html_ += "</tr>\n";
}

}  // namespace hoplock::page
