// SPDX-License-Identifier: Apache-2.0
// What ClientTls offers, refuses and reports, apart from the verdicts on certificates (dane_test.cpp, pkix_test.cpp).
#include "net/tls_client.h"

#include <doctest/doctest.h>
#include <openssl/ssl.h>
#include <time.h>

#include <filesystem>
#include <thread>

#include "base/ascii.h"
#include "tests/net/client_hello.h"
#include "tests/net/handshakes.h"

namespace net_tls_client_test {

using namespace hoplock;
using namespace hoplock::tests;
using namespace std::chrono_literals;

namespace {
ClientHello hello_under(const Authority& authority, const hop::Connect& plan, net::TlsOptions options = {}) {
  options.ca_file = authority.ca_file;
  const Shown shown = shake(Script().receive().close(), plan, options);
  CHECK(shown.handshake.failure);
  return parse_client_hello(shown.received);
}

net::Handshake shake_with(const Authority& authority, PeerTls tls, const hop::Connect& plan,
                          net::TlsOptions options = {}) {
  tls.files = write_chain(authority.dir, "server", authority.leaf, {&authority.intermediate});
  options.ca_file = authority.ca_file;
  return shake(Script().start_tls(tls).expect("done"), plan, options).handshake;
}
}  // namespace

TEST_CASE("TLS-01: TLS 1.2 and 1.3 are offered, nothing older, whatever the policy") {
  const Authority authority;
  for (const auto& plan : {opportunistic(), pkix_plan(), dane_plan({authority.leaf.tlsa(3, 1, 1)})}) {
    CHECK(hello_under(authority, plan).versions == std::vector<int>{TLS1_3_VERSION, TLS1_2_VERSION});
    const auto old = shake_with(authority, {.min_version = TLS1_VERSION, .max_version = TLS1_1_VERSION}, plan);
    REQUIRE(old.failure);
    CHECK(old.failure->reason == Reason::validation_failure);
    CHECK(old.failure->code == "protocol-version");
    CHECK(old.stage == hop::Stage::handshake);
    const auto new_enough = shake_with(authority, {.max_version = TLS1_2_VERSION}, plan);
    REQUIRE(new_enough.session);
    CHECK(new_enough.session->version == "TLSv1.2");
    CHECK(new_enough.session->cipher == "ECDHE-ECDSA-AES256-GCM-SHA384");
  }
}

TEST_CASE("TLS-01: min_version TLSv1.3 leaves TLS 1.2 out") {
  const Authority authority;
  const net::TlsOptions strict{.min_version = net::TlsVersion::tls13};
  CHECK(hello_under(authority, opportunistic(), strict).versions == std::vector<int>{TLS1_3_VERSION});
  CHECK(shake_with(authority, {.max_version = TLS1_2_VERSION}, opportunistic(), strict).failure);
}

TEST_CASE(
    "TLS-02, DANE-37: the ClientHello has no weak, NULL or anonymous suite, no compression, no raw keys, no early "
    "data") {
  const Authority authority;
  const std::vector<std::pair<hop::Connect, const char*>> plans{
      {opportunistic(), "level 0"},
      {dane_plan({authority.leaf.tlsa(3, 1, 1)}), "level 1"},
      {pkix_plan(), "level 2"},
  };
  for (const auto& [plan, why] : plans) {
    CAPTURE(why);
    const ClientHello hello = hello_under(authority, plan);
    CHECK(hello.suites.size() > 3);
    for (const int suite : hello.suites) {
      const std::string about = describe_suite(suite);
      CAPTURE(about);
      for (const char* bad : {"Enc=None", "Au=None", "RC4", "3DES", "DES(", "Kx=PSK", "Kx=SRP", "Mac=MD5", "EXP"}) {
        CAPTURE(bad);
        CHECK(about.find(bad) == std::string::npos);
      }
    }
    CHECK(describe_suite(hello.suites.front()).find("Mac=AEAD") != std::string::npos);
    CHECK(hello.compressions == std::vector<int>{0});
    CHECK_FALSE(hello.has(TLSEXT_TYPE_early_data));
    CHECK_FALSE(hello.has(19));  // client_certificate_type (RFC 7250)
    CHECK_FALSE(hello.has(20));  // server_certificate_type
  }
}

TEST_CASE("TLS-02: unauthenticated hops take weak keys, since the alternative is clear text") {
  const Authority authority;
  const Certificate weak({.cn = "weak", .key = Key::rsa1024, .digest = "SHA1"});
  const auto result = shake(authority, weak, {}, opportunistic());
  REQUIRE(result.session);
  CHECK_FALSE(result.dane);
  CHECK_FALSE(result.pkix);
}

TEST_CASE("TLS-02: a rule that is only watched makes no handshake fail, since the alternative is clear text") {
  const Authority authority;
  const PeerTls old{.max_version = TLS1_2_VERSION, .signatures = "ECDSA+SHA1:RSA+SHA1"};
  CHECK(shake_with(authority, old, opportunistic()).session);
  for (hop::Connect plan : {pkix_plan(), dane_plan({authority.leaf.tlsa(2, 0, 1)})}) {
    CHECK(shake_with(authority, old, plan).failure);
    plan.on_failure = hop::OnFailure::audit;
    CHECK(shake_with(authority, old, plan).session);
  }
}

TEST_CASE("TLS-02: RC4, 3DES, NULL, anonymous and static weak suites are refused even where nothing binds") {
  const Authority authority;
  for (const char* cipher : {"aNULL:@SECLEVEL=0", "eNULL:@SECLEVEL=0"}) {
    CAPTURE(cipher);
    const PeerTls tls{.ciphers = cipher, .max_version = TLS1_2_VERSION};
    CHECK(shake_with(authority, tls, opportunistic()).failure);
  }
}

TEST_CASE("TLS-03: SNI is the plan's name as an A-label without trailing dot, and none for a literal") {
  const Authority authority;
  CHECK(hello_under(authority, opportunistic("mx.example.")).sni == "mx.example");
  CHECK(hello_under(authority, opportunistic("m\xc3\xbcller.example")).sni == "xn--mller-kva.example");
  CHECK(hello_under(authority, opportunistic(".")).sni.empty());
  CHECK_FALSE(hello_under(authority, opportunistic(".")).has(TLSEXT_TYPE_server_name));
}

TEST_CASE("TLS-03: where DANE and STS disagree, SNI is what the plan says, the base domain") {
  const Authority authority;
  hop::Connect plan = dane_plan({authority.leaf.tlsa(3, 1, 1)}, {"base.example"});
  plan.pkix = hop::PkixCheck{names({"mx.example"})};
  CHECK(hello_under(authority, plan).sni == "base.example");
  const auto result = shake(authority, authority.leaf, {&authority.intermediate}, plan);
  REQUIRE(result.session);
  CHECK(result.session->sni == "base.example");
}

TEST_CASE("TLS-07: no session is ever resumed, and no ticket asked for (PEERS 14)") {
  const Authority authority;
  Loop loop;
  const auto tls = net::ClientTls::load({.ca_file = authority.ca_file}).value();
  const auto files = write_chain(authority.dir, "server", authority.leaf, {&authority.intermediate});
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const Script script = Script().start_tls({.files = files, .max_version = version}).expect("done");
    ScriptedPeer peer({script, Script().receive().close()});
    CHECK(loop.run(dial(peer.port(), *tls, opportunistic(), nullptr)).session);
    CHECK(loop.run(dial(peer.port(), *tls, opportunistic(), nullptr)).failure);
    CHECK(peer.finish().empty());
    const ClientHello hello = parse_client_hello(peer.received(1));
    CHECK_FALSE(hello.has(TLSEXT_TYPE_psk));
    CHECK_FALSE(hello.has(TLSEXT_TYPE_session_ticket));
  }
}

