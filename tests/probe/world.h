// SPDX-License-Identifier: Apache-2.0
// A world with one MX host, mx.example.org at 127.0.0.1, played by a script.
#pragma once
#include <doctest/doctest.h>

#include <optional>
#include <string>

#include "probe/check.h"
#include "tests/support/fake_policies.h"
#include "tests/support/fake_resolver.h"
#include "tests/support/loop.h"
#include "tests/support/memory_log.h"
#include "tests/support/scripted_peer.h"
#include "tests/support/test_ca.h"

namespace hoplock::probe::test {

inline support::Recipe named(const char* host) {
  support::Recipe recipe;
  recipe.dns = {host};
  return recipe;
}

inline Time now() { return std::chrono::floor<Milliseconds>(std::chrono::system_clock::now()); }

struct World {
  World() : files(support::write_chain(dir, "mx", leaf)) {
    options.hostname = support::name("relay.example.net");
    options.command_timeout = std::chrono::seconds(5);
    dns.secure = {"example.org"};
    dns.add("example.org MX 10 mx.example.org\nmx.example.org A 127.0.0.1");
  }
  void publish(std::uint16_t port, const dns::Tlsa& record) {
    dns.add("_" + std::to_string(port) + "._tcp.mx.example.org TLSA " + record.text());
  }
  void publish_policy(const std::string& mode, const std::string& mx = "mx.example.org") {
    dns.remove("_mta-sts.example.org TXT");
    dns.add("_mta-sts.example.org TXT v=STSv1; id=1;");
    fetch.answers["example.org"] = support::policy(mode, mx);
  }
  // As the daemon would have kept it an hour ago.
  void keep_policy(const std::string& mode, const std::string& mx = "mx.example.org",
                   Seconds max_age = Seconds(86400)) {
    store::PolicyRow row;
    row.domain = support::name("example.org");
    row.freshness.held = mtasts::Held{"1", now() - std::chrono::hours{1}, max_age};
    row.text = support::policy(mode, mx, max_age.count());
    kept = row;
  }
  route::Router& router(std::uint16_t port) {
    route::Options route;
    route.port = port;
    route.local_targets = route::LocalTargets::allow;
    route.security.mta_sts = mta_sts;
    route.routes = routes;
    made.emplace(route::Router::Parts{dns}, route, std::mt19937_64{7});
    return *made;
  }
  probe::Tools tools(std::uint16_t port) {
    net::TlsOptions with;
    with.ca_file = dir.write("ca.pem", leaf.pem());
    return probe::Tools{dns, router(port), fetch, log, net::ClientTls::load(with).value(), options};
  }
  probe::Finding check(std::uint16_t port, probe::Connecting connecting = probe::Connecting::yes) {
    return loop.run(probe::check(tools(port), {support::name("example.org"), connecting, kept, now()}));
  }
  support::Script until_tls() const {
    support::Script script;
    script.send("220 mx.example.org ESMTP\r\n").expect_line("EHLO ");
    script.send("250-mx.example.org\r\n250 STARTTLS\r\n").expect_line("STARTTLS").send("220 go\r\n");
    support::PeerTls tls;
    tls.files = files;
    return script.start_tls(tls);
  }
  support::Script good() const {
    return until_tls()
        .expect_line("EHLO ")
        .send("250 mx.example.org\r\n")
        .expect_line("QUIT")
        .send("221 bye\r\n")
        .close();
  }

  support::TempDir dir;
  support::Certificate leaf{named("mx.example.org")};
  support::Certificate stranger{named("mx.example.org")};
  net::CertificateFiles files;
  support::Loop loop;
  support::FakeResolver dns;
  support::FakeFetch fetch;
  support::MemoryLog log;
  smtpclient::Options options;
  hop::Mode mta_sts = hop::Mode::enforce;
  std::vector<route::Route> routes;
  std::optional<store::PolicyRow> kept;
  std::optional<route::Router> made;
};

// "sts TLSv1.3 pkix ok": the verdict, and what the first address of the first host came to.
inline std::string result(const probe::Finding& finding) {
  const auto& probe = finding.hosts.at(0).probes.at(0);
  return std::string(to_text(judge(finding, probe::Connecting::yes))) + " " + probe.tls + " " +
         std::string(to_text(probe.auth)) + " " + (probe.reason ? std::string(to_text(*probe.reason)) : "ok");
}

}  // namespace hoplock::probe::test
