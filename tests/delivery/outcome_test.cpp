// SPDX-License-Identifier: Apache-2.0
#include "delivery/outcome.h"

#include <doctest/doctest.h>

#include "delivery/describe.h"
#include "delivery/history_entry.h"
#include "delivery/settlement.h"
#include "smtpclient/refusal.h"
#include "store/message.h"

namespace delivery_outcome_test {

using namespace hoplock;
using namespace hoplock::delivery;
using hop::Reason;
using hop::Words;

namespace {

const Time accepted = parse_rfc3339("2026-11-21T10:00:00.000Z").value();

Hop host(const char* mx) {
  Hop hop;
  hop.mx = mx;
  hop.ip = Ip::parse("192.0.2.1").value();
  return hop;
}
Hop failed(const char* mx, Reason reason, Hop::Action action = Hop::Action::none) {
  Hop hop = host(mx);
  hop.refusal = hop::Refusal{reason, "why"};
  hop.action = action;
  return hop;
}
Hop said(const char* mx, smtp::Reply reply) {
  Hop hop = host(mx);
  hop.refusal = smtpclient::refusal_of(reply);
  return hop;
}
Hop gone(const char* mx) {
  Hop hop = failed(mx, Reason::dns_failure);
  hop.ip.reset();
  hop.definite = true;
  return hop;
}
Hop never(Hop hop) {
  hop.no_mail = true;
  return hop;
}
Hop outdated(Hop hop) {
  hop.outdated = true;
  return hop;
}

RecipientStatus waiting() {
  RecipientStatus status;
  status.due.address = "bob@example.org";
  status.due.domain = dns::Name::parse("example.org").value();
  return status;
}
RecipientStatus told(Fate fate, std::size_t hop, smtp::Reply reply) {
  RecipientStatus status = waiting();
  status.fate = fate;
  status.hop = hop;
  status.reply = std::move(reply);
  return status;
}
RecipientStatus stopped(StopReason stop, std::optional<std::size_t> hop) {
  RecipientStatus status = waiting();
  status.stop = std::move(stop);
  status.hop = hop;
  return status;
}
RecipientStatus lacking(std::vector<std::size_t> hops) {
  RecipientStatus status = waiting();
  status.missing = {std::move(hops), "5.6.7", "needs SMTPUTF8"};
  return status;
}

Attempt attempt(std::vector<Hop> hops, RecipientStatus status) {
  Attempt made;
  made.id = store::Id::at(accepted);
  made.domain = status.due.domain;
  made.sender = "ann@example.net";
  made.received = accepted;
  made.ended = accepted + std::chrono::seconds(90);
  made.hops = std::move(hops);
  made.recipients.push_back(std::move(status));
  return made;
}

struct Row {
  const char* what;
  std::vector<Hop> hops;
  RecipientStatus status;
  RecipientOutcome expected;
};

void check(const Row& row) {
  CAPTURE(row.what);
  const RecipientOutcome got = outcomes_of(attempt(row.hops, row.status)).at(0);
  CHECK(got.fate == row.expected.fate);
  CHECK(got.hop == row.expected.hop);
  CHECK(got.reason == row.expected.reason);
  CHECK(got.status == row.expected.status);
  CHECK(got.reply == row.expected.reply);
  CHECK(got.words == row.expected.words);
}

const smtp::Reply ok(250, {{2, 0, 0}}, "ok");
const smtp::Reply nobody(550, {{5, 1, 1}}, "nobody");
const smtp::Reply later(451, std::nullopt, "later");

}  // namespace

TEST_CASE("outcomes_of: a host's own words decide over whom it took or refused") {
  for (const Row& row : {
           Row{"taken",
               {host("a")},
               told(Fate::delivered, 0, ok),
               {Fate::delivered, 0, std::nullopt, "2.0.0", "250 2.0.0 ok", Words::peer}},
           Row{"taken after a refusal",
               {failed("a", Reason::tlsa_invalid, Hop::Action::next_host), host("b")},
               told(Fate::delivered, 1, ok),
               {Fate::delivered, 1, std::nullopt, "2.0.0", "250 2.0.0 ok", Words::peer}},
           Row{"refused",
               {host("a")},
               told(Fate::bounced, 0, nobody),
               {Fate::bounced, 0, Reason::smtp_reply, "5.1.1", "550 5.1.1 nobody", Words::peer}},
           Row{"refused without an enhanced code",
               {host("a")},
               told(Fate::bounced, 0, {550, std::nullopt, "no"}),
               {Fate::bounced, 0, Reason::smtp_reply, "5.0.0", "550 no", Words::peer}},
           Row{"put off",
               {said("a", later)},
               told(Fate::deferred, 0, later),
               {Fate::deferred, 0, Reason::smtp_reply, "4.0.0", "451 later", Words::peer}},
       })
    check(row);
}

TEST_CASE("outcomes_of: of several hosts the last one that a policy refused decides, else the last one") {
  const Hop rule = failed("a", Reason::tlsa_invalid, Hop::Action::next_host);
  const Hop dead = failed("b", Reason::connect_timeout);
  const RecipientOutcome by_rule{
      Fate::deferred, 0, Reason::tlsa_invalid, "4.7.323", "450 4.7.323 tlsa-invalid: a[192.0.2.1]: why", Words::ours};
  const RecipientOutcome by_dead{
      Fate::deferred, 1, Reason::connect_timeout, "4.4.1", "450 4.4.1 connect-timeout: b[192.0.2.1]: why", Words::ours};
  for (const Row& row : {
           Row{"a rule before a timeout", {rule, dead}, waiting(), by_rule},
           Row{"an old rule decides no more", {outdated(rule), dead}, waiting(), by_dead},
           Row{"nor one that was only watched",
               {failed("a", Reason::tlsa_invalid, Hop::Action::audit), dead},
               waiting(),
               by_dead},
           Row{"a banner of 5yz keeps the mail",
               {said("a", {554, {{5, 7, 1}}, "go away"})},
               waiting(),
               {Fate::deferred, 0, Reason::smtp_reply, "4.7.1", "554 5.7.1 go away", Words::peer}},
           Row{"its code counts though it is of another class",
               {said("a", {554, std::nullopt, " 4.7.2  go"})},
               waiting(),
               {Fate::deferred, 0, Reason::smtp_reply, "4.7.2", "554 4.7.2 go", Words::peer}},
           Row{"smtp-reply of our own words",
               {failed("a", Reason::smtp_reply)},
               waiting(),
               {Fate::deferred, 0, Reason::smtp_reply, "4.0.0", "why", Words::ours}},
           Row{"a host that is gone tells less",
               {dead, gone("b")},
               waiting(),
               {Fate::deferred, 0, Reason::connect_timeout, "4.4.1", "450 4.4.1 connect-timeout: b[192.0.2.1]: why",
                Words::ours}},
           Row{"nothing was tried",
               {},
               waiting(),
               {Fate::deferred, std::nullopt, std::nullopt, "4.3.0", "450 4.3.0 internal error: nothing decided",
                Words::ours}},
       })
    check(row);
}

TEST_CASE("outcomes_of: MX-06, MX-18, MX-24, RTLS-08: where no host is left that might, it is over") {
  Hop unfit = failed("a", Reason::requiretls_not_supported);
  unfit.refusal->status = "7.10";
  for (const Row& row : {
           Row{"all gone",
               {gone("a"), gone("b")},
               waiting(),
               {Fate::bounced, 1, std::nullopt, "5.4.4", "550 5.4.4 b: why", Words::ours}},
           Row{"one says that it never takes mail",
               {never(said("a", {521, std::nullopt, "no mail"})), gone("b")},
               waiting(),
               {Fate::bounced, 0, Reason::smtp_reply, "5.3.2", "521 no mail", Words::peer}},
           Row{"with a code of its own",
               {never(said("a", {521, {{5, 3, 0}}, "no mail"}))},
               waiting(),
               {Fate::bounced, 0, Reason::smtp_reply, "5.3.0", "521 5.3.0 no mail", Words::peer}},
           Row{"all lack what it needs",
               {host("a")},
               lacking({0}),
               {Fate::bounced, 0, std::nullopt, "5.6.7", "554 5.6.7 a[192.0.2.1]: needs SMTPUTF8", Words::ours}},
           Row{"no REQUIRETLS anywhere",
               {unfit},
               waiting(),
               {Fate::bounced, 0, Reason::requiretls_not_supported, "5.7.10",
                "550 5.7.10 requiretls-not-supported: a[192.0.2.1]: why", Words::ours}},
           Row{"but another host may",
               {unfit, failed("b", Reason::connect_timeout)},
               waiting(),
               {Fate::deferred, 0, Reason::requiretls_not_supported, "4.7.10",
                "450 4.7.10 requiretls-not-supported: a[192.0.2.1]: why", Words::ours}},
       })
    check(row);
}

TEST_CASE("outcomes_of: MX-12: a stop ends it at its host, in our words or in place of a reply") {
  const hop::Refusal senseless = smtpclient::refusal_of(smtp::senseless("out of step"));
  for (const Row& row : {
           Row{"no answer",
               {host("a"), failed("b", Reason::tlsa_invalid)},
               stopped({Reason::connection_lost, "no answer"}, 0),
               {Fate::deferred, 0, Reason::connection_lost, "4.4.2",
                "450 4.4.2 connection-lost: a[192.0.2.1]: no answer", Words::ours}},
           Row{"a trouble of ours",
               {host("a")},
               stopped({std::nullopt, "internal error"}, std::nullopt),
               {Fate::deferred, std::nullopt, std::nullopt, "4.3.0", "450 4.3.0 internal error", Words::ours}},
           Row{"an answer without sense",
               {host("a")},
               stopped({senseless.reason, senseless.text, senseless.status, senseless.words}, 0),
               {Fate::deferred, 0, Reason::smtp_reply, "4.5.0", "450 4.5.0 out of step", Words::peer}},
       })
    check(row);
}

TEST_CASE("an attempt's result, log line, history, metric and notice come from its one outcome, not from each other") {
  Attempt made = attempt({failed("mx1.example.org", Reason::tlsa_invalid)}, waiting());
  made.hops.front().policy = hop::Policy::dane;
  made = concluded(std::move(made));
  made.outcomes.front().reply = "450 4.7.323 other words";  // as if it had been concluded so
  made.outcomes.front().reason = Reason::certificate_expired;
  Schedule schedule;
  schedule.dsn_options.emplace();
  schedule.dsn_options->delay_notice = std::chrono::seconds(1);
  const Settlement settlement = settlement_of(made, schedule);
  CHECK(settlement.settled.recipients.at(0).reply == "450 4.7.323 other words");
  CHECK(settlement.settled.recipients.at(0).reason == "certificate-expired");
  CHECK(settlement.events.at(0).get("reply") == "450 4.7.323 other words");
  CHECK(settlement.settled.history_entry.find(
            R"("reason":"certificate-expired","dsn":"4.7.323","reply":"450 4.7.323 other words")") !=
        std::string::npos);
  const counted::Attempt expected{"deferred", "dane", "none", "none", "certificate-expired", Seconds{90}};
  REQUIRE(settlement.metrics.size() == 1);
  CHECK((std::get<counted::Attempt>(settlement.metrics[0]) == expected));
  const auto notice = settlement.notices.at(0).compose("Subject: s\r\n\r\n");
  CHECK(notice.head.find("DANE") != std::string::npos);
}

TEST_CASE("an attempt that nobody concluded is no result: the mail stays where it is") {
  CHECK_THROWS(results(attempt({host("a")}, told(Fate::delivered, 0, ok)), Schedule{}));
}

}  // namespace delivery_outcome_test
