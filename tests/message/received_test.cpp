// SPDX-License-Identifier: Apache-2.0
#include "message/received.h"

#include <doctest/doctest.h>

#include "base/ascii.h"
#include "message/date.h"
#include "message/header_scan.h"

namespace message_received_test {

using namespace hoplock;
using namespace hoplock::message;

namespace {
const Time noon = *parse_rfc3339("2026-11-21T19:14:09.123Z");

Received example() {
  Received received;
  received.helo = "client.example";
  received.client = *Ip::parse("192.0.2.1");
  received.by = "relay.example.net";
  received.with = "ESMTP";
  received.id = "4Xy0aB12";
  received.date = noon;
  return received;
}
}  // namespace

TEST_CASE("to_rfc5322: UTC, as RFC 5322 section 3.3 writes it") {
  CHECK(to_rfc5322(noon) == "Sat, 21 Nov 2026 19:14:09 +0000");
  CHECK(to_rfc5322(*parse_rfc3339("2024-02-29T00:00:00Z")) == "Thu, 29 Feb 2024 00:00:00 +0000");
  CHECK(to_rfc5322(*parse_rfc3339("2027-01-01T23:59:59Z")) == "Fri, 01 Jan 2027 23:59:59 +0000");
}

TEST_CASE("SUB-31: the one Received field: EHLO name, address literal, by, with, id, date") {
  Received received = example();
  CHECK(to_field(received) ==
        "Received: from client.example ([192.0.2.1])\r\n"
        "\tby relay.example.net with ESMTP id 4Xy0aB12;\r\n"
        "\tSat, 21 Nov 2026 19:14:09 +0000\r\n");
  received.client = *Ip::parse("2001:db8::1");
  received.client_name = "host.example";
  received.with = "ESMTPS";
  received.tls_version = "TLSv1.3";
  received.tls_cipher = "TLS_AES_256_GCM_SHA384";
  received.for_address = "bob@example.com";
  CHECK(to_field(received) ==
        "Received: from client.example (host.example [IPv6:2001:db8::1])\r\n"
        "\t(TLSv1.3 cipher TLS_AES_256_GCM_SHA384)\r\n"
        "\tby relay.example.net with ESMTPS id 4Xy0aB12\r\n"
        "\tfor <bob@example.com>;\r\n"
        "\tSat, 21 Nov 2026 19:14:09 +0000\r\n");
  received.client = *Ip::parse("::ffff:192.0.2.7");
  CHECK(to_field(received).find("[192.0.2.7]") != std::string::npos);
}

TEST_CASE("SUB-31: nothing that a client says can end the field, open a comment or add a clause") {
  for (const char* helo :
       {"", "a\r\nX-Evil: 1", "a (b", "a) by evil.example (", "a;b", "a b", "\xc3\xa4.example", "\"a", "a\\", "<x>"}) {
    Received received = example();
    received.helo = helo;
    received.client_name = helo;
    received.tls_version = "TLSv1.3";
    received.tls_cipher = helo;
    const std::string field = to_field(received);
    CAPTURE(field);
    HeaderScan scan("relay.example.net");
    scan.feed(field);
    scan.finish();
    CHECK(scan.facts().fields == 1);
    CHECK(scan.facts().received_by_us == 1);
    CHECK_FALSE(scan.facts().eight_bit);
    for (const std::string_view line : split(std::string_view(field).substr(0, field.size() - 2), '\n'))
      CHECK(line.size() < 900);
    CHECK(std::count(field.begin(), field.end(), ';') == 1);
    CHECK(std::count(field.begin(), field.end(), '(') == 2);
  }
  Received received = example();
  const std::string long_name(5000, 'x');
  received.helo = long_name;
  received.for_address = "\xce\xb4@example.org";
  CHECK(to_field(received).size() < 600);
  CHECK(to_field(received).find("for") == std::string::npos);
  received.for_address = "a\r\n@b";
  CHECK(to_field(received).find("for") == std::string::npos);
}

}  // namespace message_received_test
