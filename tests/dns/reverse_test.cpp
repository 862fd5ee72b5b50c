// SPDX-License-Identifier: Apache-2.0
#include "dns/reverse.h"

#include <doctest/doctest.h>

#include <sstream>

namespace dns_reverse_test {

using namespace hoplock;
using namespace hoplock::dns;

namespace {

Name name(std::string_view text) { return Name::parse(text).value(); }

// "" nothing there, "?" cannot be asked, else the records, between blanks.
Answer answer(const std::string& about, Type type, const std::string& records) {
  Answer made;
  made.question = made.canonical = name(about);
  made.type = type;
  if (records == "?") {
    made.why = "SERVFAIL";
    return made;
  }
  std::istringstream words(records);
  for (std::string word; words >> word;) {
    if (type == Type::ptr)
      made.records.emplace_back(name(word));
    else
      made.records.emplace_back(Ip::parse(word).value());
  }
  made.status = made.records.empty() ? Status::no_name : Status::records;
  return made;
}

struct Row {
  const char* ip;
  const char* said;                                            // in EHLO, between blanks
  const char* pointer;                                         // its PTR records
  std::vector<std::pair<const char*, const char*>> addresses;  // of names
  Agreement::State state;
  const char* why;  // in its words
  const char* because;
};

Agreement judged(const Row& row) {
  ReverseFacts facts;
  facts.ip = Ip::parse(row.ip).value();
  std::istringstream words(row.said);
  for (std::string word; words >> word;) facts.said.push_back(name(word));
  facts.pointer = answer(reverse_name(facts.ip).text(), Type::ptr, row.pointer);
  for (const auto& [owner, records] : row.addresses)
    facts.addresses[name(owner)] = answer(owner, address_type(facts.ip), records);
  return agreement(facts);
}

}  // namespace

TEST_CASE("reverse_name: octets backwards (RFC 1035 section 3.5), nibbles backwards (RFC 3596 section 2.5)") {
  const auto of = [](const char* text) { return reverse_name(Ip::parse(text).value()).text(); };
  CHECK(of("192.0.2.7") == "7.2.0.192.in-addr.arpa");
  CHECK(of("255.10.0.1") == "1.0.10.255.in-addr.arpa");
  CHECK(of("::ffff:192.0.2.7") == "7.2.0.192.in-addr.arpa");
  CHECK(of("4321:0:1:2:3:4:567:89ab") ==
        "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa");  // the RFC's own
  CHECK(address_type(Ip::parse("::ffff:192.0.2.7").value()) == Type::a);
  CHECK(address_type(Ip::parse("2001:db8::1").value()) == Type::aaaa);
}

TEST_CASE("agreement: an address, its PTR record and the EHLO name, every corner") {
  using State = Agreement::State;
  const char* const v4 = "203.0.113.7";
  const char* const v6 = "2001:db8::7";
  const Row rows[] = {
      {v4, "r.ex", "r.ex", {{"r.ex", "203.0.113.7"}}, State::agrees, "", "all three"},
      {v6, "r.ex", "r.ex", {{"r.ex", "2001:db8::7"}}, State::agrees, "", "all three, IPv6"},
      {v4, "r.ex", "r.ex", {{"r.ex", "203.0.113.6 203.0.113.7"}}, State::agrees, "", "one of its addresses"},
      {v4, "r.ex", "old.ex r.ex", {{"r.ex", "203.0.113.7"}, {"old.ex", ""}}, State::agrees, "", "one of the names"},
      {v4, "a.ex b.ex", "a.ex", {{"a.ex", v4}, {"b.ex", v4}}, State::agrees, "", "one PTR serves names that lead here"},

      {v4, "r.ex", "", {{"r.ex", v4}}, State::disagrees, "203.0.113.7 has no PTR record", "no PTR record"},
      {v6, "r.ex", "", {{"r.ex", v6}}, State::disagrees, "2001:db8::7 has no PTR record", "the usual IPv6"},
      {v4,
       "r.ex",
       "x.ex",
       {{"r.ex", v4}, {"x.ex", ""}},
       State::disagrees,
       "the PTR record of 203.0.113.7 names x.ex, which has no A record",
       "the PTR's name leads nowhere"},
      {v6,
       "r.ex",
       "x.ex",
       {{"r.ex", v6}, {"x.ex", ""}},
       State::disagrees,
       "the PTR record of 2001:db8::7 names x.ex, which has no AAAA record",
       "not in this family"},
      {v4,
       "r.ex",
       "x.ex",
       {{"r.ex", v4}, {"x.ex", "203.0.113.9"}},
       State::disagrees,
       "the PTR record of 203.0.113.7 names x.ex, which leads to 203.0.113.9",
       "the PTR's name leads elsewhere"},
      {v4,
       "r.ex",
       "r.ex",
       {{"r.ex", "203.0.113.9"}},
       State::disagrees,
       "r.ex, said in EHLO from 203.0.113.7, leads to 203.0.113.9",
       "the name has moved"},
      {v6,
       "r.ex",
       "r.ex",
       {{"r.ex", ""}},
       State::disagrees,
       "r.ex, said in EHLO from 2001:db8::7, has no AAAA record",
       "IPv6 was switched on, the name was not told"},
      {v4,
       "r.localdomain",
       "",
       {{"r.localdomain", ""}},
       State::disagrees,
       "203.0.113.7 has no PTR record; r.localdomain, said in EHLO from 203.0.113.7, has no A record",
       "nothing is right"},
      {v4,
       "a.ex b.ex",
       "a.ex",
       {{"a.ex", v4}, {"b.ex", "203.0.113.9"}},
       State::disagrees,
       "b.ex, said in EHLO from 203.0.113.7, leads to 203.0.113.9",
       "one name of two"},

      {v4,
       "r.ex",
       "x.ex",
       {{"r.ex", v4}, {"x.ex", v4}},
       State::differs,
       "the PTR record of 203.0.113.7 names x.ex, not r.ex",
       "both lead here, and the names differ"},
      {v4,
       "r.ex",
       "x.ex",
       {{"r.ex", ""}, {"x.ex", v4}},
       State::disagrees,
       "the PTR record of 203.0.113.7 names x.ex, not r.ex; r.ex, said in EHLO from 203.0.113.7, has no A record",
       "a PTR record in order does not make up for it"},

      {v4,
       "r.ex",
       "?",
       {{"r.ex", v4}},
       State::unknown,
       "the PTR record of 203.0.113.7 cannot be looked up: SERVFAIL",
       "nothing is known, nothing is claimed"},
      {v4, "r.ex", "r.ex", {{"r.ex", "?"}}, State::unknown, "r.ex cannot be looked up: SERVFAIL", "likewise"},
      {v4, "r.ex", "r.ex", {}, State::unknown, "r.ex cannot be looked up", "never asked"},
      {v4,
       "r.ex",
       "x.ex",
       {{"r.ex", v4}, {"x.ex", "?"}},
       State::unknown,
       "x.ex cannot be looked up: SERVFAIL",
       "whether it leads back is open"},
      {v4,
       "r.ex",
       "x.ex y.ex",
       {{"r.ex", v4}, {"x.ex", ""}, {"y.ex", "?"}},
       State::unknown,
       "y.ex cannot be looked up: SERVFAIL",
       "the other name may lead back"},
      {v4,
       "r.ex",
       "?",
       {{"r.ex", ""}},
       State::disagrees,
       "r.ex, said in EHLO from 203.0.113.7, has no A record",
       "what is known is enough"},
      {v4, "r.ex", "", {{"r.ex", "?"}}, State::disagrees, "203.0.113.7 has no PTR record", "likewise"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.because);
    const Agreement found = judged(row);
    CHECK(static_cast<int>(found.state) == static_cast<int>(row.state));
    CHECK(found.why == row.why);
    CHECK(found.advice.empty() == (row.state == State::agrees || row.state == State::unknown));
  }
}

TEST_CASE("agreement: what to do is said as records to publish") {
  const Row no_pointer{"203.0.113.7", "r.ex", "", {{"r.ex", ""}}, {}, "", ""};
  CHECK(judged(no_pointer).advice ==
        "have whoever gave you the address publish: 7.113.0.203.in-addr.arpa. PTR r.ex.; publish: r.ex. A 203.0.113.7");
  const Row differs{"2001:db8::7", "r.ex", "x.ex", {{"r.ex", "2001:db8::7"}, {"x.ex", "2001:db8::7"}}, {}, "", ""};
  CHECK(judged(differs).advice == "have the PTR record name r.ex, or say in EHLO what it names");
}

TEST_CASE("agreement: a PTR record with a thousand names makes no long line") {
  std::string many, list;
  for (int i = 0; i < 1000; ++i) many += "n" + std::to_string(i) + ".ex ";
  const Row row{"203.0.113.7", "r.ex", many.c_str(), {{"r.ex", "203.0.113.7"}, {"n0.ex", "203.0.113.7"}}, {}, "", ""};
  CHECK(judged(row).why == "the PTR record of 203.0.113.7 names n0.ex, n1.ex, n2.ex, …, not r.ex");
}

TEST_CASE("agreement: neither do a hundred names said in EHLO that lead nowhere") {
  std::string many;
  for (int i = 100; i < 200; ++i) many += "n" + std::to_string(i) + ".ex ";
  Row row{"203.0.113.7", many.c_str(), "n100.ex", {}, {}, "", ""};
  std::vector<std::string> names;
  for (int i = 100; i < 200; ++i) names.push_back("n" + std::to_string(i) + ".ex");
  for (const std::string& one : names) row.addresses.emplace_back(one.c_str(), "");
  const Agreement found = judged(row);
  CHECK(found.state == Agreement::State::disagrees);
  CHECK(found.why.ends_with("; and 97 more such names"));
  CHECK(found.why.size() < 400);
  CHECK(found.advice.size() < 400);
}

}  // namespace dns_reverse_test
