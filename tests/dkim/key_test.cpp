// SPDX-License-Identifier: Apache-2.0
#include "dkim/key.h"

#include <doctest/doctest.h>
#include <openssl/err.h>

#include "dkim/canonical.h"
#include "tests/dkim/verify.h"

namespace dkim_key_test {

using namespace hoplock;
using namespace hoplock::dkim;

namespace {
// RFC 8463 appendix A: the 32 octets of the private key, wrapped as PKCS #8.
constexpr const char* rfc8463_key =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
    "-----END PRIVATE KEY-----\n";
}  // namespace

TEST_CASE("DKIM-01: RSA of 2048 bits signs with rsa-sha256; a weaker key is refused, with its size") {
  const auto good = Key::parse(testing::rsa_pem(2048));
  REQUIRE(good.has_value());
  CHECK(good->algorithm() == Algorithm::rsa_sha256);
  CHECK(to_text(good->algorithm()) == "rsa-sha256");
  const auto signature = good->sign(testing::sha256("some text"));
  REQUIRE(signature);
  CHECK(signature->size() == 256);
  CHECK(testing::verify_hash("rsa-sha256", good->public_key(), "some text", *signature));
  CHECK_FALSE(testing::verify_hash("rsa-sha256", good->public_key(), "other text", *signature));
  CHECK(good->record() == "v=DKIM1; k=rsa; p=" + good->public_key());

  for (const unsigned bits : {1024U, 2040U}) {
    const auto weak = Key::parse(testing::rsa_pem(bits));
    REQUIRE_FALSE(weak.has_value());
    CHECK(weak.error().detail ==
          "an RSA key of " + std::to_string(bits) + " bits is too weak; at least 2048 are needed");
  }
}

TEST_CASE("DKIM-02: the signature of RFC 8463's appendix, octet by octet; p= is the bare 32-octet key") {
  const auto key = Key::parse(rfc8463_key);
  REQUIRE(key.has_value());
  CHECK(key->algorithm() == Algorithm::ed25519_sha256);
  CHECK(key->public_key() == "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
  CHECK(key->public_key().size() == 44);

  BodyHash body;
  body.feed("Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n");
  CHECK(to_base64(body.finish()) == "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=");

  std::string hashed = relaxed_field("From: Joe SixPack <joe@football.example.com>\r\n");
  hashed += relaxed_field("To: Suzie Q <suzie@shopping.example.net>\r\n");
  hashed += relaxed_field("Subject: Is dinner ready?\r\n");
  hashed += relaxed_field("Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n");
  hashed += relaxed_field("Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n");
  std::string last = relaxed_field(
      "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
      " d=football.example.com; i=@football.example.com;\r\n"
      " q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
      " subject : date : message-id : from : subject : date;\r\n"
      " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
      " b=\r\n");
  last.resize(last.size() - 2);
  const auto signature = key->sign(testing::sha256(hashed + last));
  REQUIRE(signature);
  CHECK(to_base64(*signature) ==
        "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==");
}

TEST_CASE(
    "a key that cannot be used is refused with a reason that an operator understands, and leaves no OpenSSL error") {
  ERR_clear_error();
  struct Row {
    std::string pem;
    const char* error;
    const char* why;
  };
  const std::string good = testing::ed25519_pem();
  const Row rows[] = {
      {"", "no PEM: there is no -----BEGIN line in it", "an empty file"},
      {"v=DKIM1; p=abc", "no PEM: there is no -----BEGIN line in it", "the DNS record instead of the key"},
      {"-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n", "the PEM holds no private key",
       "the public half"},
      {"-----BEGIN CERTIFICATE-----\nMCow\n-----END CERTIFICATE-----\n", "the PEM holds no private key",
       "a certificate"},
      {good.substr(0, good.size() / 2), "the PEM holds no private key that can be read", "cut off"},
      {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
       "the PEM holds no private key that can be read", "junk"},
      {testing::ec_pem(), "the key is neither RSA nor Ed25519, the only kinds that DKIM knows", "an EC key"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    const auto key = Key::parse(row.pem);
    REQUIRE_FALSE(key.has_value());
    CHECK(key.error().detail == row.error);
    CHECK(ERR_peek_error() == 0);
  }

  BIO* bio = BIO_new(BIO_s_mem());
  EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  const unsigned char passphrase[] = "secret";
  PEM_write_bio_PrivateKey(bio, key, EVP_aes_128_cbc(), passphrase, 6, nullptr, nullptr);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  const auto encrypted = Key::parse(std::string_view(data, static_cast<std::size_t>(size)));
  BIO_free(bio);
  EVP_PKEY_free(key);
  REQUIRE_FALSE(encrypted.has_value());
  CHECK(encrypted.error().detail == "the key is encrypted; a key without passphrase is needed");
  CHECK(ERR_peek_error() == 0);
}

}  // namespace dkim_key_test
