// SPDX-License-Identifier: Apache-2.0
#include "tests/postgres/things.h"
#include "tests/support/test_ca.h"

namespace postgres_tls_test {

using namespace hoplock;
using namespace postgres_test;
using postgres::BlockingConnection;
using postgres::Octets;
using postgres::Tls;
using postgres::Use;
using support::Certificate;

TEST_CASE("TLS to the database: its chain and its name are verified, and nothing is sent in the clear") {
  NEEDS_POSTGRESQL();
  support::PostgresServer server;
  support::TempDirectory files;
  const Certificate authority({.cn = "authority", .ca = true});
  const Certificate other({.cn = "another", .ca = true});
  const Certificate good({.cn = "localhost", .dns = {"localhost"}}, authority);
  auto options = options_of(server.port());
  options.url = "postgresql://hoplock@localhost:" + std::to_string(server.port()) + "/postgres";
  options.tls = Tls::verify_full;
  options.ca_file = files.write("ca.pem", authority.pem());
  const auto why = [&] {
    auto made = BlockingConnection::open(options, Use::read_only, 5s);
    return made ? std::string() : made.error().detail;
  };
  CHECK(why().find("server does not support SSL") != std::string::npos);
  server.use_tls(good.pem(), good.key_pem());
  CHECK(why().empty());
  options.ca_file = files.write("other.pem", other.pem());
  CHECK(why().find("certificate verify failed") != std::string::npos);
  options.ca_file = files.file("ca.pem");
  options.url = "postgresql://hoplock@127.0.0.1:" + std::to_string(server.port()) + "/postgres";
  CHECK(why().find("does not match host name") != std::string::npos);
  options.tls = Tls::verify_ca;
  CHECK(why().empty());
}

TEST_CASE("TLS to the database: megabytes go through in both directions, whatever records they come in") {
  NEEDS_POSTGRESQL();
  support::PostgresServer server;
  support::TempDirectory files;
  const Certificate authority({.cn = "authority", .ca = true});
  const Certificate good({.cn = "localhost", .dns = {"localhost"}}, authority);
  server.use_tls(good.pem(), good.key_pem());
  auto options = options_of(server.port());
  options.url = "postgresql://hoplock@localhost:" + std::to_string(server.port()) + "/postgres";
  options.tls = Tls::verify_full;
  options.ca_file = files.write("ca.pem", authority.pem());
  Node node(options);
  REQUIRE(node.start().has_value());
  CHECK(server.sql("SELECT min(ssl::int)::text FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE "
                   "application_name LIKE 'hoplock%'") == "1");
  const std::string octets(3'000'001, 'x');
  Job job;
  job.statements.push_back(statement("INSERT INTO thing SELECT 1, encode($1, 'escape'), 0, 0", Octets{octets}));
  job.statements.push_back(statement("SELECT word FROM thing WHERE id = 1"));
  const auto written = node.write(std::move(job));
  REQUIRE(written.has_value());
  CHECK(written->rows[1][0].text(0) == octets);
  for (std::int64_t length : {8'191, 16'384, 16'385, 100'000}) {
    postgres::Batch batch;
    batch.push_back(statement("SELECT repeat('y', $1::int)", length));
    const auto answer = node.loop.run(node.database.run(std::move(batch)));
    REQUIRE(answer.has_value());
    CHECK(static_cast<std::int64_t>((*answer)[0][0].text(0).size()) == length);
  }
}

}  // namespace postgres_tls_test
