// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <sys/stat.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/ascii.h"
#include "daemon/system.h"
#include "daemon/tool/audit_sign.h"
#include "disk/db.h"
#include "store_sqlite/statistics.h"
#include "tests/daemon/tool_run.h"
#include "tests/support/temp_directory.h"
#include "tests/support/test_ca.h"

namespace daemon_tool_audit_test {

using namespace hoplock;
using daemon::test::run_tool;
using daemon::test::Said;
using statistics::join_words;
using statistics::Kind;
namespace json = boost::json;

namespace {

const Time now = parse_rfc3339("2026-11-30T12:00:00.000Z").value();
const statistics::Day today = statistics::day_of(now);

const std::string hostile = "<script>alert(1)</script>\xE2\x80\xAE\x1b[31m\"&'," + std::string(10'000, 'x');

// A directory with the database of a daemon that is stopped.
struct Stage {
  Stage() : db(disk::Database::open(dir.file("queue.db"), disk::Access::read_write).value()) {
    config = dir.write("hoplock.yaml",
                       "hostname: relay.example.net\ndata_dir: .\ntls: {ca_file: \"\"}\n"
                       "dns: {trust_anchor: \"\", root_hints: \"\"}\n");
    disk::migrate(db, {store_sqlite::statistics_migration(), store_sqlite::statistics_batch_migration()}).value();
  }
  void note(const std::string& domain, Kind kind, const std::string& what, int days_ago = 0, std::uint64_t octets = 0,
            std::uint64_t count = 1) {
    statistics::Row row;
    row.day = today - std::chrono::days(days_ago);
    row.domain = domain;
    row.kind = kind;
    row.what = what;
    statistics::Counts counts;
    counts.note(row, row.day + Seconds(3600), octets, count);
    disk::Tx tx(db);
    store_sqlite::add_statistics(tx, counts);
  }
  void fill() {
    note("dane.example", Kind::delivered, join_words({"dane", "TLSv1.3", "dane-ee", "pfs-aead"}), 0, 1000, 2);
    note("dane.example", Kind::delivered, join_words({"dane", "TLSv1.3", "dane-ee", "pfs-aead"}), 9, 1000);
    note("dane.example", Kind::key, join_words({std::string(64, 'a')}), 9, 1000);
    note("dane.example", Kind::key, join_words({std::string(64, 'b')}), 0, 1000, 2);
    note("dane.example", Kind::tlsa, join_words({"3 1 1 " + std::string(64, 'b')}), 0, 1000, 2);
    note("dane.example", Kind::failed, join_words({"deferred", "dane", "tlsa-invalid"}), 5, 0, 3);
    note("sts.example", Kind::delivered, join_words({"sts", "TLSv1.2", "pkix", "pfs-cbc"}), 3, 5000);
    note("sts.example", Kind::sts, join_words({"20261101"}), 3, 5000);
    note("lax.example", Kind::delivered, join_words({"opportunistic", "none", "none", "none"}), 1, 20'000);
    note("lax.example", Kind::relaxed, join_words({"route", "dane=off", "2027-01-31", hostile}), 1, 20'000);
    note("lax.example", Kind::host, join_words({"plaintext", "opportunistic", "validation-failure"}), 1);
    note("old.example", Kind::delivered, join_words({"opportunistic", "TLSv1.3", "none", "pfs-aead"}), 300, 10);
  }
  Said ask(std::vector<std::string> words, std::optional<std::size_t> width = std::nullopt) const {
    words.insert(words.begin(), {"--config", config});
    return run_tool(std::move(words), now, width);
  }
  support::TempDirectory dir;
  disk::Database db;
  std::string config;
};

std::string content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}
int run(const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()); }

}  // namespace

TEST_CASE(
    "audit: each partner's mail by proof, what was relaxed and refused, and who never proved anything, at 80 columns") {
  Stage stage;
  stage.fill();
  const auto said = stage.ask({"audit"}, 80);
  CHECK(said.code == 0);
  CHECK(said.tame());
  CHECK(said.says("2026-10-31 to 2026-11-30 (UTC), 3 domains, 4 messages, 26KiB"));
  CHECK(said.says("Never proved who took the mail:\n  lax.example\n"));
  CHECK(said.says("deferred"));
  CHECK(said.says("tlsa-invalid"));
  CHECK(said.says("2027-01-31"));
  CHECK(said.says("plaintext"));
  CHECK(!said.says("old.example"));
  std::istringstream lines(said.out);
  for (std::string line; std::getline(lines, line);) {
    std::size_t columns = 0;
    for (const char c : line) columns += (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
    CHECK(columns <= 80);
  }
}

TEST_CASE("audit: one domain's report has its keys, records and policies with first and last use") {
  Stage stage;
  stage.fill();
  const auto said = stage.ask({"audit", "--domain", "DANE.example."}, 80);
  CHECK(said.code == 0);
  CHECK(said.says(std::string(64, 'a')));
  CHECK(said.says("2026-11-21T01:00:00Z"));
  CHECK(said.says("3 1 1 " + std::string(64, 'b')));
  CHECK(said.says("pfs-aead"));
  CHECK(stage.ask({"audit", "--domain", "nobody.example"}).code == daemon::no);
  CHECK(
      stage.ask({"audit", "--domain", "nobody.example", "--json"}).data().as_object().at("domains").as_array().empty());
}

TEST_CASE("audit --json: figures as numbers, times as RFC 3339, totals over all domains") {
  Stage stage;
  stage.fill();
  const auto said = stage.ask({"audit", "--json", "--since", "365d"});
  const auto data = said.data().as_object();
  CHECK(said.tame());
  CHECK(data.at("from").as_string() == "2025-11-30");
  CHECK(data.at("since").as_string() == "2026-02-03");
  CHECK(data.at("relay").as_string() == "relay.example.net");
  const auto& domains = data.at("domains").as_array();
  REQUIRE(domains.size() == 4);
  const auto& dane = domains[0].as_object();
  CHECK(dane.at("domain").as_string() == "dane.example");
  CHECK(dane.at("messages").as_int64() == 2);
  CHECK(dane.at("recipients").as_int64() == 3);
  CHECK(dane.at("octets").as_int64() == 2000);
  CHECK(dane.at("proofs").as_object().at("dane").as_int64() == 2);
  CHECK(dane.at("failed_attempts").as_int64() == 3);
  const auto& delivered = dane.at("delivered").as_array().at(0).as_object();
  CHECK(delivered.at("cipher").as_string() == "pfs-aead");
  CHECK(delivered.at("proof").as_string() == "dane");
  CHECK(delivered.at("first").as_string() == "2026-11-21T01:00:00Z");
  CHECK(delivered.at("last").as_string() == "2026-11-30T01:00:00Z");
  CHECK(dane.at("keys").as_array().size() == 2);
  const auto& lax = domains[1].as_object();
  const auto& relaxed = lax.at("relaxed").as_array().at(0).as_object();
  CHECK(relaxed.at("until").as_string() == "2027-01-31");
  CHECK(relaxed.at("note").as_string().size() <= statistics::longest_word);
  CHECK(lax.at("hosts").as_array().at(0).as_object().at("hosts").as_int64() == 1);
  const auto& total = data.at("total").as_object();
  CHECK(total.at("messages").as_int64() == 5);
  CHECK(total.at("octets").as_int64() == 27'010);
  json::array never{"lax.example", "old.example"};
  CHECK(data.at("never_proved").as_array() == never);
}

TEST_CASE("audit --csv: one table for programs, in which no cell is a formula") {
  Stage stage;
  stage.fill();
  stage.note("formula.example", Kind::relaxed, join_words({"route", "dane=off", "", "=HYPERLINK(\"http://evil\",1)"}),
             0, 1);
  int days_ago = 2;
  for (const char* note : {"+1", "-2 days", "@SUM(A1)", "x;=1+1", "x; \"=1+1", "\t=1", "a=b; c"})
    stage.note("formula.example", Kind::relaxed, join_words({"route", "dane=off", "", note}), days_ago++, 1);
  const auto said = stage.ask({"audit", "--csv"});
  CHECK(said.code == 0);
  for (const char* cell : {",'+1,", ",'-2 days,", ",'@SUM(A1),", ",x;'=1+1,", ",\"x; \"\"'=1+1\",", ",a=b; c,"})
    CHECK(said.says(cell));
  CHECK(!said.says(",=1"));
  CHECK(!said.says("\t"));
  const auto lines = split(said.out, '\n');
  CHECK(lines[0] ==
        "domain,kind,policy,tls,auth,cipher,outcome,action,reason,by,detail,until,note,value,proof,recipients,messages,"
        "octets,first,"
        "last\r");
  CHECK(
      said.says("dane.example,delivered,dane,TLSv1.3,dane-ee,pfs-aead,,,,,,,,,dane,3,2,2000,2026-11-21T01:00:00Z,"
                "2026-11-30T01:00:00Z\r\n"));
  CHECK(said.says(",\"'=HYPERLINK(\"\"http://evil\"\",1)\","));
  CHECK(said.says("dane.example,tlsa,,,,,,,,,,,,3 1 1 " + std::string(64, 'b') + ","));
  for (std::size_t i = 1; i + 1 < lines.size(); ++i) CHECK(lines[i].find('\x1b') == std::string::npos);
}

TEST_CASE("audit --html: a page that fetches nothing, runs nothing and escapes what others wrote, with its method") {
  Stage stage;
  stage.fill();
  const auto said = stage.ask({"audit", "--html"});
  CHECK(said.code == 0);
  CHECK(said.out.starts_with("<!DOCTYPE html>"));
  CHECK(said.says("size: A4"));
  CHECK(said.says("Method and terms"));
  CHECK(said.says("<th class=\"n\">Mails</th><th class=\"n\">Size</th><th class=\"day\">First</th>"));
  CHECK(said.says("<td><bdi>pfs-cbc</bdi></td><td class=\"n\">1</td><td class=\"n\">4.9KiB</td>"));
  CHECK(said.says("&lt;script&gt;alert(1)&lt;/script&gt;"));
  CHECK(!said.says("<script"));
  CHECK(!said.says("http://"));
  CHECK(!said.says("url("));
  CHECK(!said.says("\xE2\x80\xAE"));
  CHECK(said.tame());
  CHECK(said.says("<bdi>dane.example</bdi>"));
  CHECK(said.says("<title>How mail left relay.example.net, 2026-10-31 to 2026-11-30</title>"));
}

TEST_CASE(
    "audit: days are chosen by --since, or by --from and --to; what else is said is refused with what is allowed") {
  Stage stage;
  stage.fill();
  const auto domains = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"audit", "--json"});
    return stage.ask(std::move(words)).data().as_object().at("domains").as_array().size();
  };
  CHECK(domains({"--since", "2d"}) == 2);
  CHECK(domains({"--from", "2026-11-27", "--to", "2026-11-27"}) == 1);
  CHECK(domains({"--from", "2026-11-27"}) == 3);
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"--to", "2026-11-27"},
                                             {"--since", "soon"},
                                             {"--since", "2d", "--from", "2026-11-27"},
                                             {"--from", "2026-11-31"},
                                             {"--from", "2026-11-27", "--to", "2026-11-26"},
                                             {"--domain", "no domain"},
                                             {"--csv", "--html"},
                                             {"--json", "--csv"}}) {
    std::vector<std::string> all{"audit"};
    all.insert(all.end(), words.begin(), words.end());
    CHECK(stage.ask(all).code == daemon::usage);
  }
  CHECK(stage.ask({"audit", "--from", "2026-12-01"}).err.find("--from lies in the future") != std::string::npos);
  CHECK(stage.ask({"audit", "--from", "0001-01-01", "--to", "9999-12-31"}).code ==
        daemon::ok);  // days that were, no others
  CHECK(domains({"--since", "3650d"}) == 4);
  const auto early = stage.ask({"audit", "--from", "2026-01-01"});
  CHECK(early.says("nothing was recorded before 2026-02-03"));
}

