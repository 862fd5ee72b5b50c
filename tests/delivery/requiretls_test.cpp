// SPDX-License-Identifier: Apache-2.0
// REQUIRETLS and `TLS-Required: No` (RFC 8689) in an attempt: what goes over which session, what ends for good, what is counted.
#include <doctest/doctest.h>

#include "delivery/attempt_runner.h"
#include "dsn/notice.h"
#include "tests/delivery/attempt_world.h"
#include "tests/delivery/counted.h"

namespace delivery_requiretls_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace hoplock::delivery::testing;

namespace {

using Lines = std::vector<std::string>;
constexpr auto keys = {"mx", "policy", "auth", "reason", "dsn"};
enum class Ask { nothing, requiretls, relaxed };

struct World : Courses {
  World() {
    counting.enabled = true;
    dns.add("_smtp._tls.example.org TXT v=TLSRPTv1; rua=mailto:r@example.org");
  }
  PeerTls tls() { return tls_of(leaf, "mx1"); }
  Script offering(const PeerTls& with, const std::string& inside = "250-mx\r\n250 REQUIRETLS\r\n") const {
    return secured(with).expect_line("EHLO").send(inside);
  }
  static Script& takes_required(Script& script) {
    return script.expect("MAIL FROM:<alice@example.net> REQUIRETLS\r\n")
        .send("250 ok\r\n")
        .expect_line("RCPT")
        .send("250 ok\r\n")
        .expect("DATA\r\n")
        .send("354 go\r\n")
        .expect_until("\r\n.\r\n")
        .send("250 2.0.0 taken\r\n");
  }
  static Script& quits(Script& script) { return script.expect_line("QUIT").send("221 bye\r\n"); }
  Attempt send(Ask ask) {
    auto mine = std::make_shared<store::Job>(*job());
    mine->envelope.requiretls = ask == Ask::requiretls;
    mine->envelope.tls_required_no = ask == Ask::relaxed;
    return run(std::move(mine));
  }
  Attempt run(std::shared_ptr<store::Job> mine) { return loop.run(runner().attempt(std::move(mine), session)); }
  Attempt send_notice(const std::string& body, std::chrono::hours age = std::chrono::hours{0}) {
    auto mine = std::make_shared<store::Job>(*job());
    mine->envelope.sender.clear();
    mine->envelope.requiretls = true;
    mine->envelope.kind = store::Kind::notice;
    mine->received -= age;
    mine->body = body;
    mine->size = body.size();
    return run(std::move(mine));
  }
};

std::string a_notice() {
  dsn::Notice notice;
  notice.hostname = "relay.example.net";
  notice.from = "postmaster@relay.example.net";
  notice.to = "bob@example.org";
  notice.message_id = "1@relay.example.net";
  notice.boundary = "=_b";
  notice.recipients.emplace_back();
  notice.recipients.back().address = "x@example.com";
  dsn::Content content;
  content.beginning = "Subject: secret plans\r\nMessage-ID: <orig@example.org>\r\n\r\n";
  const dsn::Text text = dsn::compose(notice, content);
  return text.head + text.tail;
}

}  // namespace

TEST_CASE("RTLS-09: MAIL carries REQUIRETLS to a host that satisfies all of it") {
  World world;
  Script script = world.offering(world.tls());
  ScriptedPeer& peer = world.peer({World::takes_required(script)});
  world.publish(world.leaf);
  CHECK(line(world.send(Ask::requiretls), keys) == "delivered mx1.example.org requiretls dane-ee  2.0.0");
  CHECK(peer.finish() == Problems{});
}

TEST_CASE("RTLS-06: under DANE-EE the MX name must be in the certificate all the same") {
  World world;
  const Certificate other({.dns = {"other.example.org"}}, world.ca);
  Script script = world.secured(world.tls_of(other, "other"));
  ScriptedPeer& peer = world.peer({World::quits(script)});
  world.publish(other);
  const Attempt attempt = world.send(Ask::requiretls);
  CHECK(line(attempt, keys) == "bounced mx1.example.org requiretls none requiretls-not-supported 5.7.10");
  CHECK(peer.finish() == Problems{});
  CHECK_FALSE(destination_failure(attempt));
}

