// SPDX-License-Identifier: Apache-2.0
#include "delivery/attempt_runner.h"

#include <doctest/doctest.h>

#include "base/ascii.h"
#include "tests/delivery/attempt_world.h"

namespace delivery_attempt_runner_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace hoplock::delivery::testing;

TEST_CASE("DANE-09, TLS-12: a host whose certificate matches takes the mail, and the line says what proved it") {
  Courses world;
  world.peer({world.good(world.tls_of(world.leaf, "mx1"))});
  world.publish(world.leaf);
  const Attempt attempt = world.send();
  CHECK(line(attempt, {"policy", "tls", "auth", "mx_dnssec", "sni", "tlsa", "dsn"}) ==
        "delivered dane TLSv1.3 dane-ee secure mx1.example.org 3 1 1 2.0.0");
  CHECK(attempt.reached);
  CHECK(actions(attempt) == Problems{});
  CHECK(world.session.has_value());
}

TEST_CASE("TLS-08: a session is used again for the same hop under the same policy") {
  Courses world;
  Script script = world.good(world.tls_of(world.leaf, "mx1"));
  ScriptedPeer& peer = world.peer({Courses::takes(script)});
  world.publish(world.leaf);
  CHECK(line(world.send(), {"auth"}) == "delivered dane-ee");
  CHECK(line(world.send(), {"auth", "tlsa"}) == "delivered dane-ee 3 1 1");
  world.leave();
  CHECK(peer.finish() == Problems{});
  CHECK(peer.connections() == 1);
}

TEST_CASE("TLS-08, DANE-38: when the TLSA records have changed an open session carries nothing more") {
  Courses world;
  const PeerTls tls = world.tls_of(world.leaf, "mx1");
  ScriptedPeer& peer =
      world.peer({world.good(tls).expect_line("QUIT").send("221 bye\r\n"),
                  world.good(tls).expect_line("QUIT").send("221 bye\r\n"), world.secured(tls).expect_line("QUIT")});
  const Certificate other({.dns = {"mx1.example.org"}}, world.ca);
  CHECK(line(world.send(), {"policy"}) == "delivered opportunistic");
  world.publish(world.leaf);  // from now on the host is bound
  world.forget();
  CHECK(line(world.send(), {"policy", "auth"}) == "delivered dane dane-ee");
  world.unpublish();
  world.publish(other);  // rolled over, and this certificate is no longer good
  world.forget();
  CHECK(line(world.send(), {"policy", "auth", "dsn"}) == "deferred dane none 4.7.323");
  CHECK(peer.finish() == Problems{});
  CHECK(peer.connections() == 3);
}

TEST_CASE("a session that died while it was idle costs nothing: a new one takes the mail") {
  const struct {
    const char* how;
    std::function<void(Script&)> end;
  } rows[] = {
      {"closed", [](Script& script) { script.close(); }},
      {"reset", [](Script& script) { script.reset(); }},
      {"said 421 meanwhile", [](Script& script) { script.send("421 4.4.2 idle\r\n").close(); }},
      {"says 421 when asked", [](Script& script) { script.expect_line("MAIL").send("421 4.4.2 idle\r\n").close(); }}};
  for (const auto& row : rows) {
    CAPTURE(row.how);
    Courses world;
    Script first = Courses::clear(), second = Courses::clear();
    row.end(Courses::takes(first));
    ScriptedPeer& peer = world.peer({first, Courses::takes(second)});
    CHECK(line(world.send(), {}) == "delivered");
    const Attempt attempt = world.send();
    CHECK(line(attempt, {"mx", "ip"}) == "delivered mx1.example.org 127.0.0.2");
    CHECK(attempt.hops.size() == 1);
    CHECK(peer.finish() == Problems{});
  }
}

TEST_CASE("a dead session to a destination that is down now is no sign of life") {
  Courses world;
  Script first = Courses::clear();
  Courses::takes(first).close();
  world.peer({first});
  world.send();
  const Attempt attempt = world.send();
  CHECK_FALSE(attempt.reached);
  CHECK(line(attempt, {"reason"}) == "deferred connect-refused");
  CHECK(destination_failure(attempt));
}