TEST_CASE("audit --output: the whole report in a file, or the file as it was") {
  Stage stage;
  stage.fill();
  const std::string file = stage.dir.file("audit.csv");
  CHECK(stage.ask({"audit", "--csv", "--output", file}).out.empty());
  CHECK(content(file) == stage.ask({"audit", "--csv"}).out);
  struct stat is {};
  REQUIRE(::stat(file.c_str(), &is) == 0);
  CHECK((is.st_mode & 0777U) <= 0640U);
  CHECK(stage.ask({"audit", "--html", "--output", file}).code == 0);  // over it
  CHECK(content(file).starts_with("<!DOCTYPE"));
  const auto nowhere = stage.ask({"audit", "--output", stage.dir.file("none/audit.txt")});
  CHECK(nowhere.code == daemon::cannot_create);
  CHECK(nowhere.err.find("No such file") != std::string::npos);
}

TEST_CASE("audit --output: nothing but a report is replaced, whatever lies there or was laid there") {
  Stage stage;
  stage.fill();
  const std::string victim = stage.dir.write("victim", "keep me");
  const std::string link = stage.dir.file("link.csv"), file = stage.dir.file("audit.csv");
  std::filesystem::create_symlink(victim, link);
  CHECK(stage.ask({"audit", "--csv", "--output", link}).err.find("no regular file") != std::string::npos);
  CHECK(stage.ask({"audit", "--csv", "--output", "/dev/null"}).code == daemon::cannot_create);
  CHECK(std::filesystem::is_character_file("/dev/null"));
  std::filesystem::create_symlink(victim, file + ".new");  // the name of a draft that could be foretold
  CHECK(stage.ask({"audit", "--csv", "--output", file}).code == 0);
  CHECK(content(victim) == "keep me");
  const support::Certificate signer({.cn = "Audit"});
  const std::string key = stage.dir.write("key.pem", signer.key_pem() + signer.pem());
  CHECK(stage.ask({"audit", "--output", key, "--sign", key}).err.find("is the key") != std::string::npos);
  CHECK(content(key) == signer.key_pem() + signer.pem());
}

