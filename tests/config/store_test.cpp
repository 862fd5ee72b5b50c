// SPDX-License-Identifier: Apache-2.0
// The keys of a store that several nodes share: what is a URL, where a password must not stand, and what goes with what.
#include "config/store.h"

#include <doctest/doctest.h>

#include "config/check.h"
#include "config/show.h"

namespace config_store_test {

using namespace hoplock::config;

namespace {
Loaded checked(const std::string& text) {
  auto loaded = read_text(text, "h.yaml", "/etc/hoplock");
  if (loaded.errors.empty()) check(loaded, Files::left_alone);
  return loaded;
}
std::string joined(const std::vector<std::string>& lines) {
  std::string all;
  for (const auto& line : lines) all += line + "\n";
  return all;
}
std::string hosts_of(const char* url) {
  const auto place = StorePlace::parse(url);
  if (!place) return place.error().detail;
  return joined(place->hosts) + (place->is_local() ? "local" : "away");
}
const std::string good = "store: postgresql://hoplock@db1,db2/hoplock\n";
}  // namespace

TEST_CASE("store: SQLite unless a URL says otherwise, and a URL is kept and shown as it was written") {
  CHECK(checked("").config.store == StoreSettings{});
  CHECK(checked("store: sqlite\n").config.store.place.is_sqlite());
  const auto loaded = checked(
      "store: "
      "\"postgresql://hoplock@db1.example:5432,db2.example:5433/mail?sslcert=/etc/hoplock/db.crt&sslkey=/etc/hoplock/"
      "db.key\"\n"
      "store_tls: verify-ca\nstore_ca_file: db/ca.pem\nstore_synchronous: prefer\nnode: {name: mx_1.a-b, deliver: "
      "false}\n");
  CHECK(joined(loaded.errors) == "");
  CHECK(joined(loaded.warnings) == "");
  const auto& store = loaded.config.store;
  CHECK(store.place.hosts == std::vector<std::string>{"db1.example", "db2.example"});
  CHECK(store.place.certificate == "/etc/hoplock/db.crt");
  CHECK(store.place.key == "/etc/hoplock/db.key");
  CHECK(store.tls == StoreTls::verify_ca);
  CHECK(store.ca_file == "/etc/hoplock/db/ca.pem");
  CHECK(store.synchronous == StoreSynchronous::prefer);
  CHECK(loaded.config.node == NodeSettings{"mx_1.a-b", true, false});
  const std::string shown = to_yaml(loaded.config);
  CHECK(shown.find("store: \"postgresql://hoplock@db1.example:5432,db2.example:5433/mail?sslcert=") !=
        std::string::npos);
  CHECK(to_yaml(checked(shown).config) == shown);
  CHECK(to_yaml(Config{}).find("store: \"sqlite\"\nstore_password_file: \"\"\nstore_tls: \"verify-full\"\n") !=
        std::string::npos);
}

TEST_CASE("store: hosts are names, addresses and folders of sockets; local is what leaves this machine on no wire") {
  CHECK(hosts_of("postgresql:///mail") == "local");
  CHECK(hosts_of("postgresql:///mail?host=/run/postgresql") == "/run/postgresql\nlocal");
  CHECK(hosts_of("postgresql://%2Frun%2Fpostgresql/mail") == "/run/postgresql\nlocal");
  CHECK(hosts_of("postgres://u@localhost:5432/mail") == "localhost\nlocal");
  CHECK(hosts_of("postgresql://u@127.0.0.2,[::1]:5433/mail") == "127.0.0.2\n::1\nlocal");
  CHECK(hosts_of("postgresql://u@127.0.0.1,192.0.2.1/mail") == "127.0.0.1\n192.0.2.1\naway");
  CHECK(hosts_of("postgresql:///mail?host=db1,db2&port=5432,5433") == "db1\ndb2\naway");
}

TEST_CASE("store: every complaint has its place and says what is allowed") {
  const struct {
    const char* text;
    const char* complaint;  // contains
  } rows[] = {
      {"store: mysql://u@h/d\n",
       "h.yaml:1:8: 'mysql' is not a store; allowed: sqlite, or \"postgresql://user@host:5432,host2:5432/database\""},
      {"store: \"\"\n", "h.yaml:1:8: '' is not a store; allowed: sqlite"},
      {"store: postgresql://u@h\n", "names no database"},
      {"store: postgresql://u@h/\n", "names no database"},
      {"store: postgresql://u@h/a/b\n", "names no database"},
      {"store: postgresql://@h/d\n", "no user before its '@'"},
      {"store: postgresql://u@h:0/d\n", "a port that is none"},
      {"store: postgresql://u@h:65536/d\n", "a port that is none"},
      {"store: postgresql://u@h:/d\n", "a port that is none"},
      {"store: postgresql://u@h,,g/d\n", "neither a name nor an address"},
      {"store: postgresql://u@::1/d\n", "neither a name nor an address"},
      {"store: postgresql://u@[::1/d\n", "a bracket without its other half"},
      {"store: postgresql://u@[db1]/d\n", "neither a name nor an address"},
      {"store: postgresql://u@h%zz/d\n", "neither a name nor an address"},
      {"store: postgresql://u@h%0a/d\n", "neither a name nor an address"},
      {"store: \"postgresql://u@h/d d\"\n", "written as % and two digits"},
      {"store: postgresql://u@h/d?host=g\n", "names its hosts twice"},
      {"store: postgresql://u@h/d?port=x\n", "a port that is none"},
      {"store: postgresql://u@h/d?passfile\n", "no list of name=value"},
      {"store: postgresql://u@h/d?sslmode=disable\n", "'sslmode' is not allowed in the URL; allowed: store_tls"},
      {"store: postgresql://u@h/d?sslrootcert=/a\n", "allowed: store_ca_file"},
      {"store: postgresql://u@h/d?options=-c\n",
       "'options' is not allowed in the URL; allowed: host, port, passfile, sslcert, sslkey"},
      {"store: postgresql://u@h/d?passfile=a\n", "'passfile' of the URL needs an absolute path"},
      {"store: postgresql://u@h/d?sslcert=/a\n", "both or neither"},
      {"store_tls: on\n", "h.yaml:1:12: 'on' is not allowed here; allowed: verify-full, verify-ca, off"},
      {"store_synchronous: on\n", "allowed: require, prefer, local"},
      {"node: {deliver: false}\n",
       "h.yaml:1:17: with 'store: sqlite' this node is the only one and does both; allowed: true"},
      {"node: {accept: false}\n", "h.yaml:1:16: with 'store: sqlite'"},
      {"node: {accept: false, deliver: false}\n",
       "h.yaml:1:7: a node that neither accepts mail nor delivers it does nothing"},
      {"node: {name: \"a b\"}\n", "h.yaml:1:14: this is not a node's name; allowed: letters, digits"},
      {"store: postgresql://u@192.0.2.1/d\nstore_tls: off\n",
       "h.yaml:2:12: mail would go to another machine in clear; allowed: verify-full, verify-ca"},
      {"store: postgresql://u@h/d\ntls: {ca_file: \"\"}\n", "both are empty"},
      {"store: postgresql://u@h/d?passfile=/a\nstore_password_file: /b\n", "h.yaml:2:22: the URL names a passfile"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    CHECK(joined(checked(row.text).errors).find(row.complaint) != std::string::npos);
  }
  CHECK(joined(checked("store: postgresql://u@localhost/d\nstore_tls: off\n").errors) == "");
  CHECK(joined(checked(good + "node: {accept: false}\n").errors) == "");
  CHECK(joined(checked(good + "node: {accept: false, deliver: false}\n").errors) != "");
}

TEST_CASE("store: what says nothing with SQLite is told of, and is no fault") {
  const auto loaded =
      checked("store_password_file: /dev/null\nstore_tls: off\nstore_ca_file: /dev/null\nstore_synchronous: local\n");
  CHECK(joined(loaded.errors) == "");
  CHECK(loaded.warnings.size() == 4);
  CHECK(joined(loaded.warnings).find("h.yaml:2: has no effect with 'store: sqlite'\n") != std::string::npos);
}

TEST_CASE("store: a password in the URL is refused wherever it stands, and never repeated") {
  for (const char* url :
       {"postgresql://u:s3cret@h/d", "postgresql://u:s3cret@h1,h2:5432/d?port=1", "postgresql://u@h/d?password=s3cret",
        "postgresql://u@h/d?%70assword=s3cret", "postgresql://u@h/d?sslpassword=s3cret&sslcert=/a",
        "postgresql://u:@h/d", "postgresql://u:s3cret/x@h/d", "postgresql://u:s3cret@x@h/d",
        "postgresql://u:s3cret@h /d", "postgres:u:s3cret@h/d", "postgresql:u:s3cret@h/d", "mysql://u:s3cret@h/d",
        "postgresql://u@s3cret:s3cret@h/d", "postgresql://h/d?passfile=s3cret", "postgresql://h/d?sslmode=s3cret"}) {
    CAPTURE(url);
    const auto loaded = checked("store: \"" + std::string(url) + "\"\n");
    REQUIRE(loaded.errors.size() == 1);
    CHECK(loaded.errors[0].find("s3cret") == std::string::npos);
    CHECK(to_yaml(loaded.config).find("s3cret") == std::string::npos);
  }
  CHECK(joined(checked("store: postgresql://u:s3cret@h/d\n").errors)
            .find("allowed: store_password_file, or a passfile") != std::string::npos);
}

}  // namespace config_store_test