TEST_CASE("messages_per_session: then the session is closed in order") {
  Courses world;
  Script script = Courses::clear();
  for (int i = 0; i < 10; ++i) Courses::takes(script);
  ScriptedPeer& peer = world.peer({script.expect_line("QUIT").send("221 bye\r\n").expect_end()});
  for (int i = 0; i < 10; ++i) CHECK(line(world.send(), {}) == "delivered");
  CHECK_FALSE(world.session);
  CHECK(peer.finish() == Problems{});
}

TEST_CASE("DANE-07, MX-05: a host that fails its TLSA is left for the next one") {
  Courses world;
  const Certificate other({.dns = {"mx1.example.org"}}, world.ca);
  world.dns.add("example.org MX 20 mx2.example.org");
  Script second = Courses::clear();
  ScriptedPeer& wrong = world.peer({world.secured(world.tls_of(other, "mx1")).expect_line("QUIT")});
  ScriptedPeer& good = world.peer({Courses::takes(second)}, "127.0.0.3");
  world.publish(world.leaf);
  const Attempt attempt = world.send();
  CHECK(line(attempt, {"mx", "policy"}) == "delivered mx2.example.org opportunistic");
  CHECK(actions(attempt) == Problems{"mx1.example.org 127.0.0.2 tlsa-invalid next-host"});
  CHECK(wrong.finish() == Problems{});
  CHECK(good.finish() == Problems{});
}

TEST_CASE(
    "DANE-07: when every host fails, the message is deferred with the last policy failure; nothing went out in clear") {
  Courses world;
  const Certificate other({.dns = {"mx1.example.org"}}, world.ca);
  world.dns.add("example.org MX 20 mx2.example.org");
  ScriptedPeer& wrong = world.peer({world.secured(world.tls_of(other, "mx1")).expect_line("QUIT")});
  world.publish(world.leaf);
  const Attempt attempt = world.send();  // mx2 has no server
  CHECK(line(attempt, {"mx", "reason", "dsn", "reply"}) ==
        "deferred mx1.example.org tlsa-invalid 4.7.323 450 4.7.323 tlsa-invalid: mx1.example.org[127.0.0.2]: no TLSA "
        "record "
        "matches the certificate");
  CHECK_FALSE(attempt.reached);
  wrong.finish();
  CHECK(wrong.received().find("MAIL") == std::string::npos);
}

TEST_CASE("DANE-38: a host bound by DANE gets no retry in clear when its handshake breaks") {
  Courses world;
  ScriptedPeer& peer = world.peer(
      {Courses::clear(with_tls).expect("STARTTLS\r\n").send("220 go\r\n").receive().close(), Courses::clear(with_tls)});
  world.publish(world.leaf);
  CHECK(line(world.send(), {"policy", "tls", "dsn"}) == "deferred dane none 4.7.5");
  peer.finish();
  CHECK(peer.connections() == 1);
}

TEST_CASE(
    "TLS-10: where nothing binds the host, a broken handshake is followed by a new connection in clear, and told") {
  Courses world;
  Script second = Courses::clear(with_tls);
  ScriptedPeer& peer = world.peer(
      {Courses::clear(with_tls).expect("STARTTLS\r\n").send("220 go\r\n").receive().close(), Courses::takes(second)});
  world.waited = 5min;
  const Attempt attempt = world.send();
  CHECK(line(attempt, {"policy", "tls", "auth"}) == "delivered opportunistic none none");
  CHECK(actions(attempt) == Problems{"mx1.example.org 127.0.0.2 validation-failure plaintext"});
  CHECK(peer.finish() == Problems{});
}

