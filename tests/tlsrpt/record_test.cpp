// SPDX-License-Identifier: Apache-2.0
#include "tlsrpt/record.h"

#include <doctest/doctest.h>

#include "smtp/mailbox.h"

namespace tlsrpt_record_test {

using namespace hoplock;
using namespace hoplock::tlsrpt;
using State = Choice::State;

namespace {
// The destinations, a comma between them; or "error".
std::string rua(std::string_view text) {
  const auto record = parse_record(text);
  if (!record) return "error";
  std::string all;
  for (const auto& one : record->rua) all += (all.empty() ? "" : ",") + to_text(one);
  return all;
}
std::string rua_of(const std::string& list) { return rua("v=TLSRPTv1;rua=" + list); }

const MailDestination& mail_of(const Record& record) { return std::get<MailDestination>(record.rua.at(0)); }
}  // namespace

TEST_CASE("RPT-01: of all TXT records only those with the version count, and exactly one must remain") {
  struct Row {
    std::vector<std::string> texts;
    State state;
    const char* why;
  };
  const std::string good = "v=TLSRPTv1; rua=mailto:a@x.example";
  const Row rows[] = {
      {{}, State::none, "no record, or the name does not exist"},
      {{good}, State::valid, "one record"},
      {{"google-site-verification=x", good, "v=spf1 -all"}, State::valid, "foreign ones beside it"},
      {{good, good}, State::invalid, "two, though equal"},
      {{good, "v=TLSRPTv1; broken"}, State::invalid, "a broken one counts too"},
      {{"v=TLSRPTv1; broken"}, State::invalid, "broken, and the only one"},
      {{"v=TLSRPTv1"}, State::none, "no semicolon: not the version field"},
      {{"v=TLSRPTv12; rua=mailto:a@x"}, State::none, "another version"},
      {{"V=TLSRPTv1; rua=mailto:a@x"}, State::none, "the version is case-sensitive"},
      {{" v=TLSRPTv1; rua=mailto:a@x"}, State::none, "a blank before it"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    const auto choice = choose_record(row.texts);
    CHECK(choice.state == row.state);
    CHECK(choice.why.empty() == (row.state != State::invalid));
    CHECK(choice.text == (row.state == State::valid ? good : ""));
  }
}

TEST_CASE("RPT-02: the grammar, to the letter; unknown fields are ignored") {
  struct Row {
    const char* text;
    const char* rua;
    const char* why;
  };
  const Row rows[] = {
      {"v=TLSRPTv1;rua=mailto:a@x.example", "mailto:a@x.example", "the shortest form"},
      {"v=TLSRPTv1; rua=mailto:a@x.example;", "mailto:a@x.example", "a final semicolon"},
      {"v=TLSRPTv1 \t;\t rua=mailto:a@x.example \t; ", "mailto:a@x.example", "blanks around semicolons"},
      {"v=TLSRPTv1; foo=bar; rua=mailto:a@x.example", "mailto:a@x.example", "an unknown field before rua"},
      {"v=TLSRPTv1; rua=mailto:a@x.example; f.o-o_1=!%x", "mailto:a@x.example", "and after it"},
      {"v=TLSRPTv1; rua=mailto:a@x.example; rua=mailto:b@x.example", "mailto:a@x.example,mailto:b@x.example",
       "the grammar allows a second rua"},
      {"v=TLSRPTv1;", "error", "no rua"},
      {"v=TLSRPTv1; foo=bar", "error", "no rua beside another field"},
      {"v=TLSRPTv1; rua=", "error", "an empty rua"},
      {"v=TLSRPTv1; RUA=mailto:a@x.example", "error", "names are case-sensitive"},
      {"v=TLSRPTv1; rua=mailto:a@x.example; text", "error", "bare text"},
      {"v=TLSRPTv1; rua=mailto:a@x.example;;", "error", "an empty field"},
      {"v=TLSRPTv1;; rua=mailto:a@x.example", "error", "likewise"},
      {"v=TLSRPTv1; rua=mailto:a@x.example; =x", "error", "a field without a name"},
      {"v=TLSRPTv1; rua=mailto:a@x.example; foo=", "error", "an unknown field without a value"},
      {"v=TLSRPTv1; rua=mailto:a@x.example; foo=a=b", "error", "an equals sign in its value"},
      {"v=TLSRPTv1; rua=mailto:a@x.example; foo=a b", "error", "a blank in its value"},
      {"v=TLSRPTv1; rua=mailto:a@x.example; -foo=a", "error", "a name that begins with a hyphen"},
      {"v=TLSRPTv1; rua=mailto:a@x.example; a123456789012345678901234567890123=b", "error", "a name too long"},
      {"v=TLSRPTv1; rua = mailto:a@x.example", "error", "blanks around the equals sign"},
      {"v=TLSRPTv2; rua=mailto:a@x.example", "error", "another version"},
      {"rua=mailto:a@x.example; v=TLSRPTv1", "error", "the version is not first"},
      {"", "error", "nothing"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    CAPTURE(row.why);
    CHECK(rua(row.text) == row.rua);
  }
}

TEST_CASE("RPT-03: a list of URIs; a bad one or an unknown scheme spoils only itself") {
  struct Row {
    const char* list;
    const char* rua;
    const char* why;
  };
  const Row rows[] = {
      {"mailto:a@x.example,https://r.x.example/p", "mailto:a@x.example,https://r.x.example/p", "two"},
      {"mailto:a@x.example \t,\t https://r.x.example/p", "mailto:a@x.example,https://r.x.example/p",
       "blanks around the comma"},
      {"MailTo:a@x.example,HTTPS://r.x.example", "mailto:a@x.example,https://r.x.example/", "schemes in any case"},
      {"http://r.x.example,ftp://x.example,mailto:a@x.example", "mailto:a@x.example", "other schemes are ignored"},
      {"http://r.x.example", "", "none that is used: still a record"},
      {"a@x.example,mailto:b@x.example", "mailto:b@x.example", "no scheme"},
      {"mailto:a@x.example!10m,mailto:b@x.example", "mailto:b@x.example", "DMARC's size suffix is no part of it"},
      {",,mailto:a@x.example,", "mailto:a@x.example", "empty members"},
      {"mailto:a@x.example,mailto:a@X.EXAMPLE", "mailto:a@x.example", "the same place twice"},
      {"mailto:a b@x.example,mailto:b@x.example", "mailto:b@x.example", "a blank in it"},
      {"https://r.x.example/a%2Cb%3Bc%21?q=1#frag", "https://r.x.example/a%2Cb%3Bc%21?q=1",
       "what is encoded stays so; no fragment is sent"},
      {"https://r.x.example:8443/p,https://r.x.example:443/p,https://r.x.example:/q",
       "https://r.x.example:8443/p,https://r.x.example/p,https://r.x.example/q", "ports"},
      {"https://r.x.example?q", "https://r.x.example/?q", "a query without a path"},
      {"https://[2001:DB8::0:1]:8443/p,https://192.0.2.1/", "https://[2001:db8::1]:8443/p,https://192.0.2.1/",
       "addresses"},
      {"https://user:pw@r.x.example/,https://,https:///p,https:r.x.example,https://r.x.example:0/,https://"
       "r.x.example:65536/,"
       "https://r.x.example:44a/,https://r_x..example/,https://[::1/,https://[192.0.2.1]/,https://r.x.example/"
       "%zz,https://2001:db8::1/",
       "", "none of these has a host, port and path that could be used"},
      {"https://192.0.2.1.x.example/,https://192.0.2.1x/", "https://192.0.2.1.x.example/,https://192.0.2.1x/",
       "names that begin like an address"},
      {"https://*.x.example/,https://*/", "", "the DNS would answer for a wildcard, but it is no host"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.list);
    CAPTURE(row.why);
    CHECK(rua_of(row.list) == row.rua);
  }
  const auto record = parse_record("v=TLSRPTv1;rua=mailto:a%2Cb@x.example , https://r.x/p, http://r.x, ftp://x");
  REQUIRE(record.has_value());
  CHECK(record->rua.size() == 2);
  CHECK(mail_of(*record).local == "a,b");
  CHECK(mail_of(*record).text() == "\"a,b\"@x.example");
  CHECK(record->ignored == std::vector<Ignored>{{"http://r.x", "reports go to mailto: and https: only"},
                                                {"ftp://x", "reports go to mailto: and https: only"}});
  std::string many = "mailto:0@x.example";
  for (int i = 1; i < 30; ++i) many += ",mailto:" + std::to_string(i) + "@x.example";
  CHECK(parse_record("v=TLSRPTv1;rua=" + many)->rua.size() == Record::most_destinations);
}

TEST_CASE("RPT-04: of a mailto URI the address alone is used, and one that hides more is not used at all") {
  struct Row {
    const char* uri;
    const char* rua;
    const char* why;
  };
  const Row rows[] = {
      {"mailto:a@x.example?bcc=v@y.example&subject=z", "mailto:a@x.example", "header fields are dropped"},
      {"mailto:a@x.example?", "mailto:a@x.example", "an empty query too"},
      {"mailto:%61+tag%25@x.example", "mailto:a+tag%@x.example", "percent-encoding is undone once"},
      {"mailto:%22a%5C%22b%22@x.example", "mailto:\"a\\\"b\"@x.example", "a quoted local-part"},
      {"mailto:a@b%C3%BCcher.example", "", "octets above 127 are no plain address"},
      {"mailto:a@xn--bcher-kva.example", "mailto:a@xn--bcher-kva.example", "A-labels are"},
      {"mailto:a@x.example%0d%0aBcc:v@y.example", "", "a line end"},
      {"mailto:a@x.example%00", "", "a NUL"},
      {"mailto:a@x.example%2Cb@y.example", "", "two addresses"},
      {"mailto:a%20@x.example", "", "a blank"},
      {"mailto:%3Ca@x.example%3E", "", "brackets"},
      {"mailto:a@x.example%3Fbcc=v", "", "an encoded question mark belongs to the domain"},
      {"mailto:a@x.example#f", "", "a fragment"},
      {"mailto:a%4@x.example", "", "broken encoding"},
      {"mailto:a%", "", "likewise at the end"},
      {"mailto:@x.example", "", "no local-part"},
      {"mailto:%22%22@x.example", "", "an empty one in quotes"},
      {"mailto:%22a@x.example", "", "quotes never closed"},
      {"mailto:%22a%5C%22@x.example", "", "the closing quote is escaped"},
      {"mailto:a@", "", "no domain"},
      {"mailto:a@.", "", "the root"},
      {"mailto:", "", "nothing"},
      {"mailto://a@x.example", "mailto://a@x.example", "slashes are atom octets: an odd local-part, but one"},
      {"mailto:a@[192.0.2.1]", "", "an address literal"},
      {"mailto:a@*.x.example", "", "a wildcard, to which SMTP has no mail"},
      {"mailto:a1234567890123456789012345678901234567890123456789012345678901234@x.example", "",
       "a local-part of 65 octets"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.uri);
    CAPTURE(row.why);
    CHECK(rua_of(row.uri) == row.rua);
  }
}

TEST_CASE("RPT-04: every address that is taken from a URI is one that SMTP can send to") {
  const std::string digits = "0123456789ABCDEF";
  std::size_t taken = 0;
  for (int c = 0; c < 256; ++c) {
    const std::string octet = {'%', digits[static_cast<std::size_t>(c) / 16], digits[static_cast<std::size_t>(c) % 16]};
    for (const std::string& uri : {"mailto:a" + octet + "b@x.example", "mailto:%22" + octet + "%22@x.example",
                                   "mailto:%22%5C" + octet + "%22@x.example", "mailto:a@x" + octet + "y.example",
                                   "mailto:" + octet + "@x.example", "mailto:a@" + octet + ".example"}) {
      const auto record = parse_record("v=TLSRPTv1;rua=" + uri);
      REQUIRE(record.has_value());
      if (record->rua.empty()) continue;
      ++taken;
      CAPTURE(uri);
      const auto address = smtp::Mailbox::parse(mail_of(*record).text());
      const auto* mailbox = std::get_if<smtp::Mailbox>(&address);
      REQUIRE(mailbox != nullptr);
      CHECK(mailbox->domain() == mail_of(*record).domain);
    }
  }
  CHECK(taken > 300);
}

}  // namespace tlsrpt_record_test
