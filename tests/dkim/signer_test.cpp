// SPDX-License-Identifier: Apache-2.0
#include "dkim/signer.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/dkim/verify.h"

namespace dkim_signer_test {

using namespace hoplock;
using namespace hoplock::dkim;

namespace {
const Time now = from_millis(1740787200500);

std::shared_ptr<const Key> key_of(const std::string& pem) {
  return std::make_shared<const Key>(Key::parse(pem).value());
}
dns::Name name(const char* text) { return dns::Name::parse(text).value(); }

// example.net signs with an RSA and an Ed25519 key, example.org with an RSA key.
struct Ring {
  std::shared_ptr<const Key> rsa = key_of(testing::rsa_pem());
  std::shared_ptr<const Key> ed = key_of(testing::ed25519_pem());
  std::shared_ptr<const Keyring> keyring = std::make_shared<const Keyring>(
      Keyring::make(
          {{name("example.net"), "rsa1", rsa}, {name("example.net"), "ed1", ed}, {name("example.org"), "rsa1", rsa}})
          .value());
  std::map<std::string, std::string> published{{"rsa1", rsa->public_key()}, {"ed1", ed->public_key()}};
};
const Ring& ring() {
  static const Ring made;
  return made;
}

Signed sign(std::string_view message, std::size_t step = 65536) {
  Signer signer(ring().keyring);
  for (std::size_t at = 0; at < message.size(); at += step) signer.feed(message.substr(at, step));
  auto done = signer.finish(now);
  REQUIRE(done.has_value());
  CHECK(done->fields.empty() != done->why_not.empty());
  return *done;
}

std::string check(const std::string& message) {
  const auto first = testing::verify(message, ring().published, 0);
  return first == testing::verify(message, ring().published, 1) ? first : "the two signatures differ";
}

const std::string mail =
    "Received: from a by b; Sat, 1 Mar 2025 00:00:00 +0000\r\n"
    "From: Ann <ann@example.net>\r\n"
    "To: bob@example.com,\r\n\tcarol@example.com\r\n"
    "Subject: a  folded\r\n subject\r\n"
    "Message-ID: <1@example.net>\r\n"
    "List-Unsubscribe: <https://example.net/u>\r\n"
    "\r\n"
    "Hello  Bob, \r\n\r\nbye\t\r\n\r\n";

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  text.replace(text.find(from), from.size(), to);
  return text;
}
}  // namespace

TEST_CASE(
    "DKIM-02, DKIM-04: each key of the domain makes a signature that a verifier accepts, the same in every split") {
  const auto whole = sign(mail);
  CHECK(check(whole.fields + mail) == "pass");
  for (const std::size_t step : {1, 2, 3, 7, 64, 200}) {
    CHECK(check(sign(mail, step).fields + mail) == "pass");
  }
  const auto fields = testing::slow_fields(whole.fields);
  REQUIRE(fields.size() == 2);
  CHECK(testing::tags_of(fields[0])["a"] == "rsa-sha256");
  CHECK(testing::tags_of(fields[1])["a"] == "ed25519-sha256");
}

TEST_CASE("DKIM-04: bodies of every odd form verify") {
  const std::string header = "From: ann@example.net\r\n";
  for (const std::string body :
       {"", "\r\n", "\r\n\r\n", "\r\n \t\r\n\r\n", "\r\nno line end", "\r\nblanks  ", "\r\n\t\ttabs\tand\t\t\r\n\t"}) {
    CAPTURE(body);
    CHECK(check(sign(header + body).fields + header + body) == "pass");
  }
}

