// SPDX-License-Identifier: Apache-2.0
// Peers whose cryptography costs us more than them.
#include <doctest/doctest.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/ssl.h>

#include <boost/asio.hpp>

#include "net/acceptor.h"
#include "net/tls_server.h"
#include "tests/net/handshakes.h"
#include "tests/support/longest_step.h"

namespace net_costly_test {

namespace asio = boost::asio;
using namespace hoplock;
using namespace hoplock::support;
using namespace hoplock::tests;
using namespace std::chrono_literals;

namespace {
constexpr LongestStep::Time longest_allowed = 50ms;
#ifdef HOPLOCK_SANITIZED
constexpr int slower = 4;  // what OpenSSL allocates
#else
constexpr int slower = 1;
#endif

using Number = std::unique_ptr<BIGNUM, decltype(&BN_free)>;

Number random_odd(int bits) {
  Number number(BN_new(), BN_free);
  BN_rand(number.get(), bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD);
  return number;
}

// A public key of these numbers, whoever may know a private one.
std::shared_ptr<EVP_PKEY> public_key(const char* kind, const std::vector<std::pair<const char*, int>>& numbers) {
  OSSL_PARAM_BLD* build = OSSL_PARAM_BLD_new();
  std::vector<Number> kept;
  for (const auto& [name, bits] : numbers) {
    kept.push_back(random_odd(bits));
    OSSL_PARAM_BLD_push_BN(build, name, kept.back().get());
  }
  OSSL_PARAM* params = OSSL_PARAM_BLD_to_param(build);
  EVP_PKEY_CTX* making = EVP_PKEY_CTX_new_from_name(nullptr, kind, nullptr);
  EVP_PKEY* key = nullptr;
  const bool made =
      EVP_PKEY_fromdata_init(making) == 1 && EVP_PKEY_fromdata(making, &key, EVP_PKEY_PUBLIC_KEY, params) == 1;
  EVP_PKEY_CTX_free(making);
  OSSL_PARAM_free(params);
  OSSL_PARAM_BLD_free(build);
  REQUIRE(made);
  return {key, EVP_PKEY_free};
}

std::shared_ptr<EVP_PKEY> rsa(int bits, int exponent_bits) {
  return public_key("RSA", {{OSSL_PKEY_PARAM_RSA_N, bits}, {OSSL_PKEY_PARAM_RSA_E, exponent_bits}});
}

std::shared_ptr<EVP_PKEY> dsa() {
  return public_key("DSA", {{OSSL_PKEY_PARAM_FFC_P, 2048},
                            {OSSL_PKEY_PARAM_FFC_Q, 256},
                            {OSSL_PKEY_PARAM_FFC_G, 2040},
                            {OSSL_PKEY_PARAM_PUB_KEY, 2040}});
}

std::shared_ptr<EVP_PKEY> curve(const char* name) { return {EVP_EC_gen(name), EVP_PKEY_free}; }

// P-256, but told in numbers and not by its name.
std::shared_ptr<EVP_PKEY> nameless_curve() {
  auto key = curve("P-256");
  REQUIRE(EVP_PKEY_set_utf8_string_param(key.get(), OSSL_PKEY_PARAM_EC_ENCODING, OSSL_PKEY_EC_ENCODING_EXPLICIT) == 1);
  return key;
}

std::string many(const std::string& prefix, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += (all.empty() ? "" : ",") + prefix + "a" + std::to_string(i) + ".example";
  return all;
}

struct Seen {
  net::Handshake handshake;
  double longest = 0;
};

// Our client's handshake with this server.
Seen visit(const Authority& authority, const PeerTls& server, const hop::Connect& plan) {
  Loop loop;
  const auto tls = net::ClientTls::load({.ca_file = authority.ca_file}).value();
  ScriptedPeer peer(Script().start_tls(server).expect("done"));
  LongestStep steps;
  Seen seen;
  seen.handshake = loop.run(steps.beside(dial(peer.port(), *tls, plan, nullptr)));
  seen.longest = steps.longest().count();
  return seen;
}

// Our listener's handshake with the next client: whether it came about.
asio::awaitable<bool> serve(net::Acceptor& from, std::shared_ptr<const net::ServerTls> with) {
  auto stream = co_await from.accept();
  stream->expires_after(5s);
  const auto done = co_await net::accept_tls(*stream, std::move(with));
  stream->close();
  co_return done.has_value();
}
}  // namespace

TEST_CASE("BND-01: a server's DHE group of more than 3072 bits is refused before it costs anything") {
  const Authority authority;
  const Certificate leaf({.cn = "mx.example", .dns = {"mx.example"}, .key = Key::rsa2048}, authority.intermediate);
  const auto files = write_chain(authority.dir, "dhe", leaf, {&authority.intermediate});
  for (const int bits : {2048, 3072, 4096, 8192, 10000}) {
    CAPTURE(bits);
    const PeerTls server{.files = files, .ciphers = "DHE:@SECLEVEL=0", .max_version = TLS1_2_VERSION, .dhe_bits = bits};
    const Seen seen = visit(authority, server, opportunistic());
    CHECK(seen.longest < longest_allowed.count());
    CHECK(seen.handshake.session.has_value() == (bits <= 3072));
    if (bits <= 3072) continue;
    REQUIRE(seen.handshake.failure);
    CHECK(seen.handshake.failure->reason == Reason::validation_failure);
    CHECK(seen.handshake.failure->text ==
          "the TLS handshake failed: the server's Diffie-Hellman group has more than 3072 bits");
  }
}

TEST_CASE("BND-01: finite fields are no key exchange of TLS 1.3 with us, curves are") {
  const Authority authority;
  const auto files = write_chain(authority.dir, "leaf", authority.leaf, {&authority.intermediate});
  for (const char* groups : {"ffdhe8192", "ffdhe2048", "X25519", "P-256", "P-384", "P-521", "X448"}) {
    CAPTURE(std::string(groups));
    const bool curve = std::string_view(groups).substr(0, 2) != "ff";
    const PeerTls server{.files = files, .min_version = TLS1_3_VERSION, .groups = groups};
    const Seen seen = visit(authority, server, opportunistic());
    CHECK(seen.longest < longest_allowed.count());
    CHECK(seen.handshake.session.has_value() == curve);
  }
}

TEST_CASE("BND-01: a client that has only DHE or a finite field gets a small group or none") {
  const Authority authority;
  const Certificate leaf({.cn = "relay.example", .key = Key::rsa2048}, authority.intermediate);
  const auto tls = net::ServerTls::load(write_chain(authority.dir, "relay", leaf)).value();
  struct Row {
    PeerTls client;
    bool taken;
  };
  const std::vector<Row> rows{
      {{.ciphers = "DHE:@SECLEVEL=0", .max_version = TLS1_2_VERSION}, true},
      {{.min_version = TLS1_3_VERSION, .groups = "ffdhe8192"}, false},
      {{.min_version = TLS1_3_VERSION, .groups = "ffdhe8192:X25519"}, true},
  };
  for (const Row& row : rows) {
    CAPTURE(row.client.groups);
    Loop loop;
    auto acceptor = net::Acceptor::listen(loop.executor(), {Ip::parse("127.0.0.1").value(), 0}).value();
    ScriptedClient peer(acceptor.local().port, Script().connect_tls(row.client).stall());
    LongestStep steps;
    CHECK(loop.run(steps.beside(serve(acceptor, tls))) == row.taken);
    CHECK(steps.longest().count() < 20);
  }
}

// A leaf below so many certificates, each signed by the next.
struct LongPath {
  std::vector<std::unique_ptr<Certificate>> above;  // the root first
  std::unique_ptr<Certificate> leaf;
  explicit LongPath(int length) {
    const auto recipe = [](int i) {
      return Recipe{.cn = "link " + std::to_string(i), .key = Key::brainpool512, .ca = true};
    };
    above.push_back(std::make_unique<Certificate>(recipe(0)));
    for (int i = 1; i < length; ++i) above.push_back(std::make_unique<Certificate>(recipe(i), *above.back()));
    leaf = std::make_unique<Certificate>(Recipe{.cn = "mx.example", .dns = {"mx.example"}}, *above.back());
  }
  net::CertificateFiles files(const TempDir& dir) const {
    std::vector<const Certificate*> chain;
    for (auto one = above.rbegin(); one != above.rend(); ++one) chain.push_back(one->get());
    return write_chain(dir, "long", *leaf, chain);
  }
};

TEST_CASE("BND-01: a path of sixty certificates costs no more than a short one, from a server or from a client") {
  const Authority authority;
  const LongPath path(60);
  const auto files = path.files(authority.dir);
  for (const hop::Connect& plan : {opportunistic(), pkix_plan(), dane_plan({path.above.front()->tlsa(2, 1, 1)})})
    CHECK(visit(authority, {.files = files}, plan).longest < slower * longest_allowed.count());

  const Certificate own({.cn = "relay.example"}, authority.intermediate);
  const auto tls = net::ServerTls::load(write_chain(authority.dir, "relay", own), authority.ca_file).value();
  for (const auto& shown : {write_chain(authority.dir, "short", authority.leaf), files}) {
    Loop loop;
    auto acceptor = net::Acceptor::listen(loop.executor(), {Ip::parse("127.0.0.1").value(), 0}).value();
    ScriptedClient peer(acceptor.local().port, Script().connect_tls({.files = shown}).stall());
    LongestStep steps;
    CHECK(loop.run(steps.beside(serve(acceptor, tls))));
    CHECK(steps.longest().count() < slower * longest_allowed.count());
  }
}

TEST_CASE(
    "TLS-13, BND-01: certificates that would cost too much to look at end the handshake, with what is too much in "
    "words") {
  const Authority authority;
  struct Row {
    const char* what;
    Recipe recipe;
    std::string says;      // "": nothing is wrong with it
    std::string san = "";  // of the leaf below it, beside many host names
  };
  const std::vector<Row> rows{
      {"RSA 8192", {.cn = "extra", .ca = true, .public_key = rsa(8192, 17)}, ""},
      {"RSA 16384", {.cn = "extra", .ca = true, .public_key = rsa(16384, 17)}, "RSA key has more than 8192 bits"},
      {"exponent of 64 bits", {.cn = "extra", .ca = true, .public_key = rsa(2048, 64)}, ""},
      {"exponent as long as the key", {.cn = "extra", .ca = true, .public_key = rsa(2048, 2047)}, "exponent has more"},
      {"DSA", {.cn = "extra", .ca = true, .public_key = dsa()}, "no longer used"},
      {"P-521", {.cn = "extra", .ca = true, .public_key = curve("P-521")}, ""},
      {"brainpool", {.cn = "extra", .ca = true, .public_key = curve("brainpoolP512r1")}, ""},
      {"binary curve", {.cn = "extra", .ca = true, .public_key = curve("sect571r1")}, "binary curve"},
      {"curve in numbers", {.cn = "extra", .ca = true, .public_key = nameless_curve()}, "curve of its own"},
      {"100 constraints", {.cn = "extra", .ca = true, .name_constraints = many("permitted;DNS:", 100)}, ""},
      {"700 constraints",
       {.cn = "extra", .ca = true, .name_constraints = many("permitted;DNS:", 700)},
       "too many names"},
      {"255 constraints of international addresses",
       {.cn = "extra", .ca = true, .name_constraints = many("excluded;email:xn--tda.", 255)},
       "too many names",
       many("otherName:1.3.6.1.5.5.7.8.9;UTF8:me@", 150)},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.what));
    const Certificate leaf(
        {.cn = "mx.example", .dns = {"mx.example"}, .san = row.san.empty() ? many("DNS:", 100) : row.san},
        authority.intermediate);
    const Certificate extra(row.recipe, authority.root);
    const PeerTls server{.files = write_chain(authority.dir, "costly", leaf, {&authority.intermediate, &extra})};
    for (const hop::Connect& plan : {opportunistic(), pkix_plan(), dane_plan({leaf.tlsa(3, 1, 1)})}) {
      const Seen seen = visit(authority, server, plan);
      CHECK(seen.longest < longest_allowed.count());
      CHECK(seen.handshake.session.has_value() == row.says.empty());
      if (row.says.empty()) continue;
      REQUIRE(seen.handshake.failure);
      CAPTURE(seen.handshake.failure->text);
      CHECK(seen.handshake.failure->reason == Reason::validation_failure);
      CHECK(seen.handshake.failure->text.find(row.says) != std::string::npos);
    }
  }
}

}  // namespace net_costly_test
