// SPDX-License-Identifier: Apache-2.0
// HTML in small pieces: text made harmless, numbers and times in words, tables that fold on a phone. Whatever is not named `html` is
// text, and goes in escaped. Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace hoplock::page {

// As text between tags, or between the quotes of an attribute: one line of at most `limit` octets, no octet of it is markup. Characters
// that turn the direction of what follows become U+FFFD: <bdi> does not hold them, for an isolate that text opens takes its end.
std::string escaped(std::string_view text, std::size_t limit = 300);
// Likewise, of foreign origin: letters that are written from right to left change nothing beside them.
std::string foreign(std::string_view text, std::size_t limit = 300);
// For a path or a query of a URL (RFC 3986): what is not unreserved is percent-encoded.
std::string url_encoded(std::string_view text);
// The inverse, "+" for a blank; what is malformed stays as it is.
std::string url_decoded(std::string_view text);

std::string count(std::uint64_t number);                          // "102,048"
std::string counted(std::uint64_t number, std::string_view one);  // "1 message", "2 messages"
std::string octets(std::uint64_t number);                         // "12 MiB"
std::string age(Milliseconds time);                               // "2 d 3 h"
// "14:02 UTC", with its day where that is not today's.
std::string moment(Time time, Time now);
// The same as an element, with all of it under the pointer; "" for none.
std::string moment_html(const std::optional<Time>& time, Time now);
std::string capital(std::string_view text);

// As foreign(); a short text is never cut by a line's end.
std::string unbroken(std::string_view text);
// A link to `path`, which is encoded already; its text unbroken().
std::string link_html(const std::string& path, std::string_view text);
std::string domain_link(std::string_view domain);
std::string message_link(std::string_view id);
std::string command_html(std::string_view command);  // "": nothing
std::string dim(const std::string& html);            // a paragraph

// Rows of cells that are HTML already. A heading that begins with '#' is of numbers. On a narrow screen each cell stands under its heading.
class Table {
 public:
  Table(std::string_view caption, const std::vector<std::string_view>& headings);
  void row(const std::vector<std::string>& cells);
  std::string end() const { return html_ + "</tbody></table>\n"; }

 private:
  struct Heading {
    std::string text;
    bool of_numbers = false;
  };
  std::vector<Heading> headings_;
  std::string html_;
};

}  // namespace hoplock::page