TEST_CASE("TLS-08: a session that was opened under other TLS settings carries nothing more") {
  for (const bool other : {false, true}) {
    CAPTURE(other);
    Courses world;
    Script first = Courses::clear(), second = Courses::clear();
    Courses::takes(first);
    if (!other) Courses::takes(first);
    Courses::takes(second);
    ScriptedPeer& peer = world.peer({first, second});
    CHECK(line(world.send(), {}) == "delivered");
    if (other) world.reload(world.dir.write("other.pem", world.ca.pem()));
    CHECK(line(world.send(), {}) == "delivered");
    world.leave();
    peer.finish();
    CHECK(peer.connections() == (other ? 2 : 1));
  }
}

// Whoever can end a connection after EHLO could have all mail in clear, without a word.
TEST_CASE(
    "TLS-14: where EHLO got no answer HELO gives up TLS: not before a retry interval has passed, and it is told") {
  const auto closes = [] {
    Script script;
    script.send("220 mx\r\n").expect_line("EHLO").close();
    return script;
  };
  Script helo;
  helo.send("220 mx\r\n").expect_line("HELO").send("250 mx\r\n");
  Courses::takes(helo);
  Courses::takes(helo);
  Courses world;
  ScriptedPeer& peer = world.peer({closes(), closes(), helo, closes()});
  CHECK(line(world.send(), {"reason"}) == "deferred connection-lost");
  world.waited = 5min;
  for (int message = 0; message < 2; ++message) {  // the second one over the session that was kept
    const Attempt attempt = world.send();
    CHECK(line(attempt, {"policy", "tls", "auth"}) == "delivered opportunistic none none");
    CHECK(actions(attempt) == Problems{"mx1.example.org 127.0.0.2 connection-lost plaintext"});
  }
  world.waited = 0min;  // a fresh one does not ride on it
  CHECK(line(world.send(), {"reason"}) == "deferred connection-lost");
  peer.finish();
  CHECK(peer.connections() == 4);
}

TEST_CASE(
    "TLS-08, TLS-14: a session in clear is used again while its plan stands, and each message tells why it is in "
    "clear") {
  Courses world;
  Script second = Courses::clear(with_tls);
  Courses::takes(second);
  ScriptedPeer& peer = world.peer(
      {Courses::clear(with_tls).expect("STARTTLS\r\n").send("220 go\r\n").receive().close(), Courses::takes(second)});
  world.waited = 5min;
  world.send();
  const Attempt attempt = world.send();
  CHECK(line(attempt, {"tls"}) == "delivered none");
  CHECK(actions(attempt) == Problems{"mx1.example.org 127.0.0.2 validation-failure plaintext"});
  CHECK(peer.finish() == Problems{});
  CHECK(peer.connections() == 2);
}

TEST_CASE(
    "TLS-14: what has not waited a retry interval does not go in clear, nor over a session that others have in clear") {
  Courses world;
  const Script broken = Courses::clear(with_tls).expect("STARTTLS\r\n").send("220 go\r\n").receive().close();
  Script second = Courses::clear(with_tls);
  Courses::takes(second).expect_line("QUIT").send("221 bye\r\n");
  ScriptedPeer& peer = world.peer({broken, broken, second, broken});
  world.waited = 4min;
  const Attempt young = world.send();
  CHECK(line(young, {"tls", "reason", "dsn"}) == "deferred none validation-failure 4.7.5");
  CHECK(actions(young) == Problems{});
  world.waited = 5min;
  CHECK(line(world.send(), {"tls"}) == "delivered none");
  world.waited = 0ms;
  CHECK(line(world.send(), {"reason"}) == "deferred validation-failure");
  CHECK(peer.finish() == Problems{});
  CHECK(peer.connections() == 4);
}

TEST_CASE("DANE-36: under audit the mail goes over the failing hop; each line carries the reason and auth=none") {
  Courses world;
  const Certificate other({.dns = {"mx1.example.org"}}, world.ca);
  world.routing.security.dane = hop::Mode::audit;
  Script script = world.good(world.tls_of(other, "mx1"));
  ScriptedPeer& peer = world.peer({Courses::takes(script)});
  world.publish(world.leaf);
  for (int i = 0; i < 2; ++i) {  // also over the session that is open already
    const Attempt attempt = world.send();
    CHECK(line(attempt, {"policy", "tls", "auth", "reason"}) == "delivered dane TLSv1.3 none tlsa-invalid");
    CHECK(actions(attempt) == Problems{"mx1.example.org 127.0.0.2 tlsa-invalid audit"});
  }
  world.leave();
  CHECK(peer.finish() == Problems{});
}

