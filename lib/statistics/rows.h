// SPDX-License-Identifier: Apache-2.0
// What the statistics know of a day and a partner domain, as values: rows that say what, and sums of how much. An attempt's results are such
// rows before they are stored, and a report's figures are the same rows read back. Pure.
#pragma once
#include <chrono>
#include <compare>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace hoplock::statistics {

using Day = std::chrono::sys_days;  // UTC
inline Day day_of(Time time) { return std::chrono::floor<std::chrono::days>(time); }

// What a row tells of, and the words that its `what` is made of. The numbers are on disk: none is ever renumbered.
enum class Kind : std::uint8_t {
  delivered = 0,  // policy, tls, auth, class of the cipher
  key = 1,        // SHA-256 of the public key that the peer showed, lower-case hex
  tlsa = 2,       // the record that matched; behind it signed_mx, where DNSSEC secures the MX records too
  sts = 3,        // the id of the MTA-STS policy that governed or was watched
  failed = 4,     // outcome ("deferred" "bounced" "expired"), policy, reason
  host =
      5,  // a host that was refused before the next, or relaxed: action ("next-host" "plaintext" "audit"), policy, reason
  relaxed = 6,  // delivered with less than the rule: by whom, detail, until, note (below)
};
inline constexpr int last_kind = 6;

inline constexpr std::string_view signed_mx = "secure";

// By whom a rule was relaxed, the first word of Kind::relaxed; what stands in `detail`.
namespace relaxed_by {
inline constexpr std::string_view audit =
    "audit";  // the operator only watches: the reason that would have refused the host
inline constexpr std::string_view route = "route";      // an exception: "dane=off mta_sts=audit", until when, and why
inline constexpr std::string_view partner = "partner";  // likewise, one that was agreed on: "dane=audit"
inline constexpr std::string_view sender = "sender";    // TLS-Required: No
inline constexpr std::string_view unknown = "unknown";  // whether there is a policy could not be found out: why
}  // namespace relaxed_by

// The words of a row as one text, each one printable line of at most longest_word octets.
inline constexpr std::size_t longest_word = 300;
std::string join_words(std::initializer_list<std::string_view> words);
std::vector<std::string> split_words(std::string_view what);

struct Row {
  Day day{};
  std::string domain;  // of the recipients; "": those of a day with too many domains
  Kind kind = Kind::delivered;
  std::string what;  // join_words(); "": those of a domain that showed too many that day
  auto operator<=>(const Row&) const = default;
};

struct Sum {
  std::uint64_t count = 0;     // recipients; of Kind::host, hosts
  std::uint64_t messages = 0;  // one for all the recipients of an attempt that fared alike
  std::uint64_t octets = 0;    // of these messages
  Time first{};                // the whole second
  Time last{};
  void add(const Sum& more);
  bool operator==(const Sum&) const = default;
};

class Counts {
 public:
  // A message of this size, once for all calls with this row.
  void note(Row row, Time at, std::uint64_t octets, std::uint64_t count = 1);
  void add(Counts more);
  bool empty() const { return rows_.empty(); }
  const std::map<Row, Sum>& rows() const { return rows_; }

 private:
  std::map<Row, Sum> rows_;
};

}  // namespace hoplock::statistics
