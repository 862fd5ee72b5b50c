// SPDX-License-Identifier: Apache-2.0
// A client of ours facing scripted servers: targets, messages, certificates.
#pragma once
#include <doctest/doctest.h>

#include "smtpclient/client.h"
#include "tests/support/loop.h"
#include "tests/support/scripted_peer.h"
#include "tests/support/test_ca.h"

namespace hoplock::smtpclient::testing {

using namespace hoplock::support;
using namespace std::chrono_literals;
using hop::Reason;
using hop::Stage;

inline const Ip loopback = Ip::parse("127.0.0.1").value();
inline const std::string ehlo = "EHLO relay.example.net\r\n";

inline Options options() {
  Options made;
  made.hostname = dns::Name::parse("relay.example.net").value();
  made.connect_timeout = 2s;
  made.command_timeout = 2s;
  made.data_timeout = 2s;
  return made;
}

inline smtp::Mailbox mailbox(std::string_view text) { return std::get<smtp::Mailbox>(smtp::Mailbox::parse(text)); }

inline smtp::Envelope envelope(int recipients = 1) {
  smtp::Envelope made;
  made.sender = mailbox("alice@example.net");
  made.size = 20;
  for (int i = 1; i <= recipients; ++i) {
    smtp::Recipient recipient;
    recipient.mailbox = mailbox("r" + std::to_string(i) + "@example.org");
    made.recipients.push_back(std::move(recipient));
  }
  return made;
}

inline Content text(std::string octets) {
  Content content;
  content.whole = std::make_shared<const std::string>(std::move(octets));
  content.chunks = 1;
  return content;
}

inline const std::string mail = "MAIL FROM:<alice@example.net>\r\n";
inline std::string rcpt(int n) { return "RCPT TO:<r" + std::to_string(n) + "@example.org>\r\n"; }

// Greeting and EHLO in clear.
inline Script greeted(const std::string& offers = "250 mx.example.org\r\n") {
  Script script;
  script.send("220 mx.example.org ESMTP\r\n").expect(ehlo).send(offers);
  return script;
}
inline const std::string pipelining = "250-mx.example.org\r\n250 PIPELINING\r\n";

struct World {
  Loop loop;
  TempDir dir;
  Certificate ca{{.cn = "Test CA", .ca = true}};
  Certificate leaf{{.dns = {"mx.example.org"}}, ca};
  PeerTls peer_tls{.files = write_chain(dir, "mx", leaf)};
  std::shared_ptr<const net::ClientTls> tls;
  Target target;

  World() {
    net::TlsOptions from;
    from.ca_file = dir.write("ca.pem", ca.pem());
    tls = net::ClientTls::load(from).value();
    target.plan.tls = hop::Tls::never;
  }
  // TLS is a must, and only this key will do.
  void demand_dane(const Certificate& certificate) {
    target.plan.policy = hop::Policy::dane;
    target.plan.tls = hop::Tls::must;
    target.plan.on_failure = hop::OnFailure::next_host;
    target.plan.sni = dns::Name::parse("mx.example.org").value();
    hop::DaneCheck check;
    check.base = target.plan.sni;
    check.records = {certificate.tlsa(3, 1, 1)};
    check.names = {target.plan.sni};
    target.plan.dane = std::move(check);
  }
  Script starttls(const std::string& offers = "250-mx.example.org\r\n250 STARTTLS\r\n") {
    return greeted(offers).expect("STARTTLS\r\n").send("220 go ahead\r\n").start_tls(peer_tls);
  }
  Opened open(const ScriptedPeer& peer, Options with = options()) {
    Target to = target;
    to.at = {loopback, peer.port()};
    return loop.run(Client::open(std::move(to), *tls, std::move(with)));
  }
  Sent send(Client& client, smtp::Envelope what, Content content) {
    return loop.run(client.send(std::move(what), std::move(content)));
  }
  // One transaction of one message over one connection.
  Sent converse(Script script, int recipients = 1, const std::string& content = "Subject: x\r\n\r\nhi\r\n") {
    ScriptedPeer peer(std::move(script));
    Opened opened = open(peer);
    REQUIRE_MESSAGE(opened.client, (opened.outcome.failure ? opened.outcome.failure->text : "no client"));
    Sent sent = send(*opened.client, envelope(recipients), text(content));
    usable = opened.client->usable();
    loop.run(opened.client->quit());
    problems = peer.finish();
    received = peer.received();
    return sent;
  }
  bool usable = false;
  std::vector<std::string> problems;
  std::string received;
};

using Problems = std::vector<std::string>;
using smtp::Fate;

inline Fate fate(const Sent& sent, std::size_t i = 0) { return sent.settled.recipients.at(i).fate; }
inline int code(const Sent& sent, std::size_t i = 0) { return sent.settled.recipients.at(i).reply.code; }

}  // namespace hoplock::smtpclient::testing
