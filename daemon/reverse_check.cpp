// SPDX-License-Identifier: Apache-2.0
#include "daemon/reverse_check.h"

#include <algorithm>
#include <array>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>
#include <vector>

#include "daemon/options.h"
#include "daemon/system.h"

namespace hoplock::daemon {

namespace {

namespace asio = boost::asio;

constexpr std::size_t most_addresses = 32;
constexpr std::size_t most_said = 20;    // names of one address
constexpr std::size_t most_pointed = 5;  // names that a PTR record gives, where none of them is said in EHLO
constexpr std::chrono::seconds time_of_round{60};
constexpr std::array<std::chrono::minutes, 2> pauses{std::chrono::minutes{1}, std::chrono::minutes{10}};

// Hosts far away, for the system to say by which of our addresses it would go there: a.root-servers.net.
std::optional<Ip> outward_v4() { return address_towards(Ip::parse("198.41.0.4").value()); }
std::optional<Ip> outward_v6() { return address_towards(Ip::parse("2001:503:ba3e::2:30").value()); }

// The names to ask for: those said, the ones that the PTR record gives first, and else some of what it gives.
std::vector<dns::Name> names_to_ask(dns::ReverseFacts& facts) {
  const auto pointed = facts.pointer.all<dns::Name>();
  const auto others = std::stable_partition(facts.said.begin(), facts.said.end(), [&pointed](const dns::Name& name) {
    return std::find(pointed.begin(), pointed.end(), name) != pointed.end();
  });
  const bool fits = others != facts.said.begin();
  if (facts.said.size() > most_said) facts.said.resize(most_said);
  std::vector<dns::Name> names = facts.said;
  if (!fits) {
    const auto some = std::min(pointed.size(), most_pointed);
    names.insert(names.end(), pointed.begin(), pointed.begin() + static_cast<std::ptrdiff_t>(some));
  }
  return names;
}

Event reverse_warning(const Ip& ip, const std::set<dns::Name>& said, const dns::Agreement& found) {
  std::string names;
  for (const dns::Name& name : said) {
    if (names.size() > 200) break;
    names += (names.empty() ? "" : ",") + name.text();
  }
  Event event(Level::warn, "reverse-dns");
  event.add("ip", ip.text()).add("helo", names).add("error", found.why + "; " + found.advice);
  return event;
}

// Whether something remains that a later look may find out. What is settled is not looked at again.
asio::awaitable<bool> look_at_all(std::weak_ptr<const config::Config> watched, std::set<Ip>& settled,
                                  BoundedLooks& looks, Log& log) {
  Departures all;
  {
    const auto config = watched.lock();
    if (!config || !uses_mx(*config)) co_return false;
    all = departures(*config);
  }
  bool open = all.empty();  // the network may come yet
  std::size_t seen = 0;
  for (const auto& [ip, said] : all) {
    if (ip.is_internal() || settled.contains(ip) || ++seen > most_addresses) continue;
    const dns::Agreement found = co_await look_at_address(ip, said, looks);
    if (watched.expired()) co_return false;  // a reload: another one looks at what is so now
    if (found.state == dns::Agreement::State::unknown) {
      open = true;
      continue;
    }
    settled.insert(ip);
    if (found.state != dns::Agreement::State::agrees) log.write(reverse_warning(ip, said, found));
  }
  co_return open;
}

}  // namespace

Departures departures(const config::Config& config) {
  Departures all;
  if (!uses_mx(config)) return all;
  const delivery::Options options = delivery_options(config);
  const bool use_v4 = config.route.address_family != route::AddressFamily::ipv6;
  const bool use_v6 = config.route.address_family != route::AddressFamily::ipv4;
  const std::optional<Ip> v4 = options.source_ipv4 ? options.source_ipv4 : outward_v4();
  const std::optional<Ip> v6 = options.source_ipv6 ? options.source_ipv6 : outward_v6();
  const auto add = [&](const delivery::SourceRule& rule) {
    const dns::Name& name = rule.hostname.is_root() ? options.hostname : rule.hostname;
    const std::optional<Ip> four = rule.ipv4 ? rule.ipv4 : v4;
    const std::optional<Ip> six = rule.ipv6 ? rule.ipv6 : v6;
    if (use_v4 && four) all[*four].insert(name);
    if (use_v6 && six) all[*six].insert(name);
  };
  for (const delivery::SourceRule& rule : options.sources) {
    add(rule);
    if (rule.senders.empty() && rule.match.empty()) return all;  // it takes all that is left
  }
  add({});
  return all;
}

asio::awaitable<dns::Answer> BoundedLooks::find(dns::Name name, dns::Type type) {
  dns::Answer answer;
  if (left_ == 0 || std::chrono::steady_clock::now() >= until_) {
    answer.question = name;
    answer.canonical = std::move(name);
    answer.type = type;
    answer.why = "other look-ups took too long";
    co_return answer;
  }
  --left_;
  answer = co_await resolver_.find(std::move(name), type);
  co_return answer;
}

asio::awaitable<dns::Agreement> look_at_address(Ip ip, std::set<dns::Name> said, BoundedLooks& looks) {
  dns::ReverseFacts facts;
  facts.ip = ip;
  facts.said.assign(said.begin(), said.end());
  facts.pointer = co_await looks.find(dns::reverse_name(ip), dns::Type::ptr);
  for (const dns::Name& name : names_to_ask(facts)) {
    if (facts.addresses.contains(name)) continue;
    auto answer = co_await looks.find(name, dns::address_type(ip));
    facts.addresses.emplace(name, std::move(answer));
  }
  dns::Agreement found = dns::agreement(facts);
  if (ip.is_v6() && found.state == dns::Agreement::State::disagrees)
    found.advice += "; until then delivery.address_family: ipv4 keeps mail off it";
  co_return found;
}

asio::awaitable<void> check_addresses(std::weak_ptr<const config::Config> watched, resolver::Resolver& resolver,
                                      Log& log) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  std::set<Ip> settled;
  for (const std::chrono::minutes pause : pauses) {
    BoundedLooks looks(resolver, time_of_round);
    const bool open = co_await look_at_all(watched, settled, looks, log);
    if (!open) co_return;
    timer.expires_after(pause);
    co_await timer.async_wait(asio::use_awaitable);
  }
  BoundedLooks looks(resolver, time_of_round);
  co_await look_at_all(watched, settled, looks, log);
}

}  // namespace hoplock::daemon
