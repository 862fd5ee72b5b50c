// SPDX-License-Identifier: Apache-2.0
// Policy hosts made of a map: the other side of the seam to HTTPS. They answer, refuse, or take their time, and remember whom they
// were asked for.
#pragma once
#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "route/sts_fetch.h"

namespace hoplock::support {

inline std::string policy(const std::string& mode, const std::string& mx = "mx.example.org", long max_age = 86400) {
  return "version: STSv1\nmode: " + mode + "\nmx: " + mx + "\nmax_age: " + std::to_string(max_age) + "\n";
}

class FakeFetch final : public route::PolicyFetch {
 public:
  std::map<std::string, route::FetchedText> answers;
  std::vector<std::string> asked;
  std::chrono::milliseconds delay{0};
  std::function<void()> fetched;  // called once, when a fetch ends
  std::size_t at_once = 0;
  std::size_t most_at_once = 0;

  boost::asio::awaitable<route::FetchedText> fetch(dns::Name domain) override {
    asked.push_back(domain.text());
    most_at_once = std::max(most_at_once, ++at_once);
    if (delay.count() > 0) {
      boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, delay);
      co_await timer.async_wait(boost::asio::use_awaitable);
    }
    --at_once;
    route::FetchedText found = answer(domain);
    if (fetched) std::exchange(fetched, nullptr)();
    co_return found;
  }

 private:
  route::FetchedText answer(const dns::Name& domain) const {
    const auto found = answers.find(domain.text());
    if (found != answers.end()) return found->second;
    return hop::Refusal{hop::Reason::sts_policy_fetch_error, "the policy host does not answer"};
  }
};

}  // namespace hoplock::support