TEST_CASE("RTLS-07, RTLS-08: what is listed before TLS proves nothing, and the host hears QUIT, not MAIL") {
  World world;
  Script script;
  script.send("220 mx\r\n")
      .expect_line("EHLO")
      .send("250-mx\r\n250-REQUIRETLS\r\n250 STARTTLS\r\n")
      .expect("STARTTLS\r\n")
      .send("220 go\r\n")
      .start_tls(world.tls())
      .expect_line("EHLO")
      .send("250 mx\r\n");
  ScriptedPeer& peer = world.peer({World::quits(script)});
  const Attempt attempt = world.send(Ask::requiretls);
  CHECK(line(attempt, keys) == "bounced mx1.example.org requiretls none requiretls-not-supported 5.7.30");
  CHECK(line(attempt, {"reply"})
            .starts_with("bounced 550 5.7.30 requiretls-not-supported: mx1.example.org[127.0.0.2]: "));
  CHECK(peer.finish() == Problems{});
  CHECK_FALSE(destination_failure(attempt));
  CHECK_FALSE(world.session);
}

TEST_CASE("RTLS-08: the next host is tried, and where one failed only for now the mail waits") {
  World world;
  world.dns.add("example.org MX 20 mx2.example.org");
  Script lacks = world.offering(world.tls(), "250 mx\r\n");
  Script again = world.offering(world.tls(), "250 mx\r\n");
  world.peer({World::quits(lacks), World::quits(again)});
  Attempt attempt = world.send(Ask::requiretls);
  CHECK(line(attempt, {"dsn", "reason"}) == "deferred 4.7.30 requiretls-not-supported");  // nobody listens at mx2
  CHECK_FALSE(destination_failure(attempt));
  const Certificate second({.dns = {"mx2.example.org"}}, world.ca);
  Script offers = world.offering(world.tls_of(second, "mx2"));
  world.peer({World::takes_required(offers)}, "127.0.0.3");
  attempt = world.send(Ask::requiretls);
  CHECK(line(attempt, {"mx", "policy"}) == "delivered mx2.example.org requiretls");
  CHECK(actions(attempt) == Problems{"mx1.example.org 127.0.0.2 requiretls-not-supported next-host"});
}

TEST_CASE("TLS-08, RTLS-09: a session that was opened for lax mail carries no strict one, nor the other way round") {
  World world;
  const auto both = [&](bool strict) {
    Script script = world.offering(world.tls());
    if (strict) {
      World::takes_required(script);
    } else {
      Courses::takes(script);
    }
    return World::quits(script);
  };
  ScriptedPeer& peer = world.peer({both(false), both(true), both(false), both(false)});
  CHECK(line(world.send(Ask::nothing), {"policy"}) == "delivered opportunistic");
  CHECK(line(world.send(Ask::requiretls), {"policy"}) == "delivered requiretls");
  CHECK(line(world.send(Ask::nothing), {"policy"}) == "delivered opportunistic");
  CHECK(line(world.send(Ask::relaxed), {"policy", "reason"}) == "delivered opportunistic ");
  world.leave();
  CHECK(peer.finish() == Problems{});
  CHECK(peer.connections() == 4);
}

TEST_CASE("RTLS-13: relaxed mail goes where the policy fails, its line says so, and no report tells of it") {
  World world;
  const Certificate other({.dns = {"mx1.example.org"}}, world.ca);
  Script refused = world.secured(world.tls()), relaxed = world.good(world.tls());
  ScriptedPeer& peer = world.peer({World::quits(refused), relaxed});
  world.publish(other);
  Attempt attempt = world.send(Ask::nothing);
  CHECK(line(attempt, {"policy", "reason"}) == "deferred dane tlsa-invalid");
  CHECK(sessions_in(attempt.counts).size() == 1);
  attempt = world.send(Ask::relaxed);
  CHECK(line(attempt, keys) == "delivered mx1.example.org opportunistic none tls-required-no 2.0.0");
  CHECK(attempt.counts.empty());
  CHECK(actions(attempt) == Problems{});
  CHECK(peer.finish() == Problems{});
}

