// SPDX-License-Identifier: Apache-2.0
#include "message/header_scan.h"

#include <doctest/doctest.h>

namespace message_header_scan_test {

using namespace hoplock::message;

namespace {

HeaderFacts scan(std::string_view content, std::size_t step) {
  HeaderScan header("relay.example.net");
  while (!content.empty()) {
    header.feed(content.substr(0, step));
    content.remove_prefix(std::min(step, content.size()));
  }
  header.finish();
  CHECK_FALSE(header.in_header());
  return header.facts();
}

}  // namespace

TEST_CASE("SUB-32: Received fields are counted, and those whose `by` names our host, at every split") {
  const std::string content =
      "Received: from a (a [192.0.2.1]) by relay.example.net with ESMTP id 1; Sat, 21 Nov 2026 19:14:09 +0000\r\n"
      "RECEIVED:\r\n\tfrom b\r\n\t(by relay.example.net (really))\r\n\tBy Relay.Example.NET. (hoplock) with SMTP; x\r\n"
      "Received: from relay.example.net by mx.example.org; by relay.example.net\r\n"
      "Received: from \"by relay.example.net\" by other.example\r\n"
      "Received : by relay.example.net(x); y\r\n"
      "X-Received: by relay.example.net\r\n"
      "Subject: Received: by relay.example.net\r\n"
      " Received: by relay.example.net\r\n"
      "\r\n"
      "Received: by relay.example.net\r\n";
  for (std::size_t step = 1; step <= content.size(); ++step) {
    const HeaderFacts facts = scan(content, step);
    CAPTURE(step);
    CHECK(facts.received == 5);
    CHECK(facts.received_by_us == 3);
    CHECK(facts.fields == 7);
  }
}

TEST_CASE("Message-ID, From and TLS-Required are kept unfolded, of each the first") {
  const std::string content =
      "From: Ann\r\n <ann@example.org>\r\nMessage-ID:\r\n  <1@x>  \r\nmessage-id: <2@x>\r\nTLS-Required:  No \r\nfrom: "
      "b@example.org\r\n"
      "TLS-Required: yes\r\n\r\nMessage-ID: <3@x>\r\n";
  for (std::size_t step = 1; step <= content.size(); ++step) {
    const HeaderFacts facts = scan(content, step);
    CHECK(facts.message_id == "<1@x>");
    CHECK(facts.from_fields == 2);
    CHECK(facts.from == "Ann <ann@example.org>");
    CHECK(facts.tls_required == 2);
    CHECK(facts.tls_required_value == "No");
  }
}

TEST_CASE("RTLS-12: exactly one TLS-Required field with its only value asks for anything") {
  const struct {
    const char* content;
    bool asks;
    const char* why;
  } rows[] = {
      {"TLS-Required: No\r\n\r\nx", true, "as it is written"},
      {"tls-required:no\r\n\r\n", true, "in any case"},
      {"TLS-Required :\r\n NO \r\nA: b\r\n\r\n", true, "folded"},
      {"TLS-Required: No", true, "a header without a body"},
      {"A: b\r\n\r\n", false, "no field"},
      {"TLS-Required:\r\n\r\n", false, "no value"},
      {"TLS-Required: Yes\r\n\r\n", false, "another value"},
      {"TLS-Required: No Yes\r\n\r\n", false, "two values"},
      {"TLS-Required: No, No\r\n\r\n", false, "a list"},
      {"TLS-Required: No (comment)\r\n\r\n", false, "its grammar has no comments"},
      {"TLS-Required: \"No\"\r\n\r\n", false, "nor quotes"},
      {"TLS-Required: N o\r\n\r\n", false, "blanks within"},
      {"TLS-Required: No\r\nTLS-Required: No\r\n\r\n", false, "twice"},
      {"TLS-Required: No\r\nTLS-Required: Yes\r\n\r\n", false, "twice, and they differ"},
      {"TLS-Required: Yes\r\nTLS-Required: No\r\n\r\n", false, "likewise"},
      {"A: b\r\n\r\nTLS-Required: No\r\n", false, "in the body"},
      {"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nTLS-Required: No\r\n\r\nx\r\n--b--\r\n", false,
       "of a part"},
      {"X-TLS-Required: No\r\nTLS-Required-X: No\r\n\r\n", false, "other fields"},
      {"Subject: a\r\n TLS-Required: No\r\n\r\n", false, "within another field"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    for (const std::size_t step : {std::size_t{1}, std::size_t{1000}})
      CHECK(says_tls_not_required(scan(row.content, step)) == row.asks);
  }
  const std::string longest = "TLS-Required: No" + std::string(HeaderScan::max_value, ' ') + "x\r\n\r\n";
  CHECK_FALSE(says_tls_not_required(scan(longest, longest.size())));
}

TEST_CASE("where the header ends, and whether there is one") {
  struct Row {
    const char* content;
    std::size_t fields;
    const char* why;
  };
  const Row rows[] = {
      {"", 0, "nothing"},
      {"\r\n", 0, "an empty header"},
      {"\r\nReceived: x\r\n", 0, "a body that looks like a header"},
      {"Hello world\r\nA: b\r\n", 0, "no field: the body begins"},
      {" A: b\r\n", 0, "a continuation of nothing"},
      {"A: b", 1, "the message ends within a field"},
      {"A: b\r\n", 1, "the message ends with its header"},
      {"A:b\r\nnot a field\r\nC:d\r\n", 1, "a line that is no field ends the header"},
      {"A:b\r\n: c\r\nD:e\r\n", 1, "an empty name"},
      {"A\xc3\xa4: b\r\n", 0, "an 8-bit name"},
      {"A:\r\nB:\r\n\r\n", 2, "empty values"},
      {"A :b\r\n", 1, "a blank before the colon, as of old"},
      {"A B:c\r\n", 0, "a blank within the name"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.content);
    CAPTURE(row.why);
    for (const std::size_t step : {std::size_t{1}, std::size_t{2}, std::size_t{100}})
      CHECK(scan(row.content, step).fields == row.fields);
  }
}

TEST_CASE("SUB-17: an octet above 127 is noticed in header and body, wherever it stands") {
  CHECK_FALSE(scan("A: b\r\n\r\n" + std::string(500, 'x'), 64).eight_bit);
  for (std::size_t at = 0; at < 200; ++at) {
    std::string body(200, 'x');
    body[at] = '\x80';
    const HeaderFacts facts = scan("A: b\r\n\r\n" + body, 64);
    CHECK(facts.eight_bit);
    CHECK_FALSE(facts.eight_bit_header);
  }
  CHECK(scan("A: \xc3\xa4\r\n\r\n", 3).eight_bit_header);
}

TEST_CASE("SUB-28: names, values and lines of any length are passed over in bounded memory") {
  const std::string long_name(100'000, 'n');
  const HeaderFacts facts =
      scan(long_name + ": x\r\nMessage-ID: " + std::string(100'000, 'm') + "\r\nFrom: " + std::string(9, ' ') +
               std::string(3000, 'f') + "\r\nReceived: x\r\n\r\n",
           4096);
  CHECK(facts.fields == 4);
  CHECK(facts.received == 1);
  CHECK(facts.message_id.size() <= HeaderScan::max_value);
  CHECK(facts.message_id.size() > 1000);
  CHECK(facts.from.size() <= HeaderScan::max_value);
  CHECK(scan(std::string(100'000, 'n') + "\r\nReceived: x\r\n", 4096).received == 0);
  CHECK(scan("Received" + std::string(100, ' ') + ": x\r\n", 4096).fields <= 1);
}

}  // namespace message_header_scan_test
