// SPDX-License-Identifier: Apache-2.0
// What the operator agreed on with a partner, as values and words: a mandate is the least that mail to the domain gets (hop::Mandate); an
// exception lets a rule that fails there only be watched for a time. Pure: `now` is an argument. Days are UTC, and an end is the last day
// on which the entry counts.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "dns/pattern.h"
#include "hop/facts.h"

namespace hoplock::partners {

using Day = std::chrono::sys_days;

// What an entry is about; a domain has at most one of each: its mandate, and exceptions from DANE and from MTA-STS.
enum class Rule : std::uint8_t { mandate, dane, mta_sts };

struct Entry {
  dns::Pattern domain;  // "contoso.com", or its subdomains "*.contoso.com"; never "*"
  Rule rule = Rule::mandate;
  hop::Mandate level = hop::Mandate::none;  // of a mandate: encrypt, verify or dane; of an exception none
  std::optional<Day> until;                 // an exception always has one
  std::string note;
  std::string by;     // who set it
  Time since;         // when
  bool told = false;  // that it has ended: an exception is over with that, whatever the clock says afterwards
};

// An exception that names no end has this one, and no later one is taken.
inline constexpr std::chrono::days longest_exception{90};
inline constexpr std::chrono::days last_days{7};  // of an entry's time: each is told
inline constexpr std::size_t most_note = 1000;    // octets

// "dane", "verify", "encrypt"; of an exception its rule, "dane" or "mta-sts".
std::string_view word_of(const Entry& entry);
// "require", "except"
std::string_view kind_of(const Entry& entry);
std::string to_text(Day day);  // "2027-01-31"

// What people write; the error says what is allowed.
Result<dns::Pattern> parse_domain(std::string_view text);
Result<hop::Mandate> parse_level(std::string_view text);
Result<Rule> parse_exception(std::string_view text);
Result<Day> parse_day(std::string_view text);
Result<std::string> parse_note(std::string_view text);

// Whether an entry may be set at this time, its end filled in where it must have one: the day is not over, an exception's not too far
// away, and the note is one line of text.
Result<Entry> admitted(Entry entry, Time now);

// Both make the same rule of the same domain, whoever set it and when.
bool says_the_same(const Entry& a, const Entry& b);
bool is_over(const Entry& entry, Time now);
// The first moment at which it counts no more.
std::optional<Time> end_of(const Entry& entry);
// "partner, dane required until 2027-01-31: ticket 4711"; what the log and `trace` note of mail that it governs.
std::string why(const Entry& entry);

}  // namespace hoplock::partners