TEST_CASE("MX-05: every address of a host is tried") {
  Courses world;
  world.dns.add("mx1.example.org A 127.0.0.4\nmx1.example.org A 127.0.0.5\nmx1.example.org A 127.0.0.6");
  Script script = Courses::clear();
  world.peer({Courses::takes(script)});
  const Attempt attempt = world.send();
  CHECK(line(attempt, {"ip"}) == "delivered 127.0.0.2");
  CHECK(actions(attempt).size() == attempt.hops.size() - 1);
}

TEST_CASE("MX-10: 4yz moves on to the next host, with those only who are left") {
  Courses world;
  world.dns.add("example.org MX 20 mx2.example.org");
  Script first = Courses::clear(), second = Courses::clear();
  first.expect_line("MAIL")
      .send("250 ok\r\n")
      .expect_line("RCPT TO:<bob@")
      .send("250 ok\r\n")
      .expect_line("RCPT TO:<eve@")
      .send("450 4.7.1 later\r\n")
      .expect("DATA\r\n")
      .send("354 go\r\n")
      .expect_until("\r\n.\r\n")
      .send("250 ok\r\n");
  second.expect_line("MAIL")
      .send("250 ok\r\n")
      .expect_line("RCPT TO:<eve@")
      .send("250 ok\r\n")
      .expect("DATA\r\n")
      .send("354 go\r\n")
      .expect_until("\r\n.\r\n")
      .send("250 ok\r\n");
  ScriptedPeer& one = world.peer({first.expect_line("QUIT").send("221 bye\r\n")});
  ScriptedPeer& two = world.peer({second}, "127.0.0.3");
  const Attempt attempt = world.send({"bob@example.org", "eve@example.org"});
  CHECK(line(attempt, {"to", "mx"}, 0) == "delivered bob@example.org mx1.example.org");
  CHECK(line(attempt, {"to", "mx"}, 1) == "delivered eve@example.org mx2.example.org");
  CHECK(actions(attempt) == Problems{"mx1.example.org 127.0.0.2 smtp-reply next-host"});
  CHECK(one.finish() == Problems{});
  CHECK(two.finish() == Problems{});
}

TEST_CASE("MX-10: 5yz to a recipient is final; no other host is asked") {
  Courses world;
  world.dns.add("example.org MX 20 mx2.example.org");
  world.peer(
      {Courses::clear().expect_line("MAIL").send("250 ok\r\n").expect_line("RCPT").send("550 5.1.1 nobody\r\n")});
  ScriptedPeer& two = world.peer({Courses::clear()}, "127.0.0.3");
  const Attempt attempt = world.send();
  CHECK(line(attempt, {"mx", "reason", "dsn", "reply"}) == "bounced mx1.example.org smtp-reply 5.1.1 550 5.1.1 nobody");
  two.finish();
  CHECK(two.connections() == 0);
}

TEST_CASE("MX-10: 5yz at the greeting or to EHLO, and 521, only disqualify the host") {
  for (const char* greeting : {"554 5.7.1 go away\r\n", "521 no mail\r\n"}) {
    Courses world;
    world.dns.add("example.org MX 20 mx2.example.org");
    Script second = Courses::clear();
    world.peer({Script().send(greeting).expect_line("QUIT")});
    world.peer({Courses::takes(second)}, "127.0.0.3");
    CHECK(line(world.send(), {"mx"}) == "delivered mx2.example.org");
  }
}