TEST_CASE("RTLS-13: where the operator ignores the header field, the policy stands") {
  World world;
  const Certificate other({.dns = {"mx1.example.org"}}, world.ca);
  Script refused = world.secured(world.tls());
  world.peer({World::quits(refused)});
  world.publish(other);
  Options strict;
  strict.hostname = name("relay.example.net");
  strict.tls_required_no = TlsRequiredNo::ignore;
  net::TlsOptions from;
  from.ca_file = world.dir.write("ca.pem", world.ca.pem());
  world.runner().reload(strict, net::ClientTls::load(from).value());
  CHECK(line(world.send(Ask::relaxed), {"policy", "reason"}) == "deferred dane tlsa-invalid");
}

TEST_CASE("RTLS-11: of both wishes the stricter one counts; a report is a report") {
  store::Envelope envelope;
  CHECK(message_class_of(envelope, TlsRequiredNo::honor) == MessageClass::ordinary);
  envelope.tls_required_no = true;
  CHECK(message_class_of(envelope, TlsRequiredNo::honor) == MessageClass::tls_required_no);
  CHECK(message_class_of(envelope, TlsRequiredNo::ignore) == MessageClass::ordinary);
  envelope.requiretls = true;
  CHECK(message_class_of(envelope, TlsRequiredNo::honor) == MessageClass::requiretls);
  envelope.kind = store::Kind::report;
  CHECK(message_class_of(envelope, TlsRequiredNo::ignore) == MessageClass::report);
}

TEST_CASE("RTLS-10: a notice of ours goes redacted where the way back lacks REQUIRETLS") {
  World world;
  Script lacks = world.offering(world.tls(), "250 mx\r\n"),
         takes = world.secured(world.tls()).expect_line("EHLO").send("250 mx\r\n");
  takes.expect("MAIL FROM:<>\r\n")
      .send("250 ok\r\n")
      .expect_line("RCPT")
      .send("250 ok\r\n")
      .expect("DATA\r\n")
      .send("354 go\r\n");
  takes.expect_until("\r\n.\r\n").send("250 2.0.0 taken\r\n");
  ScriptedPeer& peer = world.peer({World::quits(lacks), takes});
  const Attempt attempt = world.send_notice(a_notice());
  CHECK(line(attempt, {"policy", "redacted", "dsn"}) == "delivered opportunistic yes 2.0.0");
  CHECK(peer.finish() == Problems{});
  const std::string& got = peer.received(1);
  CHECK(got.find("secret plans") == std::string::npos);
  CHECK(got.find("orig@example.org") == std::string::npos);
  CHECK(got.find("--=_b--") != std::string::npos);
}

TEST_CASE("RTLS-10: what is only so for now keeps a notice waiting, until its last attempt") {
  World world;
  const auto not_now = [] {
    return Courses::clear(with_tls).expect("STARTTLS\r\n").send("454 4.7.0 not now\r\n").expect_line("QUIT");
  };
  Script clear = Courses::clear();
  world.peer({not_now(), not_now(), Courses::takes(clear)});
  CHECK(line(world.send_notice(a_notice()), {"reason", "redacted"}) == "deferred starttls-not-supported ");
  CHECK(line(world.send_notice(a_notice(), std::chrono::hours(25)), {"policy", "redacted"}) ==
        "delivered opportunistic yes");
}

TEST_CASE("RTLS-10: mail with the empty sender that is none of our notices is never loosened") {
  World world;
  Script lacks = world.offering(world.tls(), "250 mx\r\n");
  world.peer({World::quits(lacks)});
  auto foreign = std::make_shared<store::Job>(*World::job());
  foreign->envelope.sender.clear();
  foreign->envelope.requiretls = true;
  CHECK(line(world.run(foreign), {"dsn"}) == "bounced 5.7.30");
}

TEST_CASE("RTLS-03: mail that came to be 7-bit on the way still asks for REQUIRETLS") {
  World world;
  Script script = world.offering(world.tls());
  World::takes_required(script);
  ScriptedPeer& peer = world.peer({script});
  auto eight = std::make_shared<store::Job>(*World::job());
  eight->envelope.requiretls = true;
  eight->envelope.body = store::Body::eight_bit;
  eight->body = "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\xc3\xa9\r\n";
  eight->size = eight->body.size();
  CHECK(line(world.run(eight), {"policy"}) == "delivered requiretls");
  CHECK(peer.finish() == Problems{});
}

}  // namespace delivery_requiretls_test
