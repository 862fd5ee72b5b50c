// SPDX-License-Identifier: Apache-2.0
#include "dns/name.h"

#include <doctest/doctest.h>

namespace dns_name_test {

using namespace hoplock::dns;

namespace {
std::string canonical(std::string_view text) {
  const auto name = Name::parse(text);
  return name ? name->text() : "error";
}
std::string wire(std::initializer_list<std::string_view> labels) {
  std::string out;
  for (const auto label : labels) {
    out += static_cast<char>(label.size());
    out += label;
  }
  return out + std::string(1, '\0');
}
}  // namespace

TEST_CASE("DNS-15: names are absolute and compare without case and trailing dot") {
  CHECK(*Name::parse("MX.Example.ORG.") == *Name::parse("mx.example.org"));
  CHECK(std::hash<Name>{}(*Name::parse("MX.Example.ORG.")) == std::hash<Name>{}(*Name::parse("mx.example.org")));
  CHECK(*Name::parse("mail") != *Name::parse("mail.example"));
  CHECK(canonical("mail") == "mail");
  CHECK(canonical(".") == ".");
  CHECK(*Name::parse(".") == Name{});
  CHECK(*Name::from_wire(wire({"MX", "eXample"})) == *Name::parse("mx.example"));
}

TEST_CASE("MX-15: U-labels become A-labels (IDNA2008); what does not convert is an error") {
  struct Row {
    std::string text;
    const char* canonical;
    const char* why;
  };
  const Row rows[] = {
      {"\xce\xb4\xce\xbf\xce\xba\xce\xb9\xce\xbc\xce\xae.example", "xn--jxalpdlp.example", "the example of MX-15"},
      {"XN--JXALPDLP.Example", "xn--jxalpdlp.example", "already A-labels"},
      {"B\xc3\x9c"
       "CHER.example",
       "xn--bcher-kva.example", "upper case is mapped"},
      {"fa\xc3\x9f.example", "xn--fa-hia.example", "IDNA2008 keeps the sharp s: not fass.example"},
      {"b\xc3\xbc"
       "cher.example.",
       "xn--bcher-kva.example", "trailing dot"},
      {"bu\xcc\x88"
       "cher.example",
       "xn--bcher-kva.example", "NFC"},
      {"a\xe3\x80\x82"
       "b\xc3\xbc.example",
       "a.xn--b-eha.example", "the ideographic full stop is a dot"},
      {"\xcc\x80x.example", "error", "begins with a combining mark"},
      {"\xc3\x28.example", "error", "no UTF-8"},
      {"x\xe2\x80\xaey.example", "error", "a bidi control"},
      {"a\xef\xbc\x8f"
       "b.example",
       "error", "a full-width slash maps to a slash"},
      {std::string(64, 'a') + ".example", "error", "a label of 64"},
      {std::string(63, 'a') + ".example", nullptr, "a label of 63"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    CAPTURE(row.why);
    CHECK(canonical(row.text) == (row.canonical == nullptr ? row.text : row.canonical));
  }
}

TEST_CASE("Name: what is no name") {
  for (const std::string& bad :
       {std::string(""), std::string(".."), std::string(".a"), std::string("a..b"), std::string("a.."),
        std::string("a b"), std::string("a\tb"), std::string("a\0b", 3), std::string("[192.0.2.1]"), std::string("a/b"),
        std::string("a@b"), std::string("a*.b"), std::string("a:25")}) {
    CAPTURE(bad);
    CHECK(canonical(bad) == "error");
  }
  CHECK(canonical("_25._tcp.mx.example") == "_25._tcp.mx.example");
  CHECK(canonical("*.example") == "*.example");
  const std::string label(63, 'x');
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'x');
  CHECK(canonical(longest) == longest);
  CHECK(canonical(longest + ".") == longest);
  CHECK(canonical(longest + "x") == "error");
}

TEST_CASE("Name: from wire format; pointers, cut names, odd octets and what follows are errors") {
  CHECK(Name::from_wire(wire({"mx", "example"}))->text() == "mx.example");
  CHECK(Name::from_wire(wire({}))->is_root());
  for (const std::string& bad :
       {std::string(), std::string("\x02mx", 3), std::string("\x05mx\0", 4), std::string("\xc0\x0c", 2), wire({"a.b"}),
        wire({"a b"}), wire({"\xc3\xa4"}), wire({"a"}) + "x",
        std::string("\x40", 1) + std::string(64, 'a') + std::string(1, '\0')}) {
    CHECK_FALSE(Name::from_wire(bad).has_value());
  }
  const std::string label(63, 'x');
  CHECK_FALSE(Name::from_wire(wire({label, label, label, label})).has_value());
}

TEST_CASE("Name: labels, parents, what lies within what") {
  const Name name = *Name::parse("a.mx.example");
  CHECK(name.labels() == 3);
  CHECK(name.parent().text() == "mx.example");
  CHECK(Name::parse("example")->parent().is_root());
  CHECK(Name{}.parent().is_root());
  CHECK(Name{}.labels() == 0);
  CHECK(name.is_within(*Name::parse("example")));
  CHECK(name.is_within(name));
  CHECK(name.is_within(Name{}));
  CHECK_FALSE(name.is_within(*Name::parse("x.example")));
  CHECK_FALSE(Name::parse("notexample")->is_within(*Name::parse("example")));
  CHECK_FALSE(Name{}.is_within(name));
  CHECK(name.under("_25._tcp")->text() == "_25._tcp.a.mx.example");
  CHECK(Name{}.under("x")->text() == "x");
  CHECK_FALSE(Name::parse(std::string(60, 'x') + "." + std::string(60, 'x') + "." + std::string(60, 'x') + "." +
                          std::string(60, 'x'))
                  ->under("_25._tcp.longer")
                  .has_value());
}

}  // namespace dns_name_test
