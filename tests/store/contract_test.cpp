// SPDX-License-Identifier: Apache-2.0
// store::MailStore: what comes in, what goes out, and what a failure leaves, on every implementation there is.
#include "store/mail_store.h"

#include "tests/store/all.h"

namespace hoplock::store::contract::store_contract_test {

namespace {

bool is_store_failure(const Error& error) {
  return error.code == errc::no_space_on_device || error.code == errc::io_error ||
         error.code == errc::read_only_file_system || error.code == errc::device_or_resource_busy;
}

RoutedNotice notice_about(Id about, Id id, Notice::Kind kind = Notice::Kind::end) {
  RoutedNotice routed;
  routed.id = id;
  routed.destination = "example.net";
  routed.notice.about = about;
  routed.notice.seqs = {0};
  routed.notice.kind = kind;
  routed.notice.what = "failed";
  routed.notice.recipient.address = "sender@example.net";
  routed.notice.recipient.domain = name("example.net");
  routed.notice.compose = [](std::string_view beginning) {
    NoticeText text;
    text.head = "of " + std::string(beginning.substr(0, 7)) + "\r\n";
    return text;
  };
  return routed;
}

}  // namespace

// --- intake ------------------------------------------------------------------------------------------------------------

TEST_CASE_TEMPLATE("a new store has nothing", Kept, HOPLOCK_STORES) {
  Kept kept;
  const Recovered recovered = kept.ask(kept.store().recover()).value();
  CHECK(recovered.last_id == 0);
  CHECK_FALSE(recovered.seen.has_value());
  CHECK_FALSE(recovered.rebasing);
  CHECK(recovered.drafts.empty());
  Mail mail(kept);
  CHECK(mail.due().empty());
  CHECK(mail.lease("one.test").empty());
  CHECK(kept.store().writable().has_value());
  CHECK_FALSE(kept.store().name().empty());
}

TEST_CASE_TEMPLATE("SUB-29: what was committed is there after a restart, octet by octet", Kept, HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  auto draft = mail.draft({"a@one.test", "b@two.test", "c@one.test"});
  draft->envelope.body = Body::eight_bit;
  draft->envelope.smtputf8 = true;
  draft->envelope.requiretls = true;
  draft->envelope.ret = Ret::headers;
  draft->envelope.envid = "env-1";
  draft->recipients[0].orcpt = "rfc822;a@one.test";
  draft->recipients[0].notify = 4;
  const auto enqueued = mail.ask(mail.store().commit(draft)).value();
  REQUIRE(enqueued.size() == 2);
  CHECK(enqueued[0].destination == "one.test");
  CHECK(enqueued[0].alone);
  CHECK_FALSE(enqueued[0].backoff.has_value());
  mail.restart();
  CHECK(mail.due() == Strings{"one.test", "two.test"});
  const auto jobs = mail.lease("one.test");
  REQUIRE(jobs.size() == 1);
  const Job& job = jobs[0];
  CHECK(job.id == draft->id);
  CHECK(job.received == t0);
  CHECK(job.size == draft->size);
  CHECK(job.body == *draft->last_chunk);
  CHECK(job.envelope.sender == "sender@example.net");
  CHECK(job.envelope.client == "192.0.2.1");
  CHECK(job.envelope.body == Body::eight_bit);
  CHECK(job.envelope.smtputf8);
  CHECK(job.envelope.requiretls);
  CHECK_FALSE(job.envelope.tls_required_no);
  CHECK(job.envelope.ret == Ret::headers);
  CHECK(job.envelope.envid == "env-1");
  REQUIRE(job.recipients.size() == 2);
  CHECK(job.recipients[0].address == "a@one.test");
  CHECK(job.recipients[0].orcpt == "rfc822;a@one.test");
  CHECK(job.recipients[0].notify == 4);
  CHECK(job.recipients[0].attempts == 0);
  CHECK(job.recipients[1].seq == 2);
  CHECK(kept.ask(kept.store().recover()).value().last_id >= draft->id.value);
}

TEST_CASE_TEMPLATE("a commit tells whether something waits at its destinations, and whether they are held off", Kept,
                   HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  mail.put({"a@one.test"});
  CHECK_FALSE(mail.ask(mail.store().commit(mail.draft({"b@one.test"}))).value().at(0).alone);
  mail.hold_off("one.test", Mail::down_until(at(60)));
  const auto enqueued = mail.ask(mail.store().commit(mail.draft({"c@one.test"}))).value();
  REQUIRE(enqueued.at(0).backoff.has_value());
  CHECK(enqueued[0].backoff->until == at(60));
  CHECK(enqueued[0].backoff->failures == 2);
}

TEST_CASE_TEMPLATE("what streams ahead is no message before its commit, and goes where there is none", Kept,
                   HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  auto draft = mail.draft({"a@one.test"}, t0, "the end");
  const auto lost = mail.draft({"a@one.test"});
  for (const Id id : {draft->id, lost->id}) {
    CHECK(mail.ask(mail.store().append_chunk(id, 0, std::string(chunk_bytes, 'x'))).has_value());
    CHECK(mail.ask(mail.store().append_chunk(id, 1, std::string(chunk_bytes, 'y'))).has_value());
  }
  CHECK(mail.due().empty());
  draft->streamed = true;
  draft->chunks = 3;
  draft->size = 2 * chunk_bytes + 7;
  CHECK(mail.ask(mail.store().commit(draft)).has_value());
  CHECK(mail.ask(mail.store().drafts()).value() == std::vector<Id>{lost->id});
  kept.restart();
  CHECK(kept.ask(kept.store().recover()).value().drafts == std::vector<Id>{lost->id});
  mail.repeat([&] { return mail.store().discard_some(lost->id); });
  mail.repeat([&] { return mail.store().discard_some(draft->id); });  // a message: it is left alone
  CHECK(mail.ask(mail.store().drafts()).value().empty());
  CHECK(mail.ask(mail.store().read_chunk(lost->id, 0)).error().code == errc::no_message);
  const auto jobs = mail.lease("one.test");
  REQUIRE(jobs.size() == 1);
  CHECK(jobs[0].chunks == 3);
  CHECK(jobs[0].body.empty());
  CHECK(mail.ask(mail.store().read_chunk(draft->id, 0)).value() == std::string(chunk_bytes, 'x'));
  CHECK(mail.ask(mail.store().read_chunk(draft->id, 2)).value() == "the end");
  CHECK(mail.ask(mail.store().read_chunk(draft->id, 3)).error().code == errc::no_message);
}

// --- what is due -------------------------------------------------------------------------------------------------------

TEST_CASE_TEMPLATE("due: as many as asked for, without those that are busy or held off; then when there is more", Kept,
                   HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  mail.put({"a@one.test"}, at(0));
  mail.put({"a@two.test"}, at(1));
  mail.put({"a@three.test"}, at(2));
  CHECK(mail.due(at(5)) == Strings{"one.test", "three.test", "two.test"});
  CHECK(mail.due(at(5), 2).size() == 2);
  CHECK(mail.due(at(5), 100, {"one.test", "two.test"}) == Strings{"three.test"});
  mail.hold_off("one.test", Mail::down_until(at(60)));
  CHECK(mail.due(at(5)) == Strings{"three.test", "two.test"});
  mail.settle({Mail::all(mail.lease("two.test", at(5)).at(0), Verdict::deferred, at(30)),
               Mail::all(mail.lease("three.test", at(5)).at(0), Verdict::delivered)});
  const Work work = mail.ask(mail.store().due(at(6), 100, {})).value();
  CHECK(work.ready.empty());
  REQUIRE(work.next_due.has_value());
  CHECK(*work.next_due <= at(30));
  CHECK(*work.next_due > at(6));
  CHECK(mail.due(at(60)) == Strings{"one.test", "two.test"});
}

TEST_CASE_TEMPLATE("lease: the earliest first, within the limits, at least one, never what is excluded", Kept,
                   HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  std::vector<Id> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(mail.put({"a@one.test"}, at(i), std::string(1000, 'x')));
  Leased leased = mail.ask(mail.store().lease(Mail::query("one.test", at(10), 2))).value();
  REQUIRE(leased.jobs.size() == 2);
  CHECK(leased.jobs[0].id == ids[0]);
  CHECK(leased.jobs[1].id == ids[1]);
  CHECK(leased.more);
  LeaseQuery small = Mail::query("one.test", at(10));
  small.bytes = 1;
  CHECK(mail.ask(mail.store().lease(small)).value().jobs.size() == 1);
  LeaseQuery others = Mail::query("one.test", at(10));
  others.exclude = {ids[0], ids[1], ids[4]};
  leased = mail.ask(mail.store().lease(others)).value();
  REQUIRE(leased.jobs.size() == 2);
  CHECK(leased.jobs[0].id == ids[2]);
  CHECK_FALSE(leased.more);
  CHECK(leased.next == no_due_time);
  CHECK(mail.lease("one.test", at(1)).size() == 2);  // the others came later
}

TEST_CASE_TEMPLATE("lease: old mail, due or not, and what waits behind a hold, page by page", Kept, HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  const Id tried = mail.put({"a@one.test"}, at(0));
  mail.settle({Mail::all(mail.lease("one.test").at(0), Verdict::deferred, at(9000))});
  const Id first = mail.put({"a@one.test"}, at(1));
  const Id second = mail.put({"a@one.test"}, at(2));
  LeaseQuery old = Mail::query("one.test");
  old.which = LeaseQuery::OlderThan{second};
  const auto found = mail.ask(mail.store().lease(old)).value().jobs;
  REQUIRE(found.size() == 2);
  CHECK(found[0].id == tried);
  CHECK(found[0].recipients.at(0).attempts == 1);
  CHECK(found[1].id == first);
  HeldQuery untold;
  untold.after = at(0) - Seconds(1);
  untold.until = at(100);
  LeaseQuery held = Mail::query("one.test", t0, 1);
  held.which = untold;
  Leased page = mail.ask(mail.store().lease(held)).value();
  REQUIRE(page.jobs.size() == 1);
  CHECK(page.jobs[0].id == first);
  REQUIRE(page.rest.has_value());
  held.which = *page.rest;
  page = mail.ask(mail.store().lease(held)).value();
  REQUIRE(page.jobs.size() == 1);
  CHECK(page.jobs[0].id == second);
  CHECK_FALSE(page.rest.has_value());
}

// --- ends --------------------------------------------------------------------------------------------------------------

TEST_CASE_TEMPLATE("settle: delivered mail goes, deferred mail waits, the rest goes back as it was", Kept,
                   HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  const Id id = mail.put({"a@one.test", "b@one.test", "c@one.test"});
  Settled ends = Mail::all(mail.lease("one.test").at(0), Verdict::delivered);
  ends.recipients[1].verdict = Verdict::deferred;
  ends.recipients[1].due = at(300);
  ends.recipients.pop_back();  // c was not tried
  auto results = Mail::results({ends}, at(1));
  results->unnamed[0] = {2};
  CHECK(mail.ask(mail.store().settle(results)).has_value());
  mail.restart();
  auto jobs = mail.lease("one.test", at(2));
  REQUIRE(jobs.size() == 1);
  REQUIRE(jobs[0].recipients.size() == 1);
  CHECK(jobs[0].recipients[0].address == "c@one.test");
  CHECK(jobs[0].recipients[0].attempts == 0);
  jobs = mail.lease("one.test", at(300));
  REQUIRE(jobs.size() == 1);
  REQUIRE(jobs[0].recipients.size() == 2);
  CHECK(jobs[0].recipients[0].address == "b@one.test");
  CHECK(jobs[0].recipients[0].attempts == 1);
  CHECK(jobs[0].recipients[0].interval == Seconds(300));
  CHECK(jobs[0].recipients[0].last == at(1));
  mail.settle({Mail::all(jobs[0], Verdict::bounced)}, at(301));
  CHECK(mail.due(at(10'000)).empty());
  CHECK(mail.ask(mail.store().read_chunk(id, 0)).error().code == errc::no_message);
}

TEST_CASE_TEMPLATE("a destination's hold is kept until it ends or is taken back", Kept, HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  mail.put({"a@one.test"});
  mail.put({"a@two.test"});
  mail.hold_off("one.test", Mail::down_until(at(60)));
  mail.restart();
  const auto backoff = mail.ask(mail.store().backoff("one.test")).value();
  REQUIRE(backoff.has_value());
  CHECK(backoff->until == at(60));
  CHECK(backoff->interval == Seconds(600));
  CHECK(backoff->reason == "connect-timeout");
  CHECK_FALSE(mail.ask(mail.store().backoff("two.test")).value().has_value());
  const auto holds = mail.ask(mail.store().holds("", t0)).value();
  REQUIRE(holds.size() == 1);
  CHECK(holds[0].destination == "one.test");
  CHECK(holds[0].reply == "nobody answers");
  CHECK(mail.ask(mail.store().holds("one.test", t0)).value().empty());
  CHECK(mail.ask(mail.store().waiting("", t0)).value().size() == 2);
  mail.hold_off("one.test", std::nullopt);
  CHECK(mail.due() == Strings{"one.test", "two.test"});
  CHECK(mail.ask(mail.store().holds("", t0)).value().empty());
}

TEST_CASE_TEMPLATE("a notice is a message of its own, written with what it tells of; a delay is told once", Kept,
                   HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  const Id id = mail.put({"a@one.test"});
  auto delayed = Mail::results({Mail::all(mail.lease("one.test").at(0), Verdict::deferred, at(10))});
  delayed->notices.push_back(notice_about(id, Id{id.value + 1}, Notice::Kind::delay));
  const Applied applied = mail.ask(mail.store().settle(delayed)).value();
  REQUIRE(applied.notices.size() == 1);
  CHECK(applied.left.empty());
  CHECK(applied.notices[0].draft->id == Id{id.value + 1});
  REQUIRE(applied.notices[0].enqueued.size() == 1);
  CHECK(applied.notices[0].enqueued[0].destination == "example.net");
  auto notices = mail.lease("example.net");
  REQUIRE(notices.size() == 1);
  CHECK(notices[0].body == "of Subject\r\n");
  CHECK(notices[0].envelope.sender.empty());
  auto again = mail.lease("one.test", at(10));
  REQUIRE(again.size() == 1);
  CHECK(again[0].recipients[0].told_delay);
  delayed = Mail::results({Mail::all(again[0], Verdict::deferred, at(20))}, at(10));
  delayed->notices.push_back(notice_about(id, Id{id.value + 2}, Notice::Kind::delay));
  CHECK(mail.ask(mail.store().settle(delayed)).value().notices.empty());
  auto gone = Mail::results({}, at(20));
  mail.act(Action::remove, {id}, at(20));
  gone->notices.push_back(notice_about(id, Id{id.value + 3}));
  CHECK(mail.ask(mail.store().settle(gone)).value().notices.empty());
}

TEST_CASE_TEMPLATE("what cannot be stored as a whole is not stored at all", Kept, HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  const Id id = mail.put({"a@one.test"});
  auto results = Mail::results({Mail::all(mail.lease("one.test").at(0), Verdict::delivered)});
  results->results.destinations.push_back({"one.test", Mail::down_until(at(60))});
  results->notices.push_back(notice_about(id, Id{id.value + 1}));
  results->notices.back().notice.compose = [](std::string_view) -> NoticeText { throw std::runtime_error("no"); };
  CHECK_THROWS(static_cast<void>(mail.ask(mail.store().settle(results))));
  CHECK_FALSE(mail.ask(mail.store().backoff("one.test")).value().has_value());
  CHECK(mail.lease("one.test").size() == 1);
  CHECK(mail.lease("example.net").empty());
}

TEST_CASE_TEMPLATE("SUB-29: a store that cannot be written says so, keeps what it has, and recovers", Kept,
                   HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  const Id id = mail.put({"a@one.test"});
  const auto jobs = mail.lease("one.test");
  const auto results = Mail::results({Mail::all(jobs.at(0), Verdict::delivered)});
  const auto late = mail.draft({"b@two.test"});
  kept.fail();
  const auto refused = mail.ask(mail.store().commit(late));
  REQUIRE_FALSE(refused.has_value());
  CHECK(is_store_failure(refused.error()));
  const auto unsettled = mail.ask(mail.store().settle(results));
  REQUIRE_FALSE(unsettled.has_value());
  CHECK(is_store_failure(unsettled.error()));
  CHECK(mail.lease("one.test").size() == 1);  // reading goes on
  kept.heal();
  CHECK(mail.ask(mail.store().settle(results)).has_value());
  CHECK(mail.due().empty());
  CHECK(mail.ask(mail.store().commit(late)).has_value());
  mail.restart();
  CHECK(mail.ask(mail.store().read_chunk(id, 0)).error().code == errc::no_message);
  CHECK(mail.due() == Strings{"two.test"});
}

}  // namespace hoplock::store::contract::store_contract_test
