// SPDX-License-Identifier: Apache-2.0
#include "delivery/record_watch.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <utility>
#include <vector>

namespace hoplock::delivery {

namespace asio = boost::asio;

namespace {

using Steady = std::chrono::steady_clock;

constexpr std::size_t most_watched = 1000;
constexpr std::size_t most_hosts = 10;
constexpr std::size_t width = 8;  // looks at a time: one whose name servers are silent holds no other up
constexpr std::chrono::milliseconds between_checks{100};  // between the beginnings of two
constexpr std::chrono::milliseconds least_interval{1'000}, most_interval{std::chrono::minutes{5}};
constexpr std::chrono::minutes grace{10};  // what comes due is tried by then, also by a busy scheduler

std::string tlsa_text(const hop::TlsaFact& fact) {
  if (fact.state != hop::TlsaFact::State::present) return std::to_string(static_cast<int>(fact.state));
  std::vector<std::string> records;
  for (const dns::Tlsa& one : fact.records) records.push_back(one.text());
  std::sort(records.begin(), records.end());
  std::string all;
  for (const std::string& one : records) all += one + ";";
  return all;
}

// In the words that the queue keeps.
std::vector<std::string> reasons_about_records() {
  std::vector<std::string> words;
  for (const hop::Reason reason : hop::all_reasons()) {
    if (may_change_by_dns(reason)) words.emplace_back(to_text(reason));
  }
  return words;
}

}  // namespace

bool may_change_by_dns(std::optional<hop::Reason> reason) {
  if (!reason) return false;
  const hop::Kind kind = hop::kind(*reason);
  return kind != hop::Kind::transport && kind != hop::Kind::reply;
}

asio::awaitable<std::string> records_of(route::Router& router, dns::Name domain) {
  const route::Found found = co_await router.find(std::move(domain));
  if (const auto* none = std::get_if<route::NoHosts>(&found))
    co_return "none " + none->enhanced + " " + (none->reason ? std::string(hop::to_text(*none->reason)) : "");
  const auto& hosts = std::get<route::Hosts>(found);
  std::string text = std::string(dns::to_text(hosts.domain.mx_security)) + " sts " +
                     std::to_string(static_cast<int>(hosts.domain.sts.state)) + " " + hosts.domain.sts.id + "\n";
  std::vector<route::Host> sorted = hosts.hosts;
  std::sort(sorted.begin(), sorted.end());
  if (sorted.size() > most_hosts) sorted.resize(most_hosts);
  for (const route::Host& host : sorted) {
    text += std::to_string(host.preference) + " " + host.name.text();
    if (host.tlsa == route::Host::Tlsa::ask) {
      route::Host copy = host;
      const hop::HostFacts facts = co_await router.look(std::move(copy));
      text += " " + tlsa_text(facts.tlsa);
    }
    text += "\n";
  }
  co_return text;
}

void RecordWatch::every(std::chrono::milliseconds interval) {
  interval_ = std::clamp(interval, least_interval, most_interval);
  news_.notify_all();
}

void RecordWatch::add(const std::string& destination, const dns::Name& domain) {
  if (watched_.size() >= most_watched && !watched_.contains(destination)) return;
  Watched fresh;
  fresh.domain = domain;
  fresh.next = Steady::now();
  watched_[destination] = std::move(fresh);
  news_.notify_all();
}

void RecordWatch::end() {
  ended_ = true;
  news_.notify_all();
}

asio::awaitable<void> RecordWatch::check_one(RecordWatch& self, std::string destination) {
  const struct Checking {
    RecordWatch& watch;
    explicit Checking(RecordWatch& of) : watch(of) { ++watch.checking_; }
    ~Checking() {
      --watch.checking_;
      watch.news_.notify_all();
    }
  } looking(self);
  co_await self.check(std::move(destination));
}

asio::awaitable<void> RecordWatch::run() {
  net::TaskGroup checks(co_await asio::this_coro::executor, log_);
  while (!ended_) {
    const auto sooner = [](const auto& a, const auto& b) { return a.second.next < b.second.next; };
    const auto first = std::min_element(watched_.begin(), watched_.end(), sooner);
    if (first == watched_.end()) {
      co_await news_.wait();
    } else if (first->second.next > Steady::now()) {
      co_await news_.wait_until(first->second.next);
    } else if (checking_ >= width) {
      co_await news_.wait();
    } else {
      first->second.next = Steady::now() + interval_;
      checks.spawn("watch", check_one(*this, first->first));
      const auto rested = Steady::now() + between_checks;
      while (!ended_ && Steady::now() < rested) co_await news_.wait_until(rested);
    }
  }
  checks.stop();
  co_await checks.join(Steady::now() + std::chrono::seconds(1));
}

// A hold that ended long ago, or is no more: nothing waits there for records to change, or it comes due anyway.
asio::awaitable<bool> RecordWatch::is_over(std::string destination) {
  const auto hold = co_await queue_.backoff(std::move(destination));
  co_return hold && (!*hold || (*hold)->until + grace < clock_());
}

asio::awaitable<void> RecordWatch::check(std::string destination) {
  const auto known = watched_.find(destination);
  if (known == watched_.end()) co_return;
  known->second.next = Steady::now() + interval_;
  if (known->second.records) {  // before that its hold may not be stored yet
    std::string asked = destination;
    const bool over = co_await is_over(std::move(asked));
    const auto still = watched_.find(destination);
    if (still == watched_.end() || ended_) co_return;
    if (!still->second.records) co_return;  // given up anew meanwhile
    if (over) {
      watched_.erase(still);
      co_return;
    }
  }
  dns::Name domain = watched_[destination].domain;
  std::string records = co_await records_of(router_, domain);
  const auto watched = watched_.find(destination);
  if (watched == watched_.end() || ended_) co_return;  // it works again
  if (!watched->second.records) watched->second.records = records;
  if (*watched->second.records == records) co_return;
  watched_.erase(watched);
  Event event(Level::info, "records-changed");
  event.add("domain", domain.text());
  store::Wake wake;
  wake.reasons = reasons_about_records();
  wake.now = clock_();
  const auto woken = co_await queue_.wake(std::move(destination), std::move(wake));
  if (!woken) event.add("error", woken.error().detail);
  log_.write(event);
  changed_();
}

}  // namespace hoplock::delivery