TEST_CASE("audit --sign: openssl cms -verify proves every octet of the report, and refuses a changed one") {
  Stage stage;
  stage.fill();
  const support::Certificate authority({.cn = "Our CA", .ca = true});
  const std::string ca = stage.dir.write("ca.pem", authority.pem());
  for (const support::Key kind : {support::Key::p256, support::Key::rsa2048}) {
    const support::Certificate signer({.cn = "Audit", .key = kind}, authority);
    const std::string key = stage.dir.write("key.pem", signer.key_pem() + signer.pem() + authority.pem());
    const std::string file = stage.dir.file("audit.html");
    const auto said = stage.ask({"audit", "--html", "--output", file, "--sign", key});
    CHECK(said.code == 0);
    CHECK(said.err.empty());
    const std::string verify = "openssl cms -verify -binary -inform DER -in " + file + ".p7s -content " + file +
                               " -CAfile " + ca + " -purpose any -out " + stage.dir.file("verified");
    CHECK(run(verify) == 0);
    CHECK(content(stage.dir.file("verified")) == content(file));
    stage.dir.write("audit.html", content(file) + " ");
    CHECK(run(verify) != 0);
  }
}

TEST_CASE(
    "audit --sign alone: report and signature as one message on standard output, which openssl cms -verify proves") {
  Stage stage;
  stage.fill();
  const support::Certificate authority({.cn = "Our CA", .ca = true});
  const support::Certificate signer({.cn = "Audit"}, authority);
  const std::string ca = stage.dir.write("ca.pem", authority.pem());
  const std::string key = stage.dir.write("key.pem", signer.key_pem() + signer.pem());
  const std::string file = stage.dir.file("signed.eml"), part = stage.dir.file("verified");
  const std::string verify = "openssl cms -verify -in " + file + " -CAfile " + ca + " -purpose any -out " + part;
  const auto without_cr = [](std::string text) {
    std::erase(text, '\r');
    return text;
  };
  for (const char* form : {"", "--csv", "--json", "--html"}) {
    CAPTURE(form);
    std::vector<std::string> words{"audit"};
    if (*form != 0) words.emplace_back(form);
    const std::string plain = stage.ask(words).out;
    words.insert(words.end(), {"--sign", key});
    const auto said = stage.ask(words);
    CHECK(said.code == 0);
    CHECK(said.err.empty());
    CHECK(said.out.find("Content-Type: multipart/signed") != std::string::npos);
    stage.dir.write("signed.eml", said.out);
    CHECK(run(verify) == 0);
    const std::string entity = without_cr(content(part));
    const auto head = entity.find("\n\n");
    REQUIRE(head != std::string::npos);
    CHECK(entity.substr(head + 2) == without_cr(plain));
    CHECK(entity.find("; filename=\"audit-2026-10-31-2026-11-30.") < head);
    std::string changed = said.out;
    changed.replace(changed.find("dane.example"), 4, "sane");
    stage.dir.write("signed.eml", changed);
    CHECK(run(verify) != 0);
  }
  stage.dir.write("signed.eml",
                  without_cr(stage.ask({"audit", "--html", "--sign", key}).out));  // as an editor leaves it
  CHECK(run(verify) == 0);
  const auto none = stage.ask({"audit", "--sign", stage.dir.file("none.pem")});
  CHECK(none.code == daemon::io_error);
  CHECK(none.out.empty());
  CHECK(stage.ask({"audit", "--sign", ca}).out.empty());
}