TEST_CASE(
    "MX-10: a connection lost during the transaction moves on: first to the host's other addresses, then to other "
    "hosts") {
  Courses world;
  world.dns.add("example.org MX 20 mx2.example.org");
  Script second = Courses::clear();
  world.peer({Courses::clear().expect_line("MAIL").close()});
  world.peer({Courses::takes(second)}, "127.0.0.3");
  const Attempt attempt = world.send();
  CHECK(line(attempt, {"mx"}) == "delivered mx2.example.org");
  CHECK(actions(attempt) == Problems{"mx1.example.org 127.0.0.2 connection-lost next-host"});
}

TEST_CASE("MX-12, TLS-11: no answer to the final dot defers, and no other host hears of the message: no duplicate") {
  Courses world;
  world.dns.add("example.org MX 20 mx2.example.org");
  Script first = Courses::clear();
  world.peer({Courses::takes(first, "25").close()});
  ScriptedPeer& two = world.peer({Courses::clear()}, "127.0.0.3");
  const Attempt attempt = world.send();
  CHECK(line(attempt, {"mx", "reason", "dsn", "reply"}) ==
        "deferred mx1.example.org connection-lost 4.4.2 450 4.4.2 connection-lost: mx1.example.org[127.0.0.2]: no "
        "answer to the "
        "end of the message");
  CHECK(attempt.reached);
  two.finish();
  CHECK(two.connections() == 0);
}

TEST_CASE("MX-13: recipients that were too many for one transaction follow in another one, on the same connection") {
  Courses world;
  Script script = Courses::clear("250-mx\r\n250 PIPELINING\r\n");
  script.expect_until("DATA\r\n")
      .send("250 ok\r\n250 ok\r\n452 too many\r\n354 go\r\n")
      .expect_until("\r\n.\r\n")
      .send("250 ok\r\n");
  script.expect_until("DATA\r\n").send("250 ok\r\n250 ok\r\n354 go\r\n").expect_until("\r\n.\r\n").send("250 ok\r\n");
  ScriptedPeer& peer = world.peer({script});
  const Attempt attempt = world.send({"bob@example.org", "eve@example.org"});
  CHECK(line(attempt, {"to"}, 0) == "delivered bob@example.org");
  CHECK(line(attempt, {"to"}, 1) == "delivered eve@example.org");
  CHECK(peer.finish() == Problems{});
}

TEST_CASE("a stored message that cannot be read goes to no further host, and its line says so") {
  Courses world;
  world.dns.add("example.org MX 20 mx2.example.org");
  Script first = Courses::clear();
  first.expect_line("MAIL")
      .send("250 ok\r\n")
      .expect_line("RCPT")
      .send("250 ok\r\n")
      .expect("DATA\r\n")
      .send("354 go\r\n")
      .stall();
  world.peer({first});
  ScriptedPeer& two = world.peer({Courses::clear()}, "127.0.0.3");
  auto job = std::make_shared<store::Job>(*Courses::job());
  job->body.clear();
  job->chunks = 2;  // which the queue does not have
  const Attempt attempt = world.loop.run(world.runner().attempt(job, world.session));
  const auto result = results(attempt, Schedule{}).at(0);
  CHECK(result.status == "4.3.0");
  CHECK(result.reply.starts_with("450 4.3.0 the stored message cannot be read: "));
  two.finish();
  CHECK(two.connections() == 0);
}

TEST_CASE("MX-04: a null MX, and a domain that does not exist, end at once without a connection") {
  Courses world;
  world.dns.add("null.example MX 0 .");
  world.peer({Courses::clear()});
  CHECK(line(world.send({"bob@null.example"}), {"reason", "dsn", "reply"}).starts_with("bounced  5.1.10 556 5.1.10 "));
  CHECK(line(world.send({"bob@nowhere.example"}), {"dsn"}) == "bounced 5.1.2");
  world.dns.fail["late.example MX"] = "SERVFAIL";
  CHECK(line(world.send({"bob@late.example"}), {"reason", "dsn"}) == "deferred dns-failure 4.4.3");
}

}  // namespace delivery_attempt_runner_test
