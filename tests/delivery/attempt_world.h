// SPDX-License-Identifier: Apache-2.0
// Attempts between a router over a DNS made of maps and scripted servers with certificates of a CA of the test's own. Servers listen on
// addresses 127.0.0.x, all on one port.
#pragma once
#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "delivery/attempt_runner.h"
#include "delivery/describe.h"
#include "disk/disk.h"
#include "store_sqlite/mail_store.h"
#include "store_sqlite/policies.h"
#include "store_sqlite/policy_store.h"
#include "tests/support/fake_policies.h"
#include "tests/support/fake_resolver.h"
#include "tests/support/loop.h"
#include "tests/support/memory_log.h"
#include "tests/support/scripted_peer.h"
#include "tests/support/temp_directory.h"
#include "tests/support/test_ca.h"

namespace hoplock::delivery::testing {

using namespace hoplock::support;
using namespace std::chrono_literals;
using Problems = std::vector<std::string>;

inline const std::string with_tls = "250-mx\r\n250 STARTTLS\r\n";

struct Courses {
  Courses() {
    disk::Options on_disk;
    on_disk.directory = own.file("data");
    on_disk.migrations = store_sqlite::mail_migrations();
    for (const auto& more : store_sqlite::policy_migrations()) on_disk.migrations.push_back(more);
    on_disk.migrations.push_back(store_sqlite::refused_migration());
    disk = std::move(disk::Disk::open(loop.executor(), on_disk).value());
    mail = std::make_unique<store_sqlite::SqliteMailStore>(*disk);
    queue = std::make_unique<queue::Queue>(*mail, queue::Options{}, [](const dns::Name& at) { return at.text(); });
    routing.local_targets = route::LocalTargets::allow;
    dns.secure = {"example.org"};
    dns.add("example.org MX 10 mx1.example.org\nmx1.example.org A 127.0.0.2\nmx2.example.org A 127.0.0.3");
  }

  // A server that plays these scripts, one connection after the other. The first one's port is everyone's.
  ScriptedPeer& peer(std::vector<Script> scripts, const std::string& address = "127.0.0.2") {
    peers.push_back(std::make_unique<ScriptedPeer>(std::move(scripts), address, routing.port == 25 ? 0 : routing.port));
    routing.port = peers.back()->port();
    return *peers.back();
  }

  // Greeting, EHLO, STARTTLS, EHLO again.
  Script secured(const PeerTls& tls) const {
    Script script;
    script.send("220 mx\r\n")
        .expect_line("EHLO")
        .send(with_tls)
        .expect("STARTTLS\r\n")
        .send("220 go\r\n")
        .start_tls(tls);
    return script;
  }
  static Script clear(const std::string& offers = "250 mx\r\n") {
    Script script;
    script.send("220 mx\r\n").expect_line("EHLO").send(offers);
    return script;
  }
  static Script& takes(Script& script, const std::string& end = "250 2.0.0 taken\r\n") {
    return script.expect_line("MAIL")
        .send("250 ok\r\n")
        .expect_line("RCPT")
        .send("250 ok\r\n")
        .expect("DATA\r\n")
        .send("354 go\r\n")
        .expect_until("\r\n.\r\n")
        .send(end);
  }
  Script good(const PeerTls& tls) const {
    Script script = secured(tls).expect_line("EHLO").send("250 mx\r\n");
    return takes(script);
  }

  PeerTls tls_of(const Certificate& certificate, const std::string& file) const {
    return PeerTls{.files = write_chain(dir, file, certificate)};
  }
  // "_PORT._tcp.mx1.example.org TLSA 3 1 1 …". REQUIRES: a peer.
  void publish(const Certificate& certificate, const std::string& host = "mx1.example.org") {
    const dns::Tlsa record = certificate.tlsa(3, 1, 1);
    dns.add("_" + std::to_string(routing.port) + "._tcp." + host + " TLSA 3 1 1 " + to_hex(record.data));
  }
  void unpublish(const std::string& host = "mx1.example.org") {
    dns.remove("_" + std::to_string(routing.port) + "._tcp." + host + " TLSA");
  }