TEST_CASE(
    "TLS-09: octets in clear that wait before the handshake end the attempt, and not as something to retry in clear") {
  const Authority authority;
  Loop loop;
  const auto tls = net::ClientTls::load({.ca_file = authority.ca_file}).value();
  ScriptedPeer peer(Script().send("250 injected\r\n").stall());
  auto stream =
      loop.run(net::connect({Ip::parse("127.0.0.1").value(), peer.port()}, std::chrono::steady_clock::now() + 5s));
  while (!stream->has_unread_input()) std::this_thread::sleep_for(1ms);
  const auto result = loop.run(tls->handshake(*stream, opportunistic()));
  REQUIRE(result.failure);
  CHECK(result.failure->reason == Reason::validation_failure);
  CHECK(result.stage == hop::Stage::starttls);
  stream->close();
}

TEST_CASE("RPT-19: a handshake that breaks is a validation-failure at its stage, with a text and a code (TLS-10)") {
  const Authority authority;
  struct Row {
    Script script;
    const char* text;
    const char* code;
    const char* why;
  };
  const char* left = "the server closed the connection during the TLS handshake";
  const std::vector<Row> rows{
      {Script().receive().close(), left, "handshake-closed", "FIN"},
      {Script().receive().reset(), left, "handshake-closed", "RST"},
      {Script().receive().send("454 TLS not available\r\n").close(),
       "the TLS handshake failed: ", "wrong version number", "clear text"},
      {Script().receive().send(std::string("\x15\x03\x03\x00\x02\x02\x28", 7)).close(),
       "the TLS handshake failed: ", "sslv3 alert handshake failure", "alert"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.why);
    const auto result = shake(row.script, opportunistic(), {.ca_file = authority.ca_file}).handshake;
    REQUIRE(result.failure);
    CHECK(result.failure->reason == Reason::validation_failure);
    CHECK(result.failure->text.find(row.text) == 0);
    CHECK(result.failure->code == row.code);
    CHECK(result.stage == hop::Stage::handshake);
    CHECK_FALSE(result.session);
  }
}

