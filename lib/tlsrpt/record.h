// SPDX-License-Identifier: Apache-2.0
// The TXT record at `_smtp._tls.<policy domain>` by which a domain asks for reports, and where it wants them: RFC 8460 section 3.
// Reads texts that a resolver found; asks nothing.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "dns/name.h"

namespace hoplock::tlsrpt {

inline constexpr std::string_view record_label = "_smtp._tls";

// Of a mailto URI the address and nothing else: what it says of subject, cc or bcc is dropped (RPT-04).
struct MailDestination {
  std::string local;  // decoded, without quotes: `a,b`; printable ASCII
  dns::Name domain;
  std::string text() const;  // as SMTP writes it, quoted where needed: `"a,b"@example.org`
  auto operator<=>(const MailDestination&) const = default;
};

struct HttpsDestination {
  std::variant<dns::Name, Ip> host;
  std::uint16_t port = 443;
  std::string target;        // path and query as they stand in the URI, at least "/"
  std::string text() const;  // the URI
  auto operator<=>(const HttpsDestination&) const = default;
};

using Destination = std::variant<MailDestination, HttpsDestination>;
std::string to_text(const Destination& destination);  // "mailto:a@example.org"

// A URI of the list that is not used; it spoils only itself.
struct Ignored {
  std::string uri;  // one printable line
  std::string why;
  bool operator==(const Ignored&) const = default;
};

struct Record {
  static constexpr std::size_t most_destinations = 10;
  std::vector<Destination> rua;  // in the order written, each once; none: nobody can be told
  std::vector<Ignored> ignored;
  bool operator==(const Record&) const = default;
};

// One record, its character-strings joined. Errors: what the grammar does not allow, unusable URIs excepted.
Result<Record> parse_record(std::string_view text);

// What all TXT records at `_smtp._tls.<domain>` together say.
struct Choice {
  enum class State : std::uint8_t {
    none,     // nothing that begins with the version
    valid,    // exactly one such record, and it is good: results are collected
    invalid,  // several such records, or a broken one: no reporting
  };
  State state = State::none;
  std::string text;  // the record, for valid
  Record record;
  std::string why;  // for invalid, one sentence
};

// RPT-01: records that do not begin with the version are discarded; exactly one must remain.
Choice choose_record(const std::vector<std::string>& texts);

}  // namespace hoplock::tlsrpt
