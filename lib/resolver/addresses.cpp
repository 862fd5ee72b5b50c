// SPDX-License-Identifier: Apache-2.0
#include "resolver/addresses.h"

#include <utility>

#include "net/when_all.h"

namespace hoplock::resolver {

boost::asio::awaitable<std::vector<dns::Answer>> find_addresses(Resolver& resolver, dns::Name name, Families families) {
  std::vector<dns::Answer> answers;
  if (families == Families::both) {
    auto a = resolver.find(name, dns::Type::a);
    auto aaaa = resolver.find(name, dns::Type::aaaa);
    auto [first, second] = co_await net::when_all(std::move(a), std::move(aaaa));
    answers.push_back(std::move(first));
    answers.push_back(std::move(second));
  } else {
    answers.push_back(co_await resolver.find(name, families == Families::v4 ? dns::Type::a : dns::Type::aaaa));
  }
  co_return answers;
}

std::vector<Ip> addresses_in(const std::vector<dns::Answer>& answers) {
  std::vector<Ip> all;
  for (const dns::Answer& answer : answers) {
    for (const Ip& one : answer.all<Ip>()) all.push_back(one);
  }
  return all;
}

}  // namespace hoplock::resolver