namespace {
boost::asio::awaitable<net::Handshake> dial_briefly(std::uint16_t port, const net::ClientTls& tls) {
  const net::Endpoint to{Ip::parse("127.0.0.1").value(), port};
  auto stream = co_await net::connect(to, std::chrono::steady_clock::now() + 5s);
  stream.value().expires_after(50ms);
  const hop::Connect plan = opportunistic();
  co_return co_await tls.handshake(*stream, plan);
}
}  // namespace

TEST_CASE("TLS-13: a handshake that stalls ends at the stream's deadline") {
  const Authority authority;
  Loop loop;
  const auto tls = net::ClientTls::load({.ca_file = authority.ca_file}).value();
  ScriptedPeer peer(Script().stall());
  const auto start = std::chrono::steady_clock::now();
  const auto result = loop.run(dial_briefly(peer.port(), *tls));
  REQUIRE(result.failure);
  CHECK(result.failure->reason == Reason::connect_timeout);
  CHECK(result.failure->code == "handshake-timeout");
  CHECK(std::chrono::steady_clock::now() - start < 3s);
}

TEST_CASE("TLS-13: more than 100 KiB of certificates end the handshake, a long chain does not verify") {
  const Authority authority;
  std::vector<std::string> many;
  for (int i = 0; i < 1200; ++i) many.push_back("host" + std::to_string(i) + "." + std::string(60, 'x') + ".example");
  const Certificate huge({.cn = "huge", .dns = many});
  const std::vector<const Certificate*> chain{&huge, &huge};
  const auto big = shake(authority, authority.leaf, chain, opportunistic());
  REQUIRE(big.failure);
  CHECK(big.failure->reason == Reason::validation_failure);

  std::vector<std::unique_ptr<Certificate>> ladder;
  ladder.push_back(std::make_unique<Certificate>(Recipe{.cn = "CA 0", .ca = true}, authority.root));
  for (int i = 1; i < 14; ++i) {
    ladder.push_back(
        std::make_unique<Certificate>(Recipe{.cn = "CA " + std::to_string(i), .ca = true}, *ladder.back()));
  }
  std::vector<const Certificate*> sent;
  for (auto step = ladder.rbegin(); step != ladder.rend(); ++step) sent.push_back(step->get());
  const Certificate deep({.cn = "mx.example", .dns = {"mx.example"}}, *ladder.back());
  const auto pkix = shake(authority, deep, sent, pkix_plan());
  CHECK(pkix.session);
  CHECK_FALSE(passed(pkix.pkix));
  sent.push_back(&authority.root);
  const auto dane = shake(authority, deep, sent, dane_plan({authority.root.tlsa(2, 0, 1)}));
  CHECK_FALSE(passed(dane.dane));
}

