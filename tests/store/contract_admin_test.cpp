// SPDX-License-Identifier: Apache-2.0
// store::MailStore: what operators, changed routes and clocks ask for, and the sweep, on every implementation there is.
#include "store/admin.h"

#include "tests/store/all.h"

namespace hoplock::store::contract::store_contract_admin_test {

namespace {

Selection select_domain(const std::string& domain) {
  Selection selection;
  selection.by = Selection::By::domain;
  selection.domain = name(domain);
  return selection;
}

Selection select_all() {
  Selection selection;
  selection.by = Selection::By::all;
  return selection;
}

std::vector<Id> selected(Mail& mail, const Selection& selection, std::size_t rows) {
  std::vector<Id> ids;
  for (std::optional<SelectionCursor> next = SelectionCursor{}; next;) {
    const SelectionPage page = mail.ask(mail.store().select(selection, *next, rows)).value();
    ids.insert(ids.end(), page.ids.begin(), page.ids.end());
    next = page.next;
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

// Of one destination, all of it for one domain, that many messages which wait until then.
void fill(Mail& mail, const std::string& domain, int messages, Time until) {
  for (int i = 0; i < messages; ++i) mail.put({"u@" + domain}, at(i));
  std::vector<Settled> ends;
  for (const Job& job : mail.lease(domain, at(messages), 10'000))
    ends.push_back(Mail::all(job, Verdict::deferred, until));
  mail.settle(std::move(ends));
}

std::size_t due_at(Mail& mail, const std::string& destination, Time now) {
  return mail.lease(destination, now, 10'000).size();
}

}  // namespace

TEST_CASE_TEMPLATE("act: hold, release and retry change when mail is due, and tell where", Kept, HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  const Id id = mail.put({"a@one.test", "b@two.test"});
  AdminResult done = mail.act(Action::hold, {id});
  CHECK(done.affected.messages == 1);
  CHECK(done.affected.recipients == 2);
  CHECK(done.affected.ids == std::vector<Id>{id});
  CHECK(mail.due(at(100)).empty());
  mail.restart();
  CHECK(mail.due(at(100)).empty());
  done = mail.act(Action::release, {id}, at(1));
  std::sort(done.destinations.begin(), done.destinations.end());
  CHECK(done.destinations == Strings{"one.test", "two.test"});
  CHECK(mail.due(at(1)) == Strings{"one.test", "two.test"});
  mail.settle({Mail::all(mail.lease("one.test", at(1)).at(0), Verdict::deferred, at(500))}, at(1));
  mail.hold_off("one.test", Mail::down_until(at(900)), at(1));
  done = mail.act(Action::retry, {id}, at(2));
  CHECK(mail.due(at(2)) == Strings{"one.test", "two.test"});
  CHECK_FALSE(mail.ask(mail.store().backoff("one.test")).value().has_value());
  CHECK(mail.act(Action::hold, {Id{id.value + 1}}).affected.messages == 0);
}

TEST_CASE_TEMPLATE("act: what is removed is gone, and what is under way goes when its lease ends", Kept,
                   HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  const Id gone = mail.put({"a@one.test"});
  const Id leased = mail.put({"a@one.test", "b@one.test"});
  const auto jobs = mail.lease("one.test");
  REQUIRE(jobs.size() == 2);
  const AdminResult done = mail.act(Action::remove, {gone, leased}, t0, {{leased, 0}});
  CHECK(done.affected.messages == 2);
  CHECK(done.affected.active == 1);
  CHECK(done.left.empty());
  CHECK(mail.due().empty());
  CHECK(mail.ask(mail.store().read_chunk(gone, 0)).error().code == errc::no_message);
  CHECK(mail.ask(mail.store().read_chunk(leased, 0)).has_value());
  mail.repeat([&] { return mail.store().void_some({{leased, 0}}); });
  CHECK(mail.ask(mail.store().read_chunk(leased, 0)).has_value());
  mail.settle({Mail::all(jobs[1], Verdict::deferred, at(10))});
  CHECK(mail.ask(mail.store().read_chunk(leased, 0)).error().code == errc::no_message);
}

TEST_CASE_TEMPLATE("what was removed while it was under way goes behind a restart, where nobody leases it", Kept,
                   HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  const Id id = mail.put({"a@one.test"});
  mail.act(Action::remove, {id}, t0, {{id, 0}});
  mail.restart();
  mail.repeat([&] { return mail.store().void_some({}); });
  CHECK(mail.ask(mail.store().read_chunk(id, 0)).error().code == errc::no_message);
}

TEST_CASE_TEMPLATE("select: every message that is meant, page by page", Kept, HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  std::vector<Id> ones, all;
  for (int i = 0; i < 7; ++i) {
    all.push_back(mail.put({"a@one.test", "b@one.test"}, at(2 * i)));
    ones.push_back(all.back());
    all.push_back(mail.put({"a@two.test"}, at(2 * i + 1)));
  }
  CHECK(selected(mail, select_domain("one.test"), 3) == ones);
  CHECK(selected(mail, select_domain("none.test"), 3).empty());
  CHECK(selected(mail, select_all(), 3) == all);
  Selection sender;
  sender.by = Selection::By::sender;
  sender.sender = "sender@example.net";
  CHECK(selected(mail, sender, 100) == all);
  sender.sender.clear();
  CHECK(selected(mail, sender, 3).empty());
}

TEST_CASE_TEMPLATE("pick: the recipients that are meant, held ones too, but for those under way", Kept,
                   HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  const Id id = mail.put({"a@one.test", "b@two.test"});
  const Id other = mail.put({"c@one.test"});
  mail.act(Action::hold, {id});
  auto picked = mail.ask(mail.store().pick(select_domain("one.test"), {id, other}, {{other, 0}})).value();
  CHECK(picked.active == 1);
  REQUIRE(picked.jobs.size() == 1);
  CHECK(picked.jobs[0].id == id);
  CHECK(picked.jobs[0].destination.empty());
  CHECK(picked.jobs[0].envelope.sender == "sender@example.net");
  REQUIRE(picked.jobs[0].recipients.size() == 1);
  CHECK(picked.jobs[0].recipients[0].address == "a@one.test");
}

TEST_CASE_TEMPLATE("MX-20: domains go elsewhere, and what waits there is due, however much it is", Kept,
                   HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  fill(mail, "one.test", 100, at(90'000));
  mail.put({"a@two.test"});
  CHECK(due_at(mail, "one.test", at(200)) == 0);
  std::vector<RoutedDomain> moved;
  std::int64_t after = 0;
  for (auto page = mail.ask(mail.store().domains(0)).value(); !page.empty();
       page = mail.ask(mail.store().domains(after)).value()) {
    for (const RoutedDomain& one : page) {
      CHECK(one.destination == one.domain.text());
      moved.push_back(one);
      moved.back().destination = "smart.test";
    }
    after = page.back().id;
  }
  CHECK(moved.size() == 2);
  while (!moved.empty()) moved = mail.ask(mail.store().reroute(moved, at(200))).value();
  mail.repeat([&] { return mail.store().hasten_some(); });
  CHECK(mail.due(at(200)) == Strings{"smart.test"});
  CHECK(due_at(mail, "smart.test", at(200)) == 101);
}

TEST_CASE_TEMPLATE("a clock that was set back: nothing waits longer than its own interval, across a restart too", Kept,
                   HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  fill(mail, "one.test", 50, at(90'000));
  fill(mail, "two.test", 1, at(-600));
  mail.hold_off("three.test", Mail::down_until(at(80'000)));
  CHECK(mail.ask(mail.store().begin_rebase(at(-1000))).has_value());
  CHECK(mail.ask(mail.store().rebase_some()).has_value());
  kept.restart();
  const Recovered recovered = kept.ask(kept.store().recover()).value();
  REQUIRE(recovered.seen.has_value());
  CHECK(mail.ask(mail.store().begin_rebase(at(-1000))).has_value());
  mail.repeat([&] { return mail.store().rebase_some(); });
  CHECK(due_at(mail, "one.test", at(-1000)) == 50);
  CHECK(due_at(mail, "two.test", at(-1000)) == 0);  // within its interval
  CHECK(mail.ask(mail.store().backoff("three.test")).value()->until <= at(-1000));
  kept.restart();
  CHECK_FALSE(kept.ask(kept.store().recover()).value().rebasing);
}

TEST_CASE_TEMPLATE("wake: what was deferred for these reasons comes due, and the hold ends", Kept, HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  fill(mail, "one.test", 3, at(90'000));
  fill(mail, "two.test", 3, at(90'000));
  mail.hold_off("one.test", Mail::down_until(at(80'000)));
  CHECK_FALSE(mail.ask(mail.store().wake("none.test", {{"connect-timeout"}, at(100)})).value());
  CHECK(mail.ask(mail.store().wake("one.test", {{"dane-tlsa"}, at(100)})).value());
  CHECK(mail.ask(mail.store().backoff("one.test")).value()->until == at(100));
  CHECK(due_at(mail, "one.test", at(100)) == 0);
  CHECK(mail.ask(mail.store().wake("one.test", {{"dane-tlsa", "connect-timeout"}, at(100)})).value());
  CHECK(due_at(mail, "one.test", at(100)) == 3);
  CHECK(due_at(mail, "two.test", at(100)) == 0);
  const auto says_so = [](std::string_view reply) { return reply == "the reply"; };
  CHECK(mail.ask(mail.store().wake_told(says_so, at(100))).has_value());
  CHECK(due_at(mail, "two.test", at(100)) == 3);
}

TEST_CASE_TEMPLATE("the sweep comes to the end of the rows and of the bodies, and begins anew", Kept, HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  for (int i = 0; i < 20; ++i) mail.put({"a@one.test"}, at(i), std::string(1000, 'x'));
  for (int rounds = 0; rounds < 2; ++rounds) {
    int steps = 0;
    for (auto at_end = Inspection::At::next; at_end != Inspection::At::end; ++steps) {
      REQUIRE(steps < 1000);
      const Inspection inspection = mail.ask(mail.store().inspect_some()).value();
      CHECK_FALSE(inspection.unread.has_value());
      at_end = inspection.at;
    }
    std::size_t octets = 0;
    for (bool end = false; !end;) {
      const Verified verified = mail.ask(mail.store().verify_some(5000)).value();
      CHECK(verified.damaged.empty());
      octets += verified.octets;
      end = verified.end;
    }
    CHECK(octets == 20'000);
  }
}

TEST_CASE_TEMPLATE("a message whose body is damaged is held until an operator says otherwise", Kept, HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  const Id id = mail.put({"a@one.test"});
  kept.store().hold_damaged(id);
  CHECK(mail.due(at(100)).empty());
  mail.act(Action::release, {id}, at(1));
  CHECK(mail.due(at(100)) == Strings{"one.test"});
}

TEST_CASE_TEMPLATE("the history of messages that are gone is forgotten in its time, and no other", Kept,
                   HOPLOCK_STORES) {
  Kept kept;
  Mail mail(kept);
  kept.store().set_history(Recording::on);
  const Id id = mail.put({"a@one.test"});
  mail.put({"a@two.test"}, at(1));
  mail.settle({Mail::all(mail.lease("one.test").at(0), Verdict::delivered)}, at(2));
  std::optional<PruneFrom> from = PruneFrom{};
  for (int steps = 0; from; ++steps) {
    REQUIRE(steps < 1000);
    from = mail.ask(mail.store().prune(at(100'000), *from)).value();
  }
  CHECK(mail.ask(mail.store().read_chunk(id, 0)).error().code == errc::no_message);
  CHECK(mail.due(at(1)) == Strings{"two.test"});
}

}  // namespace hoplock::store::contract::store_contract_admin_test
