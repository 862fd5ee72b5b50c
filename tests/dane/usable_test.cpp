// SPDX-License-Identifier: Apache-2.0
#include "dane/usable.h"

#include <doctest/doctest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "tests/dane/certificate.h"

namespace dane_usable_test {

using namespace hoplock;
using dns::Tlsa;

namespace {
const testing::Der& der() {
  static const testing::Der made = testing::make_der();
  return made;
}

Tlsa digest(int usage, int selector, int matching, char fill = 'x') {
  const auto octet = [](int value) { return static_cast<std::uint8_t>(value); };
  return {octet(usage), octet(selector), octet(matching), std::string(matching == 2 ? 64 : 32, fill)};
}

std::vector<std::string> texts(const std::vector<Tlsa>& records) {
  std::vector<std::string> all;
  for (const auto& record : records) all.push_back(record.text());
  return all;
}

// Whether OpenSSL, which will do the matching, takes the record.
bool openssl_takes(const Tlsa& record) {
  SSL_CTX* ctx = SSL_CTX_new(TLS_client_method());
  SSL_CTX_dane_enable(ctx);
  SSL* ssl = SSL_new(ctx);
  SSL_dane_enable(ssl, "mx.example.org");
  const auto* data = reinterpret_cast<const unsigned char*>(record.data.data());
  const int taken = SSL_dane_tlsa_add(ssl, record.usage, record.selector, record.matching, data, record.data.size());
  ERR_clear_error();
  SSL_free(ssl);
  SSL_CTX_free(ctx);
  return taken > 0;
}
}  // namespace

TEST_CASE(
    "DANE-11: a record is usable only with usage 2 or 3, selector 0 or 1, matching 0 to 2 and data of the right form") {
  struct Row {
    Tlsa record;
    bool usable;
    const char* why;
  };
  const std::string& certificate = der().certificate;
  const std::string& key = der().public_key;
  const std::vector<Row> rows{
      {digest(3, 1, 1), true, "the common form"},
      {digest(3, 0, 1), true, "whole certificate"},
      {digest(3, 1, 2), true, "SHA2-512"},
      {digest(2, 0, 1), true, "trust anchor"},
      {digest(2, 1, 2), true, "trust anchor's key"},
      {{3, 1, 1, std::string(31, 'x')}, false, "31 octets are no SHA2-256"},
      {{3, 1, 1, std::string(33, 'x')}, false, "33 octets are no SHA2-256"},
      {{3, 1, 2, std::string(63, 'x')}, false, "63 octets are no SHA2-512"},
      {{3, 1, 2, std::string(32, 'x')}, false, "a SHA2-256 value under the number of SHA2-512"},
      {{3, 1, 1, std::string(64, 'x')}, false, "a SHA2-512 value under the number of SHA2-256"},
      {{3, 1, 1, std::string(20, 'x')}, false, "SHA-1"},
      {{3, 1, 1, ""}, false, "no data: nothing to read past"},
      {{3, 1, 2, ""}, false, "no data"},
      {{3, 1, 0, ""}, false, "no data"},
      {{3, 0, 0, ""}, false, "no data"},
      {digest(4, 1, 1), false, "usage unassigned"},
      {digest(255, 1, 1), false, "PrivCert"},
      {digest(3, 2, 1), false, "selector unassigned"},
      {digest(3, 7, 1), false, "selector unassigned"},
      {{3, 1, 3, std::string(48, 'x')}, false, "matching type unassigned"},
      {{3, 1, 255, std::string(32, 'x')}, false, "PrivMatch"},
      {{3, 0, 0, certificate}, true, "the certificate itself"},
      {{2, 0, 0, certificate}, true, "an anchor that the server need not send"},
      {{3, 1, 0, key}, true, "the key itself"},
      {{2, 1, 0, key}, true, "an anchor's bare key"},
      {{3, 0, 0, key}, false, "a key where a certificate must be"},
      {{3, 1, 0, certificate}, false, "a certificate where a key must be"},
      {{3, 0, 0, certificate + "x"}, false, "one octet follows the certificate"},
      {{3, 1, 0, key + std::string(1, '\0')}, false, "one octet follows the key"},
      {{3, 0, 0, certificate.substr(0, certificate.size() - 1)}, false, "certificate cut short"},
      {{3, 1, 0, key.substr(0, key.size() - 1)}, false, "key cut short"},
      {{2, 0, 0, "junk that is no DER"}, false, "junk"},
      {{2, 0, 0, std::string("\x30\x84\xff\xff\xff\xff", 6)}, false, "a length of 4 GiB"},
      {{2, 0, 0, std::string("\x30\x80\x00\x00", 4)}, false, "indefinite length, empty"},
      {{2, 1, 0, std::string("\x30\x00", 2)}, false, "empty SEQUENCE"},
      {{2, 0, 0, std::string(65000, '\x30')}, false, "SEQUENCEs nested as deep as rdata can hold"},
      {{3, 1, 1, std::string(65000, 'x')}, false, "huge"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    CAPTURE(row.record.params());
    CHECK(dane::is_usable(row.record) == row.usable);
    CHECK(openssl_takes(row.record) == row.usable);  // the matcher must not refuse what we count on
  }
}

TEST_CASE("DANE-12: PKIX-TA(0) and PKIX-EE(1) are unusable in every form, never mapped to 2 or 3") {
  for (int usage : {0, 1}) {
    for (int selector : {0, 1}) {
      for (int matching : {1, 2}) CHECK_FALSE(dane::is_usable(digest(usage, selector, matching)));
    }
    CHECK_FALSE(dane::is_usable({static_cast<std::uint8_t>(usage), 0, 0, der().certificate}));
    CHECK_FALSE(dane::is_usable({static_cast<std::uint8_t>(usage), 1, 0, der().public_key}));
  }
  CHECK(dane::usable({digest(1, 1, 1), digest(0, 0, 2)}).empty());
}

TEST_CASE("DANE-11: rdata of 0 to 2 octets parses to a record that is unusable") {
  for (std::size_t length : {0U, 1U, 2U, 3U}) {
    CHECK_FALSE(dane::is_usable(dns::parse_tlsa(std::string("\x03\x01\x01", 3).substr(0, length))));
  }
}

TEST_CASE("DANE-13: unusable records beside usable ones are ignored, the others keep their order") {
  const auto chosen =
      dane::usable({digest(0, 0, 1), digest(3, 1, 1, 'b'), {3, 1, 9, "z"}, digest(3, 1, 1, 'a'), digest(2, 0, 1)});
  CHECK(texts(chosen) == texts({digest(3, 1, 1, 'b'), digest(3, 1, 1, 'a'), digest(2, 0, 1)}));
}

TEST_CASE("DANE-25: per usage and selector only the strongest digest and Full(0) records count") {
  const Tlsa full{3, 1, 0, der().public_key};
  struct Row {
    std::vector<Tlsa> records, chosen;
    const char* why;
  };
  const std::vector<Row> rows{
      {{digest(3, 1, 1), digest(3, 1, 2)}, {digest(3, 1, 2)}, "a right 3 1 1 does not save a wrong 3 1 2"},
      {{digest(3, 1, 2), digest(3, 1, 1)}, {digest(3, 1, 2)}, "in either order"},
      {{digest(3, 1, 1), {3, 1, 2, "undersized"}}, {digest(3, 1, 1)}, "an unusable 3 1 2 shadows nothing"},
      {{digest(3, 1, 1), digest(3, 0, 2)}, {digest(3, 1, 1), digest(3, 0, 2)}, "another selector is another set"},
      {{digest(3, 1, 1), digest(2, 1, 2)}, {digest(3, 1, 1), digest(2, 1, 2)}, "another usage is another set"},
      {{digest(3, 1, 1), digest(1, 1, 2)}, {digest(3, 1, 1)}, "PKIX-EE is no set at all"},
      {{full, digest(3, 1, 1), digest(3, 1, 2)}, {full, digest(3, 1, 2)}, "Full(0) always counts and shadows nothing"},
      {{digest(3, 1, 2, 'a'), digest(3, 1, 2, 'b')},
       {digest(3, 1, 2, 'a'), digest(3, 1, 2, 'b')},
       "old and new key (DANE-13)"},
      {{digest(3, 1, 1), digest(3, 1, 1)}, {digest(3, 1, 1)}, "a duplicate counts once"},
      {{}, {}, "nothing of nothing"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    CHECK(texts(dane::usable(row.records)) == texts(row.chosen));
  }
}

TEST_CASE("is_usable leaves OpenSSL's error queue as it found it") {
  ERR_clear_error();
  ERR_raise(ERR_LIB_USER, 42);
  CHECK_FALSE(dane::is_usable({3, 0, 0, "junk"}));
  CHECK_FALSE(dane::is_usable({3, 1, 0, "junk"}));
  CHECK(ERR_GET_REASON(ERR_get_error()) == 42);
  CHECK(ERR_get_error() == 0);
}

}  // namespace dane_usable_test