TEST_CASE("TLS-13: a client certificate is shown when the route gives one, and never otherwise") {
  const Authority authority;
  const auto files = write_chain(authority.dir, "server", authority.leaf, {&authority.intermediate});
  const Certificate ours({.cn = "relay.example", .extended_key_usage = "clientAuth"}, authority.root);
  const auto certificate = net::ClientCertificate::load(write_chain(authority.dir, "client", ours)).value();
  const Script asks = Script().start_tls({.files = files, .client_ca = authority.ca_file}).expect("done");
  const net::TlsOptions options{.ca_file = authority.ca_file};
  const Shown with = shake(asks, opportunistic(), options, certificate);
  CHECK(with.handshake.session);
  CHECK(with.problems.empty());
  const Shown without = shake(asks, opportunistic(), options);
  CHECK(without.problems.size() == 1);  // the server demands one
}

TEST_CASE("ClientTls: a ca_file that is missing or holds no certificate is an error that names it") {
  const TempDir dir;
  const auto missing = net::ClientTls::load({.ca_file = dir.path() + "/none.pem"});
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().detail.find(dir.path() + "/none.pem: ") == 0);
  const std::string empty = dir.write("empty.pem", "nothing here\n");
  const auto useless = net::ClientTls::load({.ca_file = empty});
  REQUIRE_FALSE(useless.has_value());
  CHECK(useless.error().detail.find(empty + ": ") == 0);
}

TEST_CASE("a bundle of authorities is read once while its file is the same, and again as soon as it is another") {
  const Authority authority;
  std::string bundle;
  for (int i = 0; i < 200; ++i) bundle += Certificate({.cn = "Root " + std::to_string(i), .ca = true}).pem();
  const std::string file = authority.dir.write("bundle.pem", bundle);
  const auto cost = [&file] {  // of this thread's time, in ns
    timespec before{}, after{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    CHECK(net::ClientTls::load({.ca_file = file}));
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    return (after.tv_sec - before.tv_sec) * 1'000'000'000L + after.tv_nsec - before.tv_nsec;
  };
  const auto first = cost();
  // a file that was written a moment ago may change within the same tick of its clock
  const auto end = std::chrono::steady_clock::now() + 10s;
  auto later = cost();
  for (; later > first / 4 && std::chrono::steady_clock::now() < end; later = cost())
    std::this_thread::sleep_for(100ms);
  CHECK(later <= first / 4);
  authority.dir.write("bundle.pem", std::string(bundle.size(), '-'));
  CHECK(!net::ClientTls::load({.ca_file = file}));
  authority.dir.write("bundle.pem", authority.root.pem());
  CHECK(net::ClientTls::load({.ca_file = file}));
  std::filesystem::remove(file);
  CHECK(!net::ClientTls::load({.ca_file = file}));
}

}  // namespace net_tls_client_test
