// SPDX-License-Identifier: Apache-2.0
#include "route/gather.h"

#include <algorithm>
#include <utility>

#include "dane/base_domain.h"
#include "net/when_all.h"

namespace hoplock::route {

using boost::asio::awaitable;
using resolver::Resolver;

Families families(AddressFamily wanted) {
  switch (wanted) {
    case AddressFamily::ipv4:
      return Families::v4;
    case AddressFamily::ipv6:
      return Families::v6;
    case AddressFamily::any:
    case AddressFamily::prefer_ipv4:
    case AddressFamily::prefer_ipv6:
      break;
  }
  return Families::both;
}

namespace {

constexpr std::chrono::seconds keep_at_most{300};
constexpr std::chrono::seconds keep_failures{5};
constexpr std::size_t known_beforehand = 8;  // hosts whose addresses are looked up with the MX records
constexpr std::size_t at_once = 4;           // of these, side by side

using Preference = std::optional<std::uint16_t>;

Preference least(Preference a, Preference b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

Preference own_by_name(const std::vector<Host>& hosts, const Options& options) {
  Preference own;
  for (const Host& host : hosts) {
    if (!options.hostname.is_root() && host.name == options.hostname) own = least(own, host.preference);
  }
  return own;
}

// At which one of our own addresses stands among a few hosts; all are asked side by side.
awaitable<Preference> own_by_address(Resolver& resolver, SettingsPtr settings, std::vector<Host> hosts,
                                     Families families) {
  if (hosts.empty()) co_return std::nullopt;
  if (hosts.size() > 1) {
    const auto middle = hosts.begin() + static_cast<std::ptrdiff_t>(hosts.size() / 2);
    std::vector<Host> left(hosts.begin(), middle);
    std::vector<Host> right(middle, hosts.end());
    auto first = own_by_address(resolver, settings, std::move(left), families);
    auto second = own_by_address(resolver, settings, std::move(right), families);
    const auto [here, there] = co_await net::when_all(std::move(first), std::move(second));
    co_return least(here, there);
  }
  const Host host = std::move(hosts.front());
  const auto answers = co_await find_addresses(resolver, host.name, families);
  for (const dns::Answer& answer : answers) {
    for (const Ip& ip : answer.all<Ip>()) {
      if (is_own(ip, host.port, settings->options)) co_return host.preference;
    }
  }
  co_return std::nullopt;
}

// Our name, or a literal in a name's place that is our address.
Preference own_by_text(const std::vector<Host>& hosts, const Options& options) {
  Preference own = own_by_name(hosts, options);
  for (const Host& host : hosts) {
    const auto literal = Ip::parse(host.name.text());
    if (literal && is_own(*literal, host.port, options)) own = least(own, host.preference);
  }
  return own;
}

struct TlsaFound {
  hop::TlsaFact fact;
  std::chrono::seconds ttl = keep_at_most;  // least of the answers that led here
};

TlsaFound failed_tlsa(dns::Name base, std::string why) {
  TlsaFound found;
  found.fact.state = hop::TlsaFact::State::failed;
  found.fact.base = std::move(base);
  found.fact.why = std::move(why);
  found.ttl = keep_failures;
  return found;
}

// One candidate base domain; state `absent` moves on to the next one (DANE-29).
awaitable<TlsaFound> ask_tlsa(Resolver& resolver, dns::Name base, std::uint16_t port) {
  TlsaFound found;
  found.fact.state = hop::TlsaFact::State::absent;
  found.fact.base = base;
  const auto owner = base.under("_" + std::to_string(port) + "._tcp");
  if (!owner) co_return found;  // no such name can exist
  const dns::Answer answer = co_await resolver.find(*owner, dns::Type::tlsa);
  if (answer.failed()) co_return failed_tlsa(std::move(base), answer.why);
  found.ttl = answer.ttl;
  if (answer.status == dns::Status::records && answer.secure()) {
    found.fact.state = hop::TlsaFact::State::present;
    found.fact.records = answer.all<dns::Tlsa>();
  }
  co_return found;
}

awaitable<TlsaFound> gather_tlsa(Resolver& resolver, Host host, Addresses addresses) {
  TlsaFound found;
  dane::AddressState state{host.name, addresses.expanded, addresses.security, false};
  if (state.addresses == dns::Security::insecure && state.expanded != state.host) {
    const dns::Answer alias = co_await resolver.find(host.name, dns::Type::cname);
    if (alias.failed()) co_return failed_tlsa(host.name, "its alias could not be looked up: " + alias.why);
    state.first_cname_secure = alias.secure() && alias.status == dns::Status::records;
    found.ttl = std::min(found.ttl, alias.ttl);
  }
  for (const dns::Name& base : dane::base_candidates(state)) {
    TlsaFound here = co_await ask_tlsa(resolver, base, host.port);
    here.ttl = std::min(here.ttl, found.ttl);
    if (here.fact.state != hop::TlsaFact::State::absent) co_return here;
    if (found.fact.state == hop::TlsaFact::State::absent) here.fact.base = found.fact.base;
    found = std::move(here);
  }
  co_return found;
}

}  // namespace

bool may_be_us(const Options& options) {
  const auto& own = options.own_addresses;
  return std::any_of(own.begin(), own.end(),
                     [&options](const OwnAddress& address) { return address.port == options.port; });
}

// The hosts' addresses are looked up in any case, as Postfix does: a name server that never answers TLSA questions is taken for dead once one
// was asked, and must not take the other hosts along.
awaitable<Preference> find_own(Resolver& resolver, SettingsPtr settings, std::vector<Host> hosts) {
  const bool all = may_be_us(settings->options);
  if (!all && hosts.size() > known_beforehand) hosts.resize(known_beforehand);
  const Families asked = all ? Families::both : families(settings->options.address_family);
  Preference found;
  for (std::size_t next = 0; next < hosts.size() && !found; next += at_once) {
    const auto begin = hosts.begin() + static_cast<std::ptrdiff_t>(next);
    std::vector<Host> few(begin, begin + static_cast<std::ptrdiff_t>(std::min(at_once, hosts.size() - next)));
    found = co_await own_by_address(resolver, settings, std::move(few), asked);
  }
  co_return found;  // by preference: where we stand first is where we stand best
}

Settings::Settings(Options from)
    : options(std::move(from)), table(options.routes, options.security, options.partners) {}

awaitable<DomainPtr> gather_domain(Resolver& resolver, SettingsPtr settings, dns::Name domain, Early early) {
  auto entry = std::make_shared<DomainEntry>();
  const dns::Answer mx = co_await resolver.find(domain, dns::Type::mx);
  entry->facts.domain = std::move(domain);
  entry->facts.expanded = mx.canonical;
  entry->facts.mx_security = mx.security;
  entry->keep = mx.failed() ? keep_failures : std::min(mx.ttl, keep_at_most);
  entry->hosts = candidates(mx, settings->options.port);
  // MX-09: our own place is looked for on the full list, before anything else is left out of it.
  if (auto* hosts = std::get_if<std::vector<Host>>(&entry->hosts)) {
    const Preference own = own_by_text(*hosts, settings->options);
    entry->hosts = without_self(std::move(*hosts), own);
  }
  if (auto* hosts = std::get_if<std::vector<Host>>(&entry->hosts)) {
    auto rest = std::move(*hosts);
    entry->hosts = without_literals(std::move(rest));
  }
  if (auto* hosts = std::get_if<std::vector<Host>>(&entry->hosts); hosts != nullptr && hosts->size() > most_hosts) {
    entry->keep = std::chrono::seconds{0};  // very large: the resolver's cache has it, once
  } else if (hosts != nullptr) {
    std::vector<Host> asked = *hosts;
    if (early.leave_out && !may_be_us(settings->options)) early.leave_out(entry->facts, asked);
    auto looked = find_own(resolver, settings, std::move(asked));
    if (early.beside) looked = net::when_all(std::move(looked), early.beside());
    const Preference own = co_await std::move(looked);
    entry->hosts = without_self(std::move(*hosts), own);
  }
  co_return entry;
}

awaitable<HostPtr> gather_host(Resolver& resolver, SettingsPtr settings, Host host) {
  auto entry = std::make_shared<HostEntry>();
  const Options& options = settings->options;
  const auto answers = co_await find_addresses(resolver, host.name, families(options.address_family));
  entry->addresses = usable(answers, host, options);
  const Addresses& addresses = entry->addresses;
  entry->keep = addresses.any_failed ? keep_failures : std::min(addresses.ttl, keep_at_most);
  if (!addresses.empty() && host.tlsa == Host::Tlsa::ask) {
    TlsaFound tlsa = co_await gather_tlsa(resolver, host, addresses);
    entry->facts.tlsa = std::move(tlsa.fact);
    entry->keep = std::min(entry->keep, tlsa.ttl);
  }
  entry->facts.origin = host.origin;
  entry->facts.name = host.name;
  entry->facts.port = host.port;
  entry->facts.expanded = addresses.expanded;
  entry->facts.address_failure = addresses.failure;
  entry->facts.why_no_address = addresses.why;
  co_return entry;
}

}  // namespace hoplock::route