TEST_CASE(
    "audit --sign: a file without a key, without its certificate, or that is not there writes nothing and says why") {
  Stage stage;
  stage.fill();
  const support::Certificate one({.cn = "One"}), other({.cn = "Other"});
  const std::string file = stage.dir.file("audit.txt");
  const auto sign = [&](const std::string& pem) { return stage.ask({"audit", "--output", file, "--sign", pem}); };
  CHECK(sign(stage.dir.file("none.pem")).code == daemon::io_error);
  CHECK(sign(stage.dir.write("a.pem", one.pem())).err.find("holds no private key") != std::string::npos);
  CHECK(sign(stage.dir.write("b.pem", one.key_pem() + other.pem())).err.find("no certificate that belongs") !=
        std::string::npos);
  CHECK(sign(stage.dir.write("c.pem", hostile)).code == daemon::no);
  CHECK(!std::filesystem::exists(file));
  CHECK(!std::filesystem::exists(file + ".p7s"));
}

TEST_CASE("audit: nothing at all is the answer no, and a store that is not there is named") {
  Stage stage;
  CHECK(stage.ask({"audit"}).code == daemon::no);
  CHECK(stage.ask({"audit", "--json"}).data().as_object().at("since").is_null());
  std::filesystem::remove(stage.dir.file("queue.db"));
  const auto gone = stage.ask({"audit"});
  CHECK(gone.code == daemon::io_error);
  CHECK(gone.err.find("queue.db") != std::string::npos);
}

}  // namespace daemon_tool_audit_test
