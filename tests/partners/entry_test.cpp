// SPDX-License-Identifier: Apache-2.0
#include "partners/entry.h"

#include <doctest/doctest.h>

#include "partners/book.h"
#include "partners/csv.h"
#include "partners/suggestion.h"

namespace partners_entry_test {

using namespace hoplock;
using namespace hoplock::partners;

namespace {

const Day today = std::chrono::sys_days{std::chrono::year{2026} / 11 / 30};
const Time noon = today + std::chrono::hours{12};

Entry entry(const std::string& domain, Rule rule = Rule::mandate, std::optional<Day> until = std::nullopt) {
  Entry made;
  made.domain = parse_domain(domain).value();
  made.rule = rule;
  if (rule == Rule::mandate) made.level = hop::Mandate::dane;
  made.until = until;
  return made;
}

dns::Name name(const char* text) { return dns::Name::parse(text).value(); }

std::string complaint(const Entry& one) {
  const auto good = admitted(one, noon);
  return good ? "" : good.error().detail;
}

std::string csv_complaint(const std::string& lines) {
  const auto parsed = parse_csv(csv_head() + lines, noon);
  return parsed ? "" : parsed.error().detail;
}

}  // namespace

TEST_CASE(
    "partners: an exception ends after 90 days or sooner, a mandate when its operator says, and nothing ends in the "
    "past") {
  CHECK(admitted(entry("contoso.com"), noon).value().until == std::nullopt);
  CHECK(admitted(entry("contoso.com", Rule::dane), noon).value().until == today + std::chrono::days(90));
  CHECK(admitted(entry("contoso.com", Rule::dane, today), noon).has_value());
  CHECK(admitted(entry("contoso.com", Rule::mandate, today + std::chrono::days(4000)), noon).has_value());
  CHECK(complaint(entry("contoso.com", Rule::mta_sts, today + std::chrono::days(91))) ==
        "an exception may last 90 days, and 2027-03-01 is later; allowed: until 2027-02-28");
  CHECK(complaint(entry("contoso.com", Rule::mandate, today - std::chrono::days(1))) ==
        "2026-11-29 is over; allowed: 2026-11-30 or a later day");
}

TEST_CASE("partners: an entry counts until the end of its last day (UTC)") {
  const Entry one = entry("contoso.com", Rule::dane, today);
  CHECK_FALSE(is_over(one, today + std::chrono::hours(24) - Milliseconds(1)));
  CHECK(is_over(one, today + std::chrono::hours(24)));
  CHECK_FALSE(is_over(entry("contoso.com"), noon));
}

TEST_CASE("partners: a note is one line of text that no terminal obeys") {
  Entry one = entry("contoso.com");
  for (const std::string& bad : {std::string("a\x1b[31mred"), std::string("a\0b", 3), std::string("\xff"),
                                 std::string(1001, 'x'), std::string("\xc2\x9b"), std::string(10'000, 'y')}) {
    one.note = bad;
    CHECK(complaint(one).find("allowed: text in UTF-8") != std::string::npos);
  }
  one.note = " <b>ticket</b>\n4711,  \"agreed\"\t";
  CHECK(admitted(one, noon).value().note == "<b>ticket</b> 4711, \"agreed\"");
}

TEST_CASE("partners: domains are names and their subdomains, in both forms of an internationalized name") {
  CHECK(parse_domain("münchen.example").value() == parse_domain("XN--mnchen-3ya.example.").value());
  CHECK(parse_domain("*.contoso.com").value().kind == dns::Pattern::Kind::subdomains);
  CHECK(name("xn--mnchen-3ya.example").unicode() == "münchen.example");
  for (const char* bad :
       {"192.0.2.1", "[192.0.2.1]", "ann@contoso.com", "*", "", ".", "a b", "user@contoso.com", "*.*.x", "<b>"})
    CHECK_FALSE(parse_domain(bad).has_value());
  CHECK(parse_level("Dane").error().detail == "'Dane' is no level; allowed: dane, verify, encrypt");
  CHECK(parse_exception("sts").error().detail == "'sts' is no rule that can be excepted; allowed: dane, mta-sts");
}

TEST_CASE(
    "Book: of each rule the domain's own entry, else that of the nearest domain above whose subdomains have one") {
  Book book;
  Entry all = entry("*.contoso.com");
  all.level = hop::Mandate::encrypt;
  book.put(all);
  book.put(entry("*.eu.contoso.com"));
  book.put(entry("a.eu.contoso.com", Rule::dane, today));
  CHECK_FALSE(book.find(name("contoso.com"), noon).any());
  CHECK(book.find(name("x.contoso.com"), noon).mandate->level == hop::Mandate::encrypt);
  CHECK(book.find(name("x.eu.contoso.com"), noon).mandate->level == hop::Mandate::dane);
  const Terms both = book.find(name("a.eu.contoso.com"), noon);
  CHECK(both.mandate->level == hop::Mandate::dane);
  CHECK(both.dane != nullptr);
  CHECK(why(both) == "partner, dane required; partner, excepted from dane until 2026-11-30");
  CHECK(book.find(name("a.eu.contoso.com"), noon + std::chrono::hours(12)).dane == nullptr);
}

TEST_CASE("Book: one that nobody reads any more goes a part at a time, and takes nothing from its copies") {
  Book book;
  for (int i = 0; i < 5'000; ++i) {
    Entry entry;
    entry.domain = parse_domain("partner" + std::to_string(i) + ".example").value();
    book.put(entry);
  }
  const Book copy = book;
  int parts = 0;
  while (book.shed()) ++parts;
  CHECK(parts > 20);
  CHECK_FALSE(book.shed());
  CHECK(copy.at(parse_domain("partner4999.example").value(), Rule::mandate) != nullptr);
  std::size_t left = 0;
  copy.each([&](const EntryPtr&) { ++left; });
  CHECK(left == 5'000);
}

TEST_CASE("Book: a copy shares what it does not change, and the one it was made of stays as it is") {
  Book book;
  for (int i = 0; i < 3000; ++i)
    book.put(entry("d" + std::to_string(i) + ".example", Rule::dane, today + std::chrono::days(i % 50)));
  Book other = book;
  other.put(entry("new.example"));
  other.remove(parse_domain("d7.example").value(), Rule::dane);
  CHECK(book.size() == 3000);
  CHECK(other.size() == 3000);
  CHECK(book.find(name("d7.example"), noon).dane != nullptr);
  CHECK(other.find(name("d7.example"), noon).dane == nullptr);
  CHECK(book.find(name("new.example"), noon).mandate == nullptr);
  CHECK(book.next_end(noon) == Time{today + std::chrono::days(1)});
  for (int i = 0; i < 3000; i += 50)
    other.remove(parse_domain("d" + std::to_string(i) + ".example").value(), Rule::dane);
  CHECK(other.next_end(noon) == Time{today + std::chrono::days(2)});
  CHECK(book.next_end(today + std::chrono::days(60)) == std::nullopt);
}

TEST_CASE("CSV: what is written reads back as the same entries, whatever the note holds") {
  std::vector<Entry> entries{entry("contoso.com"),
                             entry("*.contoso.com", Rule::mandate, today + std::chrono::days(400)),
                             entry("xn--mnchen-3ya.example", Rule::mta_sts, today)};
  entries[0].note = "she said \"dane, please\" =1+1 'x' München \xe2\x80\xae bidi";
  entries[1].note = ",";
  entries[2].note = "\"";
  std::string text = csv_head();
  for (const Entry& one : entries) text += to_csv(one);
  const auto parsed = parse_csv(text, noon).value();
  REQUIRE(parsed.size() == entries.size());
  for (std::size_t i = 0; i < parsed.size(); ++i) CHECK(says_the_same(parsed[i].entry, entries[i]));
}

TEST_CASE(
    "CSV: a line may hold a mandate and exceptions, lines may end in CRLF and be empty, and a byte order mark is "
    "passed over") {
  const auto parsed =
      parse_csv(
          "\xef\xbb\xbf"
          "domain,level,exceptions,until,note\r\n\r\nContoso.com,verify,dane mta-sts,2026-12-31,\"a, b\"\r\n",
          noon)
          .value();
  REQUIRE(parsed.size() == 3);
  CHECK(parsed[0].line == 3);
  CHECK(parsed[0].entry.level == hop::Mandate::verify);
  CHECK(parsed[1].entry.rule == Rule::dane);
  CHECK(parsed[2].entry.rule == Rule::mta_sts);
  CHECK(parsed[2].entry.note == "a, b");
}

TEST_CASE("CSV: what is wrong is named by its line, with what is allowed") {
  CHECK(parse_csv("", noon).error().detail == "1: the first line must be 'domain,level,exceptions,until,note'");
  CHECK(csv_complaint("a.example,tls,,,\n") == "2: 'tls' is no level; allowed: dane, verify, encrypt");
  CHECK(csv_complaint("\na.example,,dane starttls,,\n") ==
        "3: 'starttls' is no rule that can be excepted; allowed: dane, mta-sts");
  CHECK(csv_complaint("a.example,dane\n") == "2: 2 fields; allowed: the 5 of 'domain,level,exceptions,until,note'");
  CHECK(csv_complaint("*,dane,,,\n").find("2: '*' is no partner's domain; allowed: ") == 0);
  CHECK(csv_complaint("a.example,dane,,31.12.2027,\n") ==
        "2: '31.12.2027' is no date; allowed: a day such as 2027-01-31 (UTC)");
  CHECK(csv_complaint("a.example,,,,\n").find("2: neither a level nor an exception") == 0);
  CHECK(csv_complaint("a.example,dane,,,\"x\n").find("2: a quotation mark") == 0);
  CHECK(csv_complaint("a.example,dane,,,x\"y\n").find("2: a quotation mark") == 0);
  CHECK(csv_complaint("a.example,dane,,,\nb.example,dane,,,\nA.example,verify,,,\n").find("4: a.example: require") ==
        0);
  CHECK(csv_complaint("a.example,,dane,2029-01-01,\n").find("2: an exception may last 90 days") == 0);
}

TEST_CASE("suggest: the most that all mail would have met, or what speaks against it") {
  Record record;
  CHECK(suggest(record).level == hop::Mandate::none);
  record.delivered = record.dane = 7;
  CHECK(suggest(record).level == hop::Mandate::dane);
  CHECK(suggest(record).why == "all 7 left under DANE");
  record.delivered = 9;
  record.proved = 2;
  CHECK(suggest(record).level == hop::Mandate::verify);
  record.encrypted = 1;
  ++record.delivered;
  CHECK(suggest(record).level == hop::Mandate::encrypt);
  record.clear = 1;
  CHECK(suggest(record).level == hop::Mandate::none);
  record.failures["tlsa-invalid"] = 3;
  CHECK(suggest(record).why == "attempts failed a rule: tlsa-invalid 3");
}

TEST_CASE("is_among: a domain itself, the subdomains of one above it, or all") {
  const auto pattern = [](const char* text) { return dns::parse_pattern(text).value(); };
  const Patterns some{pattern("a.example"), pattern("*.b.example")};
  CHECK(is_among(some, name("a.example")));
  CHECK_FALSE(is_among(some, name("x.a.example")));
  CHECK_FALSE(is_among(some, name("b.example")));
  CHECK(is_among(some, name("y.x.b.example")));
  CHECK(is_among({dns::Pattern{}}, name("c.example")));
  CHECK_FALSE(is_among({}, name("c.example")));
}

}  // namespace partners_entry_test
