// SPDX-License-Identifier: Apache-2.0
// store::MailStore at random: messages, attempts, operators, changed routes, failures and restarts, held against a model of what must be
// there, on every implementation there is. What of it comes from many that ask at once is in tests/queue/random_test.cpp.
#include <map>
#include <random>

#include "tests/store/all.h"

namespace hoplock::store::contract::store_contract_random_test {

namespace {

struct Recipient {
  std::string domain;
  Time due;
  bool held = false;
};
using Key = std::pair<std::int64_t, std::uint32_t>;

struct Model {
  std::mt19937 random;
  std::int64_t clock = 0;
  std::map<Key, Recipient> alive;
  std::map<std::string, Time> holds;
  std::uint64_t delivered = 0;

  int roll(int sides) { return static_cast<int>(random() % static_cast<unsigned>(sides)); }
  Time now() const { return at(clock); }
  bool is_due(const Recipient& one) const { return !one.held && one.due <= now(); }
  Strings due() const {
    Strings names;
    for (const auto& [key, one] : alive) {
      const auto hold = holds.find(one.domain);
      if (is_due(one) && (hold == holds.end() || hold->second <= now())) names.push_back(one.domain);
    }
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
  }
  std::vector<Key> due_at(const std::string& domain) const {
    std::vector<Key> keys;
    for (const auto& [key, one] : alive)
      if (one.domain == domain && is_due(one)) keys.push_back(key);
    return keys;
  }
  std::vector<Id> some() {
    std::vector<Id> ids;
    for (const auto& [key, one] : alive)
      if ((ids.empty() || ids.back() != Id{key.first}) && roll(4) == 0) ids.push_back(Id{key.first});
    return ids;
  }
};

std::string any_domain(Model& model) { return "d" + std::to_string(model.roll(5)) + ".test"; }

void accept(Mail& mail, Model& model) {
  Strings to;
  for (int i = 0, n = 1 + model.roll(4); i < n; ++i) to.push_back("u" + std::to_string(i) + "@" + any_domain(model));
  const auto draft = mail.draft(to, model.now(), std::string(static_cast<std::size_t>(100 + model.roll(2000)), 'x'));
  mail.ask(mail.store().commit(draft)).value();
  for (std::uint32_t seq = 0; seq < to.size(); ++seq)
    model.alive[{draft->id.value, seq}] = {draft->destinations[seq], model.now(), false};
}

std::vector<Key> keys_of(const std::vector<Job>& jobs) {
  std::vector<Key> keys;
  for (const Job& job : jobs)
    for (const Due& due : job.recipients) keys.emplace_back(job.id.value, due.seq);
  std::sort(keys.begin(), keys.end());
  return keys;
}

// Asks for the same again where the store failed.
void settle(Implementation& kept, Mail& mail, Model& model, const std::shared_ptr<RoutedResults>& results) {
  if (model.roll(6) == 0 && !results->results.settled.empty()) {
    kept.fail();
    CHECK_FALSE(mail.ask(mail.store().settle(results)).has_value());
    kept.heal();
  }
  mail.ask(mail.store().settle(results)).value();
}

void attempt(Implementation& kept, Mail& mail, Model& model) {
  const std::string domain = any_domain(model);
  const auto jobs = mail.lease(domain, model.now(), 10'000);
  CHECK(keys_of(jobs) == model.due_at(domain));
  std::vector<Settled> ends;
  for (const Job& job : jobs) {
    if (model.roll(3) == 0) continue;  // not tried
    const bool delivered = model.roll(10) < 6;
    const Time due = model.now() + Seconds(1 + model.roll(30));
    ends.push_back(Mail::all(job, delivered ? Verdict::delivered : Verdict::deferred, due));
    for (const Due& one : job.recipients) {
      const Key key{job.id.value, one.seq};
      if (delivered) {
        ++model.delivered;
        model.alive.erase(key);
      } else {
        model.alive[key].due = due;
      }
    }
  }
  auto results = Mail::results(std::move(ends), model.now());
  if (model.roll(5) == 0) {
    const Time until = model.now() + Seconds(model.roll(20));
    const bool works = model.roll(2) == 0;
    results->results.destinations.push_back(
        {domain, works ? std::optional<Backoff>() : std::optional(Mail::down_until(until))});
    if (works)
      model.holds.erase(domain);
    else
      model.holds[domain] = until;
  }
  settle(kept, mail, model, results);
}

void operate(Mail& mail, Model& model) {
  const std::vector<Id> ids = model.some();
  const int what = model.roll(8);
  const Action action = what < 3   ? Action::hold
                        : what < 6 ? Action::release
                        : what < 7 ? Action::retry
                                   : Action::remove;
  mail.act(action, ids, model.now());
  for (auto one = model.alive.begin(); one != model.alive.end();) {
    auto& [key, recipient] = *one;
    const bool meant = std::binary_search(ids.begin(), ids.end(), Id{key.first});
    if (meant && action == Action::remove) {
      one = model.alive.erase(one);
      continue;
    }
    if (meant && action == Action::hold) recipient.held = true;
    if (meant && action == Action::release && recipient.held) {
      recipient.held = false;
      recipient.due = model.now();
    }
    if (meant && action == Action::retry && !recipient.held) {
      recipient.due = std::min(recipient.due, model.now());
      model.holds.erase(recipient.domain);
    }
    ++one;
  }
}

// Whatever else is asked for meanwhile changes nothing that is to be there.
void look_after(Mail& mail, Model& model) {
  static_cast<void>(mail.ask(mail.store().inspect_some()).value());
  CHECK(mail.ask(mail.store().verify_some(10'000)).value().damaged.empty());
  mail.repeat([&] { return mail.store().hasten_some(); });
  mail.repeat([&] { return mail.store().void_some({}); });
  for (const Id id : mail.ask(mail.store().drafts()).value())
    mail.repeat([&] { return mail.store().discard_some(id); });
  if (model.roll(2) == 0) mail.restart();
}

}  // namespace

TEST_CASE_TEMPLATE("at random: what is due is what must be, and nothing is delivered twice or forgotten", Kept,
                   HOPLOCK_STORES) {
  for (const unsigned seed : {1u, 2u, 3u}) {
    CAPTURE(seed);
    Kept kept;
    Mail mail(kept);
    Model model;
    model.random.seed(seed);
    for (int step = 0; step < 400; ++step) {
      CAPTURE(step);
      model.clock += model.roll(3);
      const int what = model.roll(20);
      if (what < 9)
        accept(mail, model);
      else if (what < 16)
        attempt(kept, mail, model);
      else if (what < 19)
        operate(mail, model);
      else
        look_after(mail, model);
      REQUIRE(mail.due(model.now()) == model.due());
    }
    std::vector<Id> all;
    for (const auto& [key, one] : model.alive)
      if (all.empty() || all.back() != Id{key.first}) all.push_back(Id{key.first});
    model.clock += 1000;
    mail.act(Action::release, all, model.now());
    for (int i = 0; i < 5; ++i) {
      const std::string domain = "d" + std::to_string(i) + ".test";
      std::vector<Settled> ends;
      for (const Job& job : mail.lease(domain, model.now(), 10'000)) {
        ends.push_back(Mail::all(job, Verdict::delivered));
        for (const Due& one : job.recipients) CHECK(model.alive.erase({job.id.value, one.seq}) == 1);
      }
      mail.settle(std::move(ends), model.now());
    }
    CHECK(model.alive.empty());
    CHECK(model.delivered > 50);
    CHECK(mail.due(model.now() + Seconds(100'000)).empty());
  }
}

}  // namespace hoplock::store::contract::store_contract_random_test
