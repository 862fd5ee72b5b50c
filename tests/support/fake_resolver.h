// SPDX-License-Identifier: Apache-2.0
// DNS made of maps: lines of records, zones that are signed, and questions that fail. Aliases are followed as a validating resolver
// does it. It remembers what it was asked.
#pragma once
#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base/ascii.h"
#include "net/condition.h"
#include "resolver/resolver.h"

namespace hoplock::support {

inline dns::Name name(std::string_view text) { return dns::Name::parse(text).value(); }

class FakeResolver final : public resolver::Resolver {
 public:
  // Lines such as "example.org MX 10 mx.example.org", "mx.example.org A 192.0.2.1", "a.example CNAME b.example",
  // "_25._tcp.mx.example.org TLSA 3 1 1 00ff".
  explicit FakeResolver(const std::string& zone = {}) { add(zone); }
  void add(const std::string& zone) {
    std::istringstream lines(zone);
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      std::string owner, type, data;
      if (!(words >> owner >> type)) continue;
      std::getline(words >> std::ws, data);
      records_[owner + " " + type].push_back(data);
    }
  }
  void remove(const std::string& question) { records_.erase(question); }

  std::set<std::string> secure;              // zones whose names are signed
  std::set<std::string> insecure;            // zones below those that are not
  std::map<std::string, std::string> bogus;  // "mx.example.org A" → why
  std::map<std::string, std::string> fail;   // likewise
  std::optional<std::string> broken_validation;
  std::chrono::seconds ttl{60};
  std::chrono::milliseconds delay{0};
  std::map<std::string, std::chrono::milliseconds> slow;  // questions that take longer
  std::vector<std::string> asked;
  std::size_t most_at_once = 0;
  std::size_t places = SIZE_MAX;  // questions that it works at; the others wait

  std::size_t count(const std::string& question) const {
    return static_cast<std::size_t>(std::count(asked.begin(), asked.end(), question));
  }
  bool asked_of(std::string_view type) const {
    return std::any_of(asked.begin(), asked.end(), [type](const std::string& q) { return q.ends_with(type); });
  }

  boost::asio::awaitable<dns::Answer> find(dns::Name question, dns::Type type) override {
    asked.push_back(question.text() + " " + std::string(to_text(type)));
    const auto own = slow.find(asked.back());
    const auto takes = own == slow.end() ? delay : own->second;
    const struct Inside {
      std::size_t& count;
      explicit Inside(std::size_t& of) : count(of) { ++count; }
      ~Inside() { --count; }
    } inside(inside_);
    most_at_once = std::max(most_at_once, inside_);
    while (working_ >= places) co_await place_free_.wait();
    const struct Working {
      FakeResolver& at;
      explicit Working(FakeResolver& resolver) : at(resolver) { ++at.working_; }
      ~Working() {
        --at.working_;
        at.place_free_.notify_one();
      }
    } working(*this);
    if (takes.count() > 0) {
      boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, takes);
      co_await timer.async_wait(boost::asio::use_awaitable);
    }
    co_return answer(std::move(question), type);
  }
  std::optional<std::string> validation_failure() const override { return broken_validation; }

 private:
  std::size_t inside_ = 0;
  std::size_t working_ = 0;
  net::Condition place_free_;
  bool within(const dns::Name& owner, const std::set<std::string>& zones) const {
    return std::any_of(zones.begin(), zones.end(),
                       [&](const std::string& zone) { return owner.is_within(name(zone)); });
  }
  bool exists(const dns::Name& owner) const {
    return std::any_of(records_.begin(), records_.end(), [&](const auto& entry) {
      return name(entry.first.substr(0, entry.first.find(' '))).is_within(owner);
    });
  }
  static dns::Record parse(dns::Type type, const std::string& data) {
    std::istringstream words(data);
    switch (type) {
      case dns::Type::a:
      case dns::Type::aaaa:
        return Ip::parse(data).value();
      case dns::Type::cname:
      case dns::Type::ptr:
        return name(data);
      case dns::Type::mx: {
        unsigned preference = 0;
        std::string host;
        words >> preference >> host;
        return dns::Mx{static_cast<std::uint16_t>(preference), name(host)};
      }
      case dns::Type::tlsa: {
        unsigned usage = 0, selector = 0, matching = 0;
        std::string hex;
        words >> usage >> selector >> matching >> hex;
        return dns::Tlsa{static_cast<std::uint8_t>(usage), static_cast<std::uint8_t>(selector),
                         static_cast<std::uint8_t>(matching), from_hex(hex).value()};
      }
      case dns::Type::txt:
      case dns::Type::soa:
        break;
    }
    return data;
  }

  dns::Answer failed(dns::Answer answer, dns::Security security, std::string why) const {
    answer.status = dns::Status::failed;
    answer.security = security;
    answer.canonical = answer.question;
    answer.why = std::move(why);
    answer.ttl = std::chrono::seconds{0};
    return answer;
  }
  dns::Answer answer(dns::Name question, dns::Type type) const {
    dns::Answer found;
    found.question = question;
    found.type = type;
    found.canonical = question;
    found.ttl = ttl;
    found.security = dns::Security::secure;
    for (int links = 0; links <= 12; ++links) {
      const std::string owner = found.canonical.text() + " ";
      if (!within(found.canonical, secure) || within(found.canonical, insecure))
        found.security = dns::Security::insecure;
      for (const std::string& key : {owner + std::string(to_text(type)), owner + "CNAME"}) {
        if (const auto why = bogus.find(key); why != bogus.end())
          return failed(found, dns::Security::bogus, why->second);
        if (const auto why = fail.find(key); why != fail.end())
          return failed(found, dns::Security::insecure, why->second);
      }
      const auto here = records_.find(owner + std::string(to_text(type)));
      const auto alias = records_.find(owner + "CNAME");
      if (here != records_.end()) {
        found.status = dns::Status::records;
        for (const auto& data : here->second) found.records.push_back(parse(type, data));
        return found;
      }
      if (alias == records_.end()) {
        found.status = exists(found.canonical) ? dns::Status::no_data : dns::Status::no_name;
        return found;
      }
      found.canonical = name(alias->second.front());
    }
    return failed(found, dns::Security::insecure, "more than 12 aliases in a row");
  }

  std::map<std::string, std::vector<std::string>> records_;
};

}  // namespace hoplock::support
