// SPDX-License-Identifier: Apache-2.0
#include "delivery/describe.h"

#include <doctest/doctest.h>

#include "delivery/settlement.h"
#include "smtpclient/refusal.h"

namespace delivery_describe_test {

using namespace hoplock;
using namespace hoplock::delivery;
using namespace std::chrono_literals;
using hop::Reason;

namespace {

const Time accepted = parse_rfc3339("2026-11-21T10:00:00.000Z").value();
const Time ended = accepted + 90s;

dns::Name name(const char* text) { return dns::Name::parse(text).value(); }

hop::TlsSession session() { return {"TLSv1.3", "TLS_AES_256_GCM_SHA384", std::string(64, 'a'), "mx1.example.org"}; }

Hop host(const char* mx, const char* ip = "192.0.2.1") {
  Hop hop;
  hop.mx = mx;
  if (*ip != '\0') hop.ip = Ip::parse(ip).value();
  return hop;
}

Hop dane_host(const char* mx = "mx1.example.org") {
  Hop hop = host(mx);
  hop.policy = hop::Policy::dane;
  hop.mx_security = dns::Security::secure;
  hop.tls = session();
  return hop;
}

Hop proven(Hop hop) {
  hop.auth = hop::Auth::dane_ee;
  hop.matched = dns::Tlsa{3, 1, 1, std::string(32, 'x')};
  return hop;
}

Hop refused(Hop hop, Reason reason, const char* text, Hop::Action action = Hop::Action::none) {
  hop.refusal = hop::Refusal{reason, text};
  hop.action = action;
  return hop;
}

Hop unusable(const char* mx, const char* why) {
  Hop hop = refused(host(mx, ""), Reason::dns_failure, why);
  hop.definite = true;
  return hop;
}

smtp::Reply reply(int code, std::optional<smtp::EnhancedStatus> status, const char* text) {
  return {code, status, text};
}

Hop said(Hop hop, smtp::Reply words) {
  hop.refusal = smtpclient::refusal_of(words);
  return hop;
}

RecipientStatus recipient(const char* address = "bob@example.org", std::uint32_t seq = 0) {
  RecipientStatus status;
  status.due.seq = seq;
  status.due.address = address;
  status.due.domain = name("example.org");
  status.due.attempts = 2;
  status.due.interval = 10min;
  return status;
}

RecipientStatus answered(Fate fate, smtp::Reply said, std::size_t hop = 0) {
  RecipientStatus status = recipient();
  status.fate = fate;
  status.hop = hop;
  status.reply = std::move(said);
  return status;
}

Attempt attempt(std::vector<Hop> hops, RecipientStatus status = recipient()) {
  Attempt made;
  made.id = store::Id::at(accepted);
  made.destination = "example.org";
  made.domain = dns::Name::parse("example.org").value();
  made.sender = "alice@example.net";
  made.received = accepted;
  made.ended = ended;
  made.hops = std::move(hops);
  made.recipients.push_back(std::move(status));
  return concluded(std::move(made));
}

store::RecipientResult result(const Attempt& made) { return results(made, Schedule{}).at(0); }

// "key=value key=value …", without the id.
std::string line(const Event& event) {
  std::string text = event.name();
  for (const auto& field : event.fields()) {
    if (field.key == "id") continue;
    text += " " + std::string(field.key) + "=" + field.value;
  }
  return text;
}

Event first_event(const Attempt& made, const std::vector<store::RecipientResult>& got) {
  return to_event(lines_of_recipients(made, got).at(0));
}
Event first_event(const Attempt& made) { return first_event(made, results(made, Schedule{})); }

std::string recipient_line(const Attempt& made) { return line(first_event(made)); }

std::vector<std::string> hop_lines(const Attempt& made) {
  std::vector<std::string> lines;
  for (const Event& event : hop_events(made)) lines.push_back(line(event));
  return lines;
}

const std::string key(64, 'a');

}  // namespace

TEST_CASE("DANE-07, DANE-09: when the only host fails its TLSA check the message is deferred with 4.7.323") {
  const auto made = attempt({refused(dane_host(), Reason::tlsa_invalid, "no TLSA record matches the certificate")});
  const auto got = result(made);
  CHECK(got.verdict == store::Verdict::deferred);
  CHECK(got.status == "4.7.323");
  CHECK(got.reason == "tlsa-invalid");
  CHECK(got.reply == "450 4.7.323 tlsa-invalid: mx1.example.org[192.0.2.1]: no TLSA record matches the certificate");
  CHECK(got.host == "mx1.example.org[192.0.2.1]");
  CHECK(hop_events(made).empty());  // the deferred line says it
}

TEST_CASE("each reason has its enhanced code, class 4 while the message is kept") {
  const struct {
    Reason reason;
    const char* status;
    const char* head;
  } rows[] = {
      {Reason::starttls_not_supported, "4.7.321", "450 4.7.321 starttls-not-supported: "},
      {Reason::certificate_expired, "4.7.322", "450 4.7.322 certificate-expired: "},
      {Reason::tlsa_invalid, "4.7.323", "450 4.7.323 tlsa-invalid: "},
      {Reason::dnssec_invalid, "4.7.324", "450 4.7.324 dnssec-invalid: "},
      {Reason::certificate_host_mismatch, "4.7.325", "450 4.7.325 certificate-host-mismatch: "},
      {Reason::mx_not_in_policy, "4.4.8", "450 4.4.8 mx-not-in-policy: "},
      {Reason::certificate_not_trusted, "4.7.5", "450 4.7.5 certificate-not-trusted: "},
      {Reason::validation_failure, "4.7.5", "450 4.7.5 validation-failure: "},
      {Reason::dane_required, "4.7.5", "450 4.7.5 dane-required: "},
      {Reason::connect_timeout, "4.4.1", "450 4.4.1 connect-timeout: "},
      {Reason::connect_refused, "4.4.1", "450 4.4.1 connect-refused: "},
      {Reason::connection_lost, "4.4.2", "450 4.4.2 connection-lost: "},
      {Reason::dns_failure, "4.4.3", "450 4.4.3 dns-failure: "},
  };
  for (const auto& row : rows) {
    const auto got = result(attempt({refused(host("mx1.example.org"), row.reason, "why")}));
    CHECK(got.status == row.status);
    CHECK(got.reply == std::string(row.head) + "mx1.example.org[192.0.2.1]: why");
    CHECK(got.reason == to_text(row.reason));
  }
}

TEST_CASE("TLS-12: a delivered line says who, under which policy, over what, and what proved the peer") {
  const auto made =
      attempt({proven(dane_host())}, answered(Fate::delivered, reply(250, {{2, 0, 0}}, "Ok: queued as 4711")));
  CHECK(recipient_line(made) ==
        "delivered from=alice@example.net to=bob@example.org attempt=3 domain=example.org mx=mx1.example.org "
        "ip=192.0.2.1 "
        "policy=dane tls=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 auth=dane-ee cert=" +
            key +
            " dsn=2.0.0 reply=250 2.0.0 Ok: queued as 4711 delay=90 mx_dnssec=secure sni=mx1.example.org tlsa=3 1 1");
  CHECK(result(made).verdict == store::Verdict::delivered);
  CHECK(first_event(made).level() == Level::info);
}

TEST_CASE("a session in clear is told as tls=none auth=none, without cipher, certificate or TLSA") {
  const auto made = attempt({host("mx1.example.org")}, answered(Fate::delivered, reply(250, std::nullopt, "ok")));
  CHECK(recipient_line(made) ==
        "delivered from=alice@example.net to=bob@example.org attempt=3 domain=example.org mx=mx1.example.org "
        "ip=192.0.2.1 "
        "policy=opportunistic tls=none auth=none dsn=2.0.0 reply=250 ok delay=90 mx_dnssec=insecure");
}

TEST_CASE("a deferred line says when it is tried again; the empty sender is <>") {
  auto made = attempt({refused(host("mx1.example.org"), Reason::connect_timeout, "no connection in time")});
  made.sender = "";
  Schedule schedule;
  schedule.random = 0.5;  // in the middle of the jitter
  const auto got = results(made, schedule);
  CHECK(got.at(0).interval == 20min);
  CHECK(got.at(0).due == ended + 20min);
  const Event event = first_event(made, got);
  CHECK(event.name() == "deferred");
  CHECK(event.get("from") == "<>");
  CHECK(event.get("next") == "2026-11-21T10:21:30.000Z");
  CHECK(event.get("reason") == "connect-timeout");
  CHECK(event.get("delay") == "90");
}

TEST_CASE("TLS-12: a TLSA record that was matched is never told of a session that counts as unauthenticated") {
  Hop hop = proven(dane_host());
  hop.auth = hop::Auth::none;  // under audit
  const auto made = attempt({hop}, answered(Fate::delivered, reply(250, std::nullopt, "ok")));
  CHECK(first_event(made).get("tlsa").empty());
}

TEST_CASE(
    "DANE-36: under audit, mail over a hop that failed its rule carries the reason and auth=none, and a hop line each "
    "time") {
  Hop hop = dane_host();
  hop.waived = hop::Refusal{Reason::tlsa_invalid, "no TLSA record matches the certificate"};
  const auto made = attempt({hop}, answered(Fate::delivered, reply(250, std::nullopt, "ok")));
  const Event event = first_event(made);
  CHECK(event.name() == "delivered");
  CHECK(event.get("reason") == "tlsa-invalid");
  CHECK(event.get("auth") == "none");
  CHECK(event.get("dsn") == "2.0.0");
  CHECK(hop_lines(made) ==
        std::vector<std::string>{
            "hop domain=example.org mx=mx1.example.org ip=192.0.2.1 policy=dane tls=TLSv1.3 auth=none cert=" + key +
            " reason=tlsa-invalid dsn=4.7.323 reply=450 4.7.323 tlsa-invalid: mx1.example.org[192.0.2.1]: no TLSA "
            "record matches the certificate action=audit mx_dnssec=secure sni=mx1.example.org"});
}

TEST_CASE("under audit a retry in clear is told once, and the answer of such a host is its own") {
  Hop failed = refused(dane_host(), Reason::validation_failure, "the TLS handshake failed", Hop::Action::audit);
  failed.tls.reset();
  Hop clear = host("mx1.example.org");
  clear.policy = hop::Policy::dane;
  clear.waived = failed.refusal;
  auto made = attempt({failed, clear}, answered(Fate::bounced, reply(550, {{5, 1, 1}}, "no such user"), 1));
  REQUIRE(hop_lines(made).size() == 1);
  CHECK(hop_events(made).at(0).get("action") == "audit");
  const auto got = result(made);
  CHECK(got.verdict == store::Verdict::bounced);
  CHECK(got.status == "5.1.1");
  CHECK(got.reason == "smtp-reply");  // and not what the audit waived
}

TEST_CASE("TLS-10: cleartext after a failed handshake has its hop line") {
  Hop failed =
      refused(host("mx1.example.org"), Reason::validation_failure, "the TLS handshake failed", Hop::Action::plaintext);
  const auto made =
      attempt({failed, host("mx1.example.org")}, answered(Fate::delivered, reply(250, std::nullopt, "ok"), 1));
  REQUIRE(hop_events(made).size() == 1);
  CHECK(hop_events(made).at(0).get("action") == "plaintext");
  CHECK(hop_events(made).at(0).get("reason") == "validation-failure");
  CHECK(first_event(made).get("reason").empty());
}

TEST_CASE("a route's note stands in the hop's line and in the recipient's") {
  auto made = attempt(
      {refused(host("a.example"), Reason::connect_refused, "refused", Hop::Action::next_host), host("b.example")},
      answered(Fate::delivered, reply(250, std::nullopt, "ok"), 1));
  made.note = "their filter";
  CHECK(hop_events(made).at(0).get("note") == "their filter");
  CHECK(first_event(made).get("note") == "their filter");
}

TEST_CASE("several hosts: the last one refused by policy decides, else the last one tried") {
  const Hop mismatch = refused(dane_host("mx1.example.org"), Reason::tlsa_invalid, "no match", Hop::Action::next_host);
  const Hop bogus = refused(host("mx2.example.org", ""), Reason::dnssec_invalid, "bogus", Hop::Action::next_host);
  const Hop dead = refused(host("mx3.example.org", "192.0.2.3"), Reason::connect_timeout, "no connection in time");
  const Hop greylisted = said(host("mx4.example.org", "192.0.2.4"), reply(450, {{4, 7, 1}}, "later"));
  CHECK(result(attempt({mismatch, dead})).reason == "tlsa-invalid");
  CHECK(result(attempt({mismatch, bogus, dead})).reply == "450 4.7.324 dnssec-invalid: mx2.example.org: bogus");
  CHECK(result(attempt({dead, greylisted})).reply == "450 4.7.1 later");
  CHECK(result(attempt({greylisted, dead})).reason == "connect-timeout");
  // a host without any address tells less than one that may come back
  CHECK(result(attempt({dead, unusable("mx5.example.org", "has no address")})).host == "mx3.example.org[192.0.2.3]");
}

TEST_CASE("MX-06: hosts that are all definitely unusable are 5.4.4 at once; one temporary cause defers") {
  const auto none =
      result(attempt({unusable("mx1.example.org", "has no address"), unusable("mx2.example.org", "does not exist")}));
  CHECK(none.verdict == store::Verdict::bounced);
  CHECK(none.status == "5.4.4");
  CHECK(none.reason.empty());
  CHECK(none.reply == "550 5.4.4 mx2.example.org: does not exist");
  const auto some = result(attempt({unusable("mx1.example.org", "has no address"),
                                    refused(host("mx2.example.org", ""), Reason::dns_failure, "SERVFAIL")}));
  CHECK(some.verdict == store::Verdict::deferred);
  CHECK(some.status == "4.4.3");
  CHECK(hop_events(attempt({refused(unusable("mx1.example.org", ""), Reason::dns_failure, "has no address",
                                    Hop::Action::next_host),
                            host("mx2.example.org")}))
            .at(0)
            .get("reason")
            .empty());
}

TEST_CASE("MX-04: a null MX fails the recipient at once with 556 5.1.10 and no reason") {
  auto made = attempt({});
  made.no_hosts =
      route::NoHosts{route::NoHosts::Kind::permanent, 556, "5.1.10", std::nullopt, "the domain takes no mail", nullptr};
  made = concluded(made);
  const auto got = result(made);
  CHECK(got.verdict == store::Verdict::bounced);
  CHECK(got.status == "5.1.10");
  CHECK(got.reason.empty());
  CHECK(got.reply == "556 5.1.10 example.org: the domain takes no mail");
  CHECK_FALSE(destination_failure(made));
  CHECK(recipient_line(made) ==
        "bounced from=alice@example.net to=bob@example.org attempt=3 domain=example.org dsn=5.1.10 reply=556 5.1.10 "
        "example.org: the domain takes no mail delay=90");
}

TEST_CASE("MX-02: a failed MX look-up defers, with its reason, and holds the destination") {
  auto made = attempt({});
  made.no_hosts =
      route::NoHosts{route::NoHosts::Kind::temporary, 451, "4.4.3", Reason::dns_failure, "SERVFAIL", nullptr};
  made = concluded(made);
  CHECK(result(made).reply == "451 4.4.3 dns-failure: example.org: SERVFAIL");
  REQUIRE(destination_failure(made));
  CHECK(destination_failure(made)->status == "4.4.3");
  CHECK(destination_failure(made)->reason == Reason::dns_failure);
}

TEST_CASE("smtp-reply carries the server's own code, in class 4 while the message is kept") {
  const auto greylisted = result(attempt({said(host("mx1.example.org"), reply(450, {{4, 7, 1}}, "later"))},
                                         answered(Fate::deferred, reply(450, {{4, 7, 1}}, "later"))));
  CHECK(greylisted.status == "4.7.1");
  CHECK(greylisted.reason == "smtp-reply");
  CHECK(greylisted.reply == "450 4.7.1 later");
  // a host that takes no mail at all is not the mail's fault: deferred, though it said 5yz
  const auto banner = result(attempt({said(host("mx1.example.org"), reply(554, {{5, 7, 1}}, "go away"))}));
  CHECK(banner.verdict == store::Verdict::deferred);
  CHECK(banner.status == "4.7.1");
  const auto bare = result(attempt({}, recipient()));
  CHECK(bare.verdict == store::Verdict::deferred);
  const auto bounced =
      result(attempt({host("mx1.example.org")}, answered(Fate::bounced, reply(550, std::nullopt, "no"))));
  CHECK(bounced.status == "5.0.0");
  CHECK(bounced.verdict == store::Verdict::bounced);
}

}  // namespace delivery_describe_test
