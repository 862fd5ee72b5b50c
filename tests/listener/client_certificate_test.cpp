// SPDX-License-Identifier: Apache-2.0
// Mutual TLS: whose certificate lets a client relay.
#include <doctest/doctest.h>

#include "tests/support/intake.h"
#include "tests/support/smtp_client.h"
#include "tests/support/test_ca.h"

namespace listener_client_certificate_test {

using namespace hoplock;
using support::Intake;
using support::SmtpClient;

namespace {

support::Recipe authority(const std::string& name) {
  support::Recipe recipe;
  recipe.cn = name;
  recipe.ca = true;
  return recipe;
}

support::Recipe leaf(std::vector<std::string> names, const std::string& usage = "") {
  support::Recipe recipe;
  recipe.cn = "mail.contoso.com";  // a common name proves nothing
  recipe.dns = std::move(names);
  recipe.extended_key_usage = usage;
  return recipe;
}

struct Door {
  support::TempDir dir;
  support::Certificate ca{authority("Contoso CA")};
  support::Certificate other{authority("Another CA")};
  listener::Options options = Intake::usual();
  explicit Door(std::vector<const char*> names) {
    auto& address = options.addresses[0];
    address.allow.clear();
    address.client_ca = dir.write("ca.pem", ca.pem());
    for (const char* name : names) address.client_names.push_back(*dns::Name::parse(name));
  }
};

// The reply to a RCPT for anybody.
std::string tried_relay(Intake& intake, const net::CertificateFiles& presented) {
  SmtpClient client(intake.port());
  client.greet();
  client.start_tls(presented);
  client.command("EHLO client.test");
  client.command("MAIL FROM:<a@example.net>");
  return client.command("RCPT TO:<u@example.org>").substr(0, 9);
}

}  // namespace

TEST_CASE("SUB-01: a client may relay when its certificate verifies and names one of client_names, not otherwise") {
  Door door({"mail.contoso.com", "*.fabrikam.com"});
  Intake intake(door.options);
  support::Recipe expired = leaf({"mail.contoso.com"});
  expired.valid_to = std::chrono::hours(-1);
  const support::Certificate between(authority("Contoso Issuing CA"), door.ca);
  struct Row {
    support::Certificate certificate;
    std::vector<const support::Certificate*> chain;
    const char* reply;
    const char* why;
  };
  std::vector<Row> rows;
  const auto add = [&](const support::Recipe& recipe, const support::Certificate& issuer, const char* reply,
                       const char* why) {
    rows.push_back(Row{support::Certificate(recipe, issuer), {}, reply, why});
  };
  add(leaf({"mail.contoso.com"}), door.ca, "250 2.1.5", "the name itself");
  add(leaf({"other.contoso.com", "MAIL.Contoso.COM"}), door.ca, "250 2.1.5", "a second name, in another case");
  add(leaf({"mail.contoso.com"}, "clientAuth"), door.ca, "250 2.1.5", "for TLS clients");
  add(leaf({"mail.contoso.com"}, "serverAuth"), door.ca, "250 2.1.5", "public authorities sign for servers only");
  add(leaf({"mail.contoso.com"}, "codeSigning"), door.ca, "454 4.7.1", "not for TLS");
  add(leaf({"edge1.fabrikam.com"}), door.ca, "250 2.1.5", "below the wildcard");
  add(leaf({"*.fabrikam.com"}), door.ca, "250 2.1.5", "the certificate's own wildcard");
  add(leaf({"fabrikam.com"}), door.ca, "454 4.7.1", "the wildcard does not take the domain itself");
  add(leaf({"a.edge1.fabrikam.com"}), door.ca, "454 4.7.1", "one label in place of the star, not two");
  add(leaf({"*.edge1.fabrikam.com"}), door.ca, "454 4.7.1", "nor a wildcard below it");
  add(leaf({"edge1.fabrikam.com.evil.example"}), door.ca, "454 4.7.1", "a longer name");
  add(leaf({"other.contoso.com"}), door.ca, "454 4.7.1", "another name");
  add(leaf({}), door.ca, "454 4.7.1", "the name only in the subject");
  add(leaf({"mail.contoso.com"}), door.other, "454 4.7.1", "another authority");
  add(expired, door.ca, "454 4.7.1", "expired");
  rows.push_back(Row{support::Certificate(leaf({"mail.contoso.com"})), {}, "454 4.7.1", "signed by itself"});
  rows.push_back(Row{support::Certificate(leaf({"mail.contoso.com"}), between), {&between}, "250 2.1.5", "a chain"});
  rows.push_back(Row{support::Certificate(leaf({"mail.contoso.com"}), between), {}, "454 4.7.1", "half a chain"});
  for (std::size_t i = 0; i < rows.size(); ++i) {
    CAPTURE(rows[i].why);
    const auto files = support::write_chain(door.dir, "c" + std::to_string(i), rows[i].certificate, rows[i].chain);
    CHECK(tried_relay(intake, files) == rows[i].reply);
  }
  CHECK(tried_relay(intake, {}) == "550 5.7.1");
}

TEST_CASE(
    "a client is asked for a certificate only where there is a client_ca, and without client_names it proves nothing") {
  Door door({});
  const support::Certificate good(leaf({"mail.contoso.com"}), door.ca);
  const auto files = support::write_chain(door.dir, "good", good);
  {
    Intake intake(door.options);
    CHECK(tried_relay(intake, files) == "550 5.7.1");
    SmtpClient client(intake.port());
    client.greet();
    client.start_tls();
    CHECK(client.was_asked_for_certificate());
    CHECK(client.asked_authorities() == 1);
  }
  door.options.addresses[0].client_ca.clear();
  Intake intake(door.options);
  SmtpClient client(intake.port());
  client.greet();
  client.start_tls();
  CHECK_FALSE(client.was_asked_for_certificate());
}

TEST_CASE("a list of authorities that Schannel could not take is not sent, and the certificate counts all the same") {
  Door door({"mail.contoso.com"});
  std::string bundle = door.ca.pem();
  for (int i = 0; i < 150; ++i) {
    const std::string name = "A certification authority with a name of some length, number " + std::to_string(i);
    bundle += support::Certificate(authority(name.substr(0, 64))).pem();
  }
  door.options.addresses[0].client_ca = door.dir.write("bundle.pem", bundle);
  Intake intake(door.options);
  const support::Certificate good(leaf({"mail.contoso.com"}), door.ca);
  CHECK(tried_relay(intake, support::write_chain(door.dir, "good", good)) == "250 2.1.5");
  SmtpClient client(intake.port());
  client.greet();
  client.start_tls();
  CHECK(client.was_asked_for_certificate());
  CHECK(client.asked_authorities() == 0);
}

TEST_CASE("a client_ca that holds no certificate is refused, and says which file") {
  Door door({"mail.contoso.com"});
  Intake intake;
  door.options.addresses[0].client_ca = door.dir.write("bad.pem", "nothing\n");
  const auto error = intake.open(door.options);
  REQUIRE(error.has_value());
  CHECK(error->what == listener::ListenError::What::client_ca);
  CHECK(error->error.detail.find("bad.pem") != std::string::npos);
}

TEST_CASE("implicit TLS takes the client's certificate too") {
  Door door({"mail.contoso.com"});
  door.options.addresses[0].tls = smtp::TlsMode::implicit;
  Intake intake(door.options);
  const support::Certificate good(leaf({"mail.contoso.com"}), door.ca);
  SmtpClient client(intake.port());
  REQUIRE(client.handshake(support::write_chain(door.dir, "good", good)));
  client.greet();
  CHECK(client.deliver("Subject: x\r\n\r\nx\r\n").starts_with("250 2.0.0 "));
}

TEST_CASE("a certificate that lets nobody relay: the line names it, its names, its end, and what was wrong") {
  Door door({"mail.contoso.com"});
  Intake intake(door.options);
  support::Recipe expired = leaf({"mail.contoso.com", "alt.contoso.com"});
  expired.valid_to = std::chrono::hours(-1);
  struct Row {
    support::Certificate certificate;
    const char* wrong;
  };
  std::vector<Row> rows;
  rows.push_back({support::Certificate(expired, door.ca), "certificate has expired"});
  rows.push_back(
      {support::Certificate(leaf({"mail.contoso.com"}), door.other), "unable to get local issuer certificate"});
  rows.push_back({support::Certificate(leaf({"other.contoso.com"}), door.ca), "none of its names is in client_names"});
  for (std::size_t i = 0; i < rows.size(); ++i) {
    CAPTURE(rows[i].wrong);
    const auto files = support::write_chain(door.dir, "w" + std::to_string(i), rows[i].certificate);
    CHECK(tried_relay(intake, files) == "454 4.7.1");
    intake.wait_idle();
    const auto rejected = intake.log().events("rejected");
    REQUIRE(rejected.size() == i + 1);
    const Event& line = rejected.back();
    CHECK(std::string(line.get("cert_error")).find(rows[i].wrong) != std::string::npos);
    CHECK(line.get("cert_subject") == "CN=mail.contoso.com");
    CHECK(std::string(line.get("cert_names")).find("contoso.com") != std::string::npos);
    CHECK(std::string(line.get("cert_expires")).ends_with("Z"));
    CHECK(line.get("cert").size() == 64);
    CHECK(line.get("why") == "address not in allow, no login (off here), certificate refused");
    CHECK(line.get("listener") == "127.0.0.1:" + std::to_string(intake.port()));
  }
  CHECK(tried_relay(intake, {}) == "550 5.7.1");
  intake.wait_idle();
  CHECK(intake.log().events("rejected").back().get("why") ==
        "address not in allow, no login (off here), no certificate");
}

TEST_CASE("rejected says of each reason whether the client lacked it, or TLS, or the listener does not offer it") {
  const auto why = [](Door& door) {
    Intake intake(door.options);
    {
      SmtpClient client(intake.port());
      client.greet();
      client.command("EHLO client.test");
      client.command("MAIL FROM:<a@example.net>");
      client.command("RCPT TO:<u@example.org>");
    }
    intake.wait_idle();
    return std::string(intake.log().events("rejected").back().get("why"));
  };
  Door certificates({"mail.contoso.com"});
  CHECK(why(certificates) == "address not in allow, no login (off here), no certificate (needs TLS)");
  Door nothing({});
  CHECK(why(nothing) == "address not in allow, no login (off here), no certificate (not asked for here)");
  nothing.options.addresses[0].users_file = nothing.dir.write("users", "# nobody\n");
  CHECK(why(nothing) == "address not in allow, no login (needs TLS), no certificate (not asked for here)");
}

TEST_CASE("accepted says which certificate and which listener let the client relay") {
  Door door({"mail.contoso.com"});
  Intake intake(door.options);
  const support::Certificate good(leaf({"mail.contoso.com"}), door.ca);
  SmtpClient client(intake.port());
  client.greet();
  client.start_tls(support::write_chain(door.dir, "good", good));
  client.command("EHLO client.test");
  CHECK(client.deliver("Subject: x\r\n\r\nx\r\n").starts_with("250 2.0.0 "));
  const auto accepted = intake.log().events("accepted");
  REQUIRE(accepted.size() == 1);
  CHECK(accepted[0].get("cert").size() == 64);
  CHECK(accepted[0].get("cert_subject") == "CN=mail.contoso.com");
  CHECK(accepted[0].get("listener") == "127.0.0.1:" + std::to_string(intake.port()));
}

}  // namespace listener_client_certificate_test
