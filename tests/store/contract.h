// SPDX-License-Identifier: Apache-2.0
// What every implementation of the interfaces in lib/store is tried with: the same operations on values, whatever keeps it.
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "store/ledger_store.h"
#include "store/mail_store.h"
#include "store/partner_store.h"
#include "store/policy_store.h"
#include "store/readers.h"
#include "store/statistics_store.h"
#include "tests/support/loop.h"
#include "tests/support/settled.h"

namespace hoplock::store::contract {

inline const Time t0 = from_millis(1'790'000'000'000);
inline Time at(std::int64_t seconds) { return t0 + Seconds(seconds); }
inline dns::Name name(const std::string& text) { return dns::Name::parse(text).value(); }

// A store in a place of its own, and what can befall it.
class Implementation {
 public:
  Implementation() = default;
  Implementation(const Implementation&) = delete;
  Implementation& operator=(const Implementation&) = delete;
  virtual ~Implementation() = default;

  virtual MailStore& store() = 0;
  virtual PolicyStore& policies() = 0;
  virtual PartnerStore& partners() = 0;
  virtual LedgerStore& ledger() = 0;
  virtual StatisticsStore& statistics() = 0;
  virtual ReadersPtr readers() = 0;  // of what is stored by then
  virtual void restart() = 0;        // as after the end of the process
  virtual void fail() = 0;           // from now on nothing can be written
  virtual void heal() = 0;

  template <class T>
  Result<T> ask(asio::awaitable<Result<T>> operation) {
    return loop.run(std::move(operation));
  }
  support::Loop loop;
};

using Strings = std::vector<std::string>;

class Mail {
 public:
  explicit Mail(Implementation& of) : of_(of) { of.ask(of.store().recover()).value(); }

  MailStore& store() { return of_.store(); }
  template <class T>
  Result<T> ask(asio::awaitable<Result<T>> operation) {
    return of_.ask(std::move(operation));
  }
  void restart() {
    of_.restart();
    ask(store().recover()).value();
  }

  // For "user@domain" recipients; each domain is its own destination.
  std::shared_ptr<Draft> draft(const Strings& to, Time now = t0, std::string body = "Subject: x\r\n\r\nhello\r\n") {
    auto made = std::make_shared<Draft>();
    made->id = Id{std::max(Id::at(now).value, last_ + 1)};
    last_ = made->id.value;
    made->received = now;
    made->size = body.size();
    made->chunks = 1;
    made->last_chunk = std::move(body);
    made->envelope.sender = "sender@example.net";
    made->envelope.client = "192.0.2.1";
    for (const std::string& address : to) {
      NewRecipient recipient;
      recipient.address = address;
      recipient.domain = name(address.substr(address.find('@') + 1));
      made->destinations.push_back(recipient.domain.text());
      made->recipients.push_back(std::move(recipient));
    }
    return made;
  }
  Id put(const Strings& to, Time now = t0, std::string body = "Subject: x\r\n\r\nhello\r\n") {
    const auto made = draft(to, now, std::move(body));
    ask(store().commit(made)).value();
    return made->id;
  }

  static LeaseQuery query(const std::string& destination, Time now = t0, std::size_t messages = 100) {
    LeaseQuery asked;
    asked.destination = destination;
    asked.messages = messages;
    asked.bytes = 100 << 20;
    asked.which = LeaseQuery::DueNow{now};
    return asked;
  }
  std::vector<Job> lease(const std::string& destination, Time now = t0, std::size_t messages = 100) {
    return ask(store().lease(query(destination, now, messages))).value().jobs;
  }
  Strings due(Time now = t0, std::size_t limit = 100, Strings busy = {}) {
    Strings names;
    for (const Ready& one : ask(store().due(now, limit, std::move(busy))).value().ready)
      names.push_back(one.destination);
    std::sort(names.begin(), names.end());
    return names;
  }

  static Settled all(const Job& job, Verdict verdict, Time due = t0) { return support::settled_all(job, verdict, due); }
  static std::shared_ptr<RoutedResults> results(std::vector<Settled> settled, Time now = t0) {
    auto made = std::make_shared<RoutedResults>();
    made->results.now = now;
    made->unnamed.resize(settled.size());
    made->results.settled = std::move(settled);
    return made;
  }
  Applied settle(std::vector<Settled> settled, Time now = t0) {
    return ask(store().settle(results(std::move(settled), now))).value();
  }
  void hold_off(const std::string& destination, std::optional<Backoff> backoff, Time now = t0) {
    auto made = results({}, now);
    made->results.destinations.push_back({destination, std::move(backoff)});
    ask(store().settle(made)).value();
  }
  static Backoff down_until(Time until) {
    Backoff backoff;
    backoff.until = until;
    backoff.failures = 2;
    backoff.interval = Seconds(600);
    backoff.last = t0;
    backoff.reply = "nobody answers";
    backoff.reason = "connect-timeout";
    return backoff;
  }
  AdminResult act(Action action, std::vector<Id> ids, Time now = t0, std::vector<Lease> leased = {}) {
    auto batch = std::make_shared<AdminBatch>();
    batch->action = action;
    batch->ids = std::move(ids);
    batch->leased = std::move(leased);
    batch->now = now;
    return ask(store().act(batch)).value();
  }
  template <class Step>
  void repeat(Step step) {
    for (int steps = 0; ask(step()).value() == More::yes; ++steps) REQUIRE(steps < 10'000);
  }

 private:
  Implementation& of_;
  std::int64_t last_ = 0;
};

}  // namespace hoplock::store::contract
