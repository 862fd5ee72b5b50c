// SPDX-License-Identifier: Apache-2.0
// TLS as a listener offers it, against OpenSSL as a client.
#include "net/tls_server.h"

#include <doctest/doctest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <boost/asio.hpp>

#include "net/acceptor.h"
#include "tests/support/loop.h"
#include "tests/support/scripted_peer.h"
#include "tests/support/test_ca.h"

namespace net_tls_server_test {

namespace asio = boost::asio;
using namespace hoplock;
using namespace hoplock::support;
using namespace std::chrono_literals;

namespace {
struct Served {
  Result<> done;
  std::optional<net::TlsInfo> info;
  std::vector<std::string> problems;
};

Served serve(const std::shared_ptr<const net::ServerTls>& tls, const Script& client) {
  Loop loop;
  auto acceptor = net::Acceptor::listen(loop.executor(), {Ip::parse("127.0.0.1").value(), 0}).value();
  ScriptedClient peer(acceptor.local().port, client);
  auto stream = loop.run(acceptor.accept()).value();
  stream.expires_after(5s);
  Served served;
  served.done = loop.run(net::accept_tls(stream, tls));
  served.info = stream.tls();
  if (served.done) served.done = loop.run(stream.write("hello"));
  loop.run(stream.shutdown());
  served.problems = peer.finish();
  return served;
}

std::shared_ptr<const net::ServerTls> good_server(const TempDir& dir) {
  const Certificate certificate({.cn = "relay.example", .dns = {"relay.example"}});
  return net::ServerTls::load(write_chain(dir, "relay", certificate)).value();
}

mode_t mode_of(const std::string& path) {
  struct stat about {};
  REQUIRE(::stat(path.c_str(), &about) == 0);
  return about.st_mode & 07777;
}
}  // namespace

TEST_CASE("TLS-01: the listener speaks TLS 1.2 and 1.3 and nothing older") {
  const TempDir dir;
  const auto tls = good_server(dir);
  const std::vector<std::pair<int, std::string>> rows{
      {TLS1_VERSION, ""}, {TLS1_1_VERSION, ""}, {TLS1_2_VERSION, "TLSv1.2"}, {TLS1_3_VERSION, "TLSv1.3"}};
  for (const auto& [version, spoken] : rows) {
    CAPTURE(version);
    const auto served = serve(tls, Script().connect_tls({.max_version = version}).expect("hello"));
    CHECK(served.done.has_value() == !spoken.empty());
    CHECK((served.info ? served.info->version : "") == spoken);
    CHECK(served.problems.empty() == !spoken.empty());
  }
}

TEST_CASE("TLS-02: the listener takes no NULL, anonymous or 3DES suite and prefers ECDHE with AEAD") {
  const TempDir dir;
  const auto tls = good_server(dir);
  for (const char* weak : {"aNULL:@SECLEVEL=0", "eNULL:@SECLEVEL=0", "PSK:@SECLEVEL=0"}) {
    CAPTURE(weak);
    const auto served = serve(tls, Script().connect_tls({.ciphers = weak, .max_version = TLS1_2_VERSION}));
    CHECK_FALSE(served.done.has_value());
    CHECK(served.done.error().code == errc::protocol_error);
  }
  const char* worst_first = "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-GCM-SHA384:@SECLEVEL=0";
  const auto served =
      serve(tls, Script().connect_tls({.ciphers = worst_first, .max_version = TLS1_2_VERSION}).expect("hello"));
  REQUIRE(served.info);
  CHECK(served.info->cipher == "ECDHE-ECDSA-AES256-GCM-SHA384");
}

TEST_CASE("ServerTls: what is wrong with the files is said, with the file's name") {
  const TempDir dir;
  const Certificate one({.cn = "one"});
  const Certificate two({.cn = "two"});
  const std::string certificate = dir.write("one.pem", one.pem());
  const std::string key = dir.write("one.key", one.key_pem());
  const std::string other_key = dir.write("two.key", two.key_pem());
  const std::string text = dir.write("text", "this is no PEM\n");
  const std::string torn =
      dir.write("torn.pem", one.pem() + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  struct Row {
    net::CertificateFiles files;
    std::string says;
  };
  const std::vector<Row> rows{
      {{dir.path() + "/none.pem", key}, dir.path() + "/none.pem: No such file"},
      {{certificate, dir.path() + "/none.key"}, dir.path() + "/none.key: No such file"},
      {{text, key}, text + ": no certificate in PEM"},
      {{certificate, text}, text + ": no private key in PEM"},
      {{certificate, other_key}, other_key + ": the key does not belong to the certificate in " + certificate},
      {{torn, key}, torn + ": a broken certificate after the first"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.says);
    const auto loaded = net::ServerTls::load(row.files);
    REQUIRE_FALSE(loaded.has_value());
    CAPTURE(loaded.error().detail);
    CHECK(loaded.error().detail.find(row.says) == 0);
  }
  CHECK(net::ServerTls::load({certificate, key}).has_value());
}

TEST_CASE("ServerTls: a key under a passphrase is refused without asking for it") {
  const TempDir dir;
  const Certificate one({.cn = "one"});
  BIO* out = BIO_new(BIO_s_mem());
  std::string phrase = "secret";
  REQUIRE(PEM_write_bio_PKCS8PrivateKey(out, one.key(), EVP_aes_128_cbc(), phrase.data(), 6, nullptr, nullptr) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out, &data);
  const std::string sealed = dir.write("sealed.key", std::string(data, static_cast<std::size_t>(size)));
  BIO_free(out);
  const auto loaded = net::ServerTls::load({dir.write("one.pem", one.pem()), sealed});
  REQUIRE_FALSE(loaded.has_value());
  CHECK(loaded.error().detail == sealed + ": the key is encrypted; a key without passphrase is needed");
}

TEST_CASE("ServerTls: a session keeps the certificate it began with when the owner takes a new one") {
  const TempDir dir;
  auto tls = good_server(dir);
  Loop loop;
  auto acceptor = net::Acceptor::listen(loop.executor(), {Ip::parse("127.0.0.1").value(), 0}).value();
  ScriptedClient peer(acceptor.local().port, Script().connect_tls({}).expect("still here"));
  auto stream = loop.run(acceptor.accept()).value();
  stream.expires_after(5s);
  CHECK(loop.run(net::accept_tls(stream, tls)).has_value());
  tls.reset();
  CHECK(loop.run(stream.write("still here")).has_value());
  CHECK(peer.finish().empty());
}

TEST_CASE("make_self_signed: for its host only, loadable, written with tight modes, replaced as a whole") {
  const TempDir dir;
  const net::CertificateFiles files{dir.path() + "/tls.pem", dir.path() + "/tls.key"};
  REQUIRE(net::write_self_signed("relay.example", files).has_value());
  CHECK((mode_of(files.certificate) & 0137) == 0);
  CHECK(mode_of(files.key) == 0600);
  const auto tls = net::ServerTls::load(files);
  REQUIRE(tls.has_value());
  CHECK(serve(*tls, Script().connect_tls({}).expect("hello")).problems.empty());
  const auto pem = net::make_self_signed("relay.example").value();
  BIO* in = BIO_new_mem_buf(pem.certificate.data(), static_cast<int>(pem.certificate.size()));
  const X509Ptr certificate(PEM_read_bio_X509(in, nullptr, nullptr, nullptr));
  BIO_free(in);
  REQUIRE(certificate);
  CHECK(X509_check_host(certificate.get(), "relay.example", 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, nullptr) == 1);
  CHECK(X509_check_host(certificate.get(), "other.example", 0, 0, nullptr) == 0);
  CHECK(X509_check_ca(certificate.get()) == 0);
  CHECK(net::write_self_signed("relay.example", files).has_value());
  CHECK_FALSE(net::write_self_signed("relay.example", {dir.path() + "/no/a", dir.path() + "/no/b"}).has_value());
}

}  // namespace net_tls_server_test