TEST_CASE("DKIM-03: a field added or changed breaks the signature; Received and Return-Path may come") {
  const std::string good = sign(mail).fields + mail;
  for (const char* added :
       {"From: eve@evil.example", "To: x@y", "Cc: x@y", "Subject: other", "Date: Sat, 1 Mar 2025 00:00:00 +0000",
        "Message-ID: <2@x>", "Reply-To: eve@evil.example", "MIME-Version: 1.0", "Content-Type: text/html",
        "Content-Transfer-Encoding: base64", "TLS-Report-Domain: x", "TLS-Report-Submitter: x"}) {
    CAPTURE(added);
    CHECK(check(std::string(added) + "\r\n" + good) == "signature");  // above the header
    CHECK(check(replaced(good, "\r\n\r\n", "\r\n" + std::string(added) + "\r\n\r\n")) == "signature");  // below it
  }
  CHECK(check(replaced(good, "folded", "forged")) == "signature");
  CHECK(check(replaced(good, "example.net/u", "evil.example/")) == "signature");
  CHECK(check("Received: from c by d; Sat, 1 Mar 2025 00:01:00 +0000\r\nReturn-Path: <a@b>\r\n" + good) == "pass");
  CHECK(check(replaced(good, "from a by b", "from x by y")) == "pass");
}

TEST_CASE("DKIM-03: a field that is there several times is signed each time") {
  const std::string many = "Cc: one@example.com\r\nCc: two@example.com\r\n" + mail;
  const std::string good = sign(many).fields + many;
  CHECK(check(good) == "pass");
  CHECK(check(replaced(good, "Cc: one@example.com\r\n", "")) == "signature");
  CHECK(check("Cc: three@example.com\r\n" + good) == "signature");
}

TEST_CASE("DKIM-05: there is no l=: appended text breaks the signature") {
  const auto fields = sign(mail).fields;
  CHECK(check(fields + mail + "PS: and more\r\n") == "body hash");
  for (const auto& field : testing::slow_fields(fields)) CHECK(testing::tags_of(field).count("l") == 0);
}