  AttemptRunner& runner() {
    if (made) return *made;
    kept_policies = std::make_unique<store_sqlite::SqlitePolicyStore>(*disk);
    const route::PolicyCache::Parts parts{*kept_policies, dns, policy_hosts, log};
    policies = std::make_unique<route::PolicyCache>(parts, route::PolicyOptions{});
    router = std::make_unique<route::Router>(route::Router::Parts{dns, policies.get()}, routing, std::mt19937_64{7});
    made = std::make_unique<AttemptRunner>(Services{loop.executor(), *queue, *router, log});
    reload(dir.write("ca.pem", ca.pem()));
    return *made;
  }
  // As by SIGHUP, with another ca_file. REQUIRES: runner().
  void reload(const std::string& ca_file) {
    Options options;
    options.hostname = name("relay.example.net");
    options.connect_timeout = options.command_timeout = options.data_timeout = 2s;
    options.messages_per_session = 10;
    options.counting = counting;
    options.sources = sources;
    net::TlsOptions from;
    from.ca_file = ca_file;
    made->reload(options, net::ClientTls::load(from).value());
  }
  // What DNS said is forgotten, as after its TTL.
  void forget() { router->reload(routing); }

  static std::shared_ptr<const store::Job> job(std::vector<std::string> to = {"bob@example.org"}) {
    auto job = std::make_shared<store::Job>();
    job->id = store::Id::at(std::chrono::floor<Milliseconds>(std::chrono::system_clock::now()));
    job->destination = "example.org";
    job->envelope.sender = "alice@example.net";
    job->received = job->id.time();
    job->body = "Subject: x\r\n\r\nhi\r\n";
    job->size = job->body.size();
    job->chunks = 1;
    for (const std::string& address : to) {
      store::Due due;
      due.seq = static_cast<std::uint32_t>(job->recipients.size());
      due.address = address;
      due.domain = name(address.substr(address.find('@') + 1));
      job->recipients.push_back(std::move(due));
    }
    return job;
  }
  Attempt send(std::vector<std::string> to = {"bob@example.org"}, Access* access = nullptr) {
    auto sent = std::make_shared<store::Job>(*job(std::move(to)));
    sent->received -= waited;
    runner();
    sent->destination = router->table().destination(sent->recipients.front().domain, sent->received);
    return loop.run(runner().attempt(std::move(sent), session, access));
  }
  void leave() {
    if (session) loop.run(session->client->quit());
    session.reset();
  }

  TempDirectory own;
  TempDir dir;
  Loop loop;
  FakeResolver dns;
  Certificate ca{{.cn = "Test CA", .ca = true}};
  Certificate leaf{{.dns = {"mx1.example.org"}}, ca};
  route::Options routing;
  Counting counting;
  std::vector<SourceRule> sources;
  std::unique_ptr<disk::Disk> disk;
  std::unique_ptr<store_sqlite::SqliteMailStore> mail;
  std::unique_ptr<store_sqlite::SqlitePolicyStore> kept_policies;
  std::unique_ptr<queue::Queue> queue;
  FakeFetch policy_hosts;
  MemoryLog log;
  std::unique_ptr<route::PolicyCache> policies;
  std::unique_ptr<route::Router> router;
  std::unique_ptr<AttemptRunner> made;
  std::vector<std::unique_ptr<ScriptedPeer>> peers;
  std::optional<OpenSession> session;
  Milliseconds waited{0};  // how long what is sent has been in the queue
};

// The words that a log line would have for the hop of a recipient's end.
inline std::string line(const Attempt& attempt, std::initializer_list<const char*> keys, std::size_t recipient = 0) {
  const Event event = to_event(lines_of_recipients(attempt, results(attempt, Schedule{})).at(recipient));
  std::string text = event.name();
  for (const char* key : keys) text += " " + std::string(event.get(key));
  return text;
}
inline std::vector<std::string> actions(const Attempt& attempt) {
  std::vector<std::string> all;
  for (const Event& event : hop_events(attempt)) {
    all.push_back(std::string(event.get("mx")) + " " + std::string(event.get("ip")) + " " +
                  std::string(event.get("reason")) + " " + std::string(event.get("action")));
  }
  return all;
}

}  // namespace hoplock::delivery::testing