TEST_CASE("DKIM-08: only messages whose From names one configured domain are signed") {
  struct Row {
    const char* from;  // the field or fields
    bool is_signed;
    const char* why;
  };
  const Row rows[] = {
      {"From: ann@example.net\r\n", true, "a configured domain"},
      {"FROM : \"ann@example.com\" <ann@EXAMPLE.net>\r\n", true, "in any case, with a name before it"},
      {"From: a@example.net, b@example.net\r\n", true, "two authors of one domain"},
      {"From: a@example.com\r\n", false, "no key for it"},
      {"From: a@sub.example.net\r\n", false, "a subdomain is another domain"},
      {"From: a@example.net, b@example.org\r\n", false, "two domains, though both have keys"},
      {"From: a@example.net\r\nFrom: a@example.net\r\n", false, "two From fields"},
      {"To: a@example.net\r\n", false, "no From field"},
      {"From: nobody\r\n", false, "no address in it"},
      {"From: <>\r\n", false, "an empty one"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    const auto done = sign(std::string(row.from) + "Subject: x\r\n\r\nbody\r\n", 5);
    CHECK(done.fields.empty() != row.is_signed);
  }
}

TEST_CASE("DKIM-08: a signature that is there already is neither touched nor signed") {
  const std::string signed_before = "DKIM-Signature: v=1; a=rsa-sha256; d=elsewhere.example; b=x\r\n" + mail;
  const std::string good = sign(signed_before).fields + signed_before;
  CHECK(check(good) == "pass");
  CHECK(good.ends_with(signed_before));
  CHECK(check(replaced(good, "DKIM-Signature: v=1; a=rsa-sha256; d=elsewhere.example; b=x\r\n", "")) == "pass");
}

TEST_CASE("DKIM-09: the field has its tags once each, in lines of at most 78 columns") {
  const auto done = sign(mail);
  for (const auto& field : testing::slow_fields(done.fields)) {
    auto tags = testing::tags_of(field);
    std::vector<std::string> names;
    for (const auto& [tag, value] : tags) names.push_back(tag);
    CHECK(names == std::vector<std::string>{"a", "b", "bh", "c", "d", "h", "s", "t", "v"});
    CHECK(tags["v"] == "1");
    CHECK(tags["c"] == "relaxed/relaxed");
    CHECK(tags["d"] == "example.net");
    CHECK(tags["t"] == "1740787200");
    CHECK(tags["h"].starts_with("From:From:To:To:Cc:Subject:Subject:"));
    CHECK(from_base64(tags["b"]));
    CHECK(field.ends_with("\r\n"));
    for (const auto line : split(field, '\n')) CHECK(line.size() <= 79);  // the CR among them
  }
  // A domain as long as names get stands on a line of its own.
  const std::string label(60, 'a');
  const dns::Name longest = name((label + "." + label + "." + label + ".example").c_str());
  Signer signer(std::make_shared<const Keyring>(Keyring::make({{longest, std::string(60, 's'), ring().rsa}}).value()));
  const std::string message = "From: a@" + longest.text() + "\r\n\r\nx\r\n";
  signer.feed(message);
  const auto field = signer.finish(now)->fields;
  CHECK(testing::verify(field + message, {{std::string(60, 's'), ring().rsa->public_key()}}) == "pass");
  for (const auto line : split(field, '\n')) CHECK((line.size() <= 79 || line.find("\td=aaaa") == 0));
}

TEST_CASE("what is signed is the content as it is: no dot-stuffing") {
  const std::string dots = "From: ann@example.net\r\n\r\n.\r\n..\r\n.leading dot\r\n";
  CHECK(check(sign(dots, 1).fields + dots) == "pass");
}

TEST_CASE("a message that verifiers could read in two ways is left unsigned, with a reason") {
  struct Row {
    std::string message;
    const char* why_not;
  };
  const Row rows[] = {
      {"\r\nbody\r\n", "the message has no header"},
      {"", "the message has 0 From fields"},
      {"From: a@example.net\r\nno field\r\n\r\nbody\r\n", "a line of the header is no field"},
      {"From: a@example.net\r\nbad name: x\r\n\r\nbody\r\n", "a line of the header is no field"},
      {" folded: first\r\nFrom: a@example.net\r\n\r\n", "a line of the header is no field"},
      {"From: a@example.net\r\nX: " + std::string(Signer::most_header, 'x') + "\r\n\r\n",
       "the header is larger than 1048576 octets"},
      {"From: a@example.com\r\n\r\n", "no key is configured for example.com"},
      {"From: a@example.com, b@example.net\r\n\r\n", "the From field names no domain, or more than one"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why_not);
    CHECK(sign(row.message).why_not == row.why_not);
    CHECK(sign(row.message, 1000).why_not == row.why_not);
  }
  std::string many = "From: a@example.net\r\n";
  for (int i = 0; i < 100; ++i) many += "To: b@example.com\r\n";
  CHECK(sign(many + "\r\n").why_not == "the header has too many fields to sign");
  Signer nobody(std::make_shared<const Keyring>());
  CHECK_FALSE(nobody.is_signing());
  nobody.feed(mail);
  CHECK(nobody.finish(now)->why_not == "no domain is configured for signing");
}

TEST_CASE("a keyring refuses a selector that is no name, and one that is there twice") {
  const auto make = [](std::vector<Identity> ids) { return Keyring::make(std::move(ids)); };
  for (const char* selector : {"", "a b", "a..b", "a;b", ".a"}) {
    CAPTURE(selector);
    CHECK_FALSE(make({{name("example.net"), selector, ring().rsa}}).has_value());
  }
  CHECK(make({{name("example.net"), "2025.relay_1", ring().rsa}}).has_value());
  CHECK_FALSE(make({{name("example.net"), "s", ring().rsa}, {name("example.net"), "S", ring().ed}}).has_value());
  CHECK(make({{name("example.net"), "s", ring().rsa}, {name("example.org"), "s", ring().rsa}}).has_value());
}

}  // namespace dkim_signer_test
