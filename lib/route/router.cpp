// SPDX-License-Identifier: Apache-2.0
#include "route/router.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/time.h"
#include "hop/plan.h"
#include "net/single_flight.h"
#include "net/when_all.h"
#include "route/answers.h"
#include "route/cache.h"
#include "route/gather.h"
#include "route/mx.h"
#include "route/reporting.h"
#include "route/site.h"
#include "route/turns.h"

namespace hoplock::route {

using boost::asio::awaitable;

namespace {

constexpr std::size_t cache_capacity = 4096;
constexpr std::size_t looks_at_once = 4;  // at hosts, for one domain; each asks for A and AAAA

// Facts of one kind: those at hand, and those that somebody is asking for now.
template <class Key, class Entry>
struct Store {
  using EntryPtr = std::shared_ptr<const Entry>;
  Cache<Key, EntryPtr> cache{cache_capacity};
  net::SingleFlight<Key, EntryPtr> flights;
};

// Whether an answer to this question could change how the hop is made.
Host::Tlsa tlsa_for(const hop::LocalRule& rule, Host::Origin origin) {
  return hop::needs_tlsa(origin, rule) ? Host::Tlsa::ask : Host::Tlsa::skip;
}

std::vector<Host> configured(const Route& route, const hop::LocalRule& rule) {
  std::vector<Host> hosts;
  for (const NextHop& next : route.hosts) {
    Host host;
    const auto* name = std::get_if<dns::Name>(&next.host);
    host.origin = name != nullptr ? Host::Origin::route_name : Host::Origin::literal;
    if (name != nullptr) {
      host.name = *name;
    } else {
      host.literal = std::get<Ip>(next.host);
    }
    host.port = next.port;
    host.preference = static_cast<std::uint16_t>(hosts.size());
    host.tlsa = tlsa_for(rule, host.origin);
    hosts.push_back(std::move(host));
  }
  return hosts;
}

// MX-05: equal preferences in random order.
void shuffle_equals(std::vector<Host>& hosts, std::mt19937_64& random) {
  for (auto begin = hosts.begin(); begin != hosts.end();) {
    const auto end =
        std::find_if(begin, hosts.end(), [begin](const Host& host) { return host.preference != begin->preference; });
    std::shuffle(begin, end, random);
    begin = end;
  }
}

hop::HostFacts literal_facts(const Host& host, const Options& options) {
  hop::HostFacts facts;
  facts.origin = host.origin;
  facts.port = host.port;
  if (is_own(host.literal, host.port, options)) {
    facts.address_failure = hop::Reason::connect_refused;  // MX-28: the operator may mend it
    facts.why_no_address = host.literal.text() + " is this relay itself";
  } else {
    facts.addresses.push_back(host.literal);
  }
  return facts;
}

}  // namespace

class Router::Impl {
 public:
  Impl(const Parts& parts, Options options, std::mt19937_64 random)
      : resolver_(parts.resolver),
        policies_(parts.policies),
        clock_(parts.clock),
        random_(random),
        settings_(std::make_shared<const Settings>(std::move(options))) {}

  TablePtr rules() const { return {settings_, &settings_->table}; }
  void reload(Options options);
  void set_partners(partners::BookPtr partners);
  static awaitable<Found> find(std::shared_ptr<Impl> self, dns::Name domain);
  static awaitable<hop::HostFacts> look(std::shared_ptr<Impl> self, Host host);
  static awaitable<hop::HostFacts> look_in_turn(std::shared_ptr<Impl> self, Host host, dns::Name domain);
  static awaitable<bool> find_reporting(std::shared_ptr<Impl> self, dns::Name domain);
  std::optional<bool> known_reporting(const dns::Name& domain);

 private:
  template <class Key, class Entry, class Gather>
  static awaitable<std::shared_ptr<const Entry>> obtain(std::shared_ptr<Impl> self, Store<Key, Entry>& store, Key key,
                                                        Gather gather);

  // What was found of a domain's policy beside its hosts' addresses; nothing where the domain was at hand, or another asked for it.
  using EarlyTxt = std::shared_ptr<std::optional<PolicyTxt>>;
  static awaitable<void> find_early(std::shared_ptr<Impl> self, dns::Name domain, EarlyTxt into);
  static awaitable<DomainPtr> obtain_domain(std::shared_ptr<Impl> self, dns::Name domain, EarlyTxt txt);
  bool leave_out(hop::DomainFacts domain, std::vector<Host>& hosts) const;
  static awaitable<HostPtr> obtain_host(std::shared_ptr<Impl> self, Host host);
  static awaitable<hop::StsFact> policy_of(std::shared_ptr<Impl> self, dns::Name domain, EarlyTxt txt);
  static awaitable<hop::StsFact> find_policy(std::shared_ptr<Impl> self, dns::Name domain, EarlyTxt txt, Host first);
  static awaitable<std::optional<NoHosts>> cut_hosts(std::shared_ptr<Impl> self, SettingsPtr settings,
                                                     std::shared_ptr<Hosts> found);

  Answers resolver_;
  PolicyCache* policies_;  // null: no policies are looked for
  net::Clock clock_;
  std::mt19937_64 random_;
  SettingsPtr settings_;
  Store<dns::Name, DomainEntry> domains_;
  Store<Host, HostEntry> hosts_;
  Store<dns::Name, ReportingEntry> reporting_;
  Turns looks_{looks_at_once};
  Turns cuts_{1};
};

void Router::Impl::reload(Options options) {
  settings_ = std::make_shared<const Settings>(std::move(options));
  resolver_.clear();
  domains_.cache.clear();
  hosts_.cache.clear();
  reporting_.cache.clear();
}

void Router::Impl::set_partners(partners::BookPtr partners) {
  Options options = settings_->options;
  options.partners = std::move(partners);
  settings_ = std::make_shared<const Settings>(std::move(options));
}

// From the cache, from whoever asks already, or by `gather`. What was found while validation failed, or under settings that are
// no more, is not kept. `store` is one of self's own.
template <class Key, class Entry, class Gather>
awaitable<std::shared_ptr<const Entry>> Router::Impl::obtain(std::shared_ptr<Impl> self, Store<Key, Entry>& store,
                                                             Key key, Gather gather) {
  for (;;) {
    if (auto kept = store.cache.find(key, std::chrono::steady_clock::now())) co_return *kept;
    const auto flight = store.flights.find(key);
    if (!flight) break;
    co_await flight->wait();
    if (flight->found()) co_return *flight->found();
  }
  typename net::SingleFlight<Key, std::shared_ptr<const Entry>>::Work work(store.flights, key);
  const auto settings = self->settings_;
  const auto entry = co_await gather(self->resolver_, settings, key);
  work.done(entry);
  const bool keeps = entry->keep.count() > 0 && settings == self->settings_;
  if (keeps && !self->resolver_.validation_failure()) {
    store.cache.put(key, entry, std::chrono::steady_clock::now() + entry->keep);
  }
  co_return entry;
}

awaitable<void> Router::Impl::find_early(std::shared_ptr<Impl> self, dns::Name domain, EarlyTxt into) {
  PolicyTxt found = co_await self->policies_->find_txt(std::move(domain));
  into->emplace(std::move(found));
}

// `txt` is null where no rule needs it.
awaitable<DomainPtr> Router::Impl::obtain_domain(std::shared_ptr<Impl> self, dns::Name domain, EarlyTxt txt) {
  Early early;
  if (txt) {
    early.beside = [self, domain, txt] { return find_early(self, domain, txt); };
    early.leave_out = [self](const hop::DomainFacts& facts, std::vector<Host>& hosts) {
      self->leave_out(facts, hosts);
    };
  }
  auto gather = [early = std::move(early)](resolver::Resolver& resolver, SettingsPtr settings, dns::Name at) {
    return gather_domain(resolver, std::move(settings), std::move(at), early);
  };
  auto& store = self->domains_;
  return obtain(std::move(self), store, std::move(domain), std::move(gather));
}

// Those that the policy at hand rules out; should there be another policy by now, they are asked for at their turn. Whether any is left.
bool Router::Impl::leave_out(hop::DomainFacts domain, std::vector<Host>& hosts) const {
  auto known = policies_->known(domain.domain);
  if (!known) return true;
  const hop::LocalRule rule = settings_->table.rule(domain.domain, clock_());
  domain.sts = std::move(*known);
  std::erase_if(hosts, [&](const Host& host) { return hop::is_ruled_out(domain, host.name, rule); });
  return !hosts.empty();
}

awaitable<HostPtr> Router::Impl::obtain_host(std::shared_ptr<Impl> self, Host host) {
  host.preference = 0;
  return obtain(self, self->hosts_, std::move(host), &gather_host);
}

awaitable<hop::StsFact> Router::Impl::policy_of(std::shared_ptr<Impl> self, dns::Name domain, EarlyTxt txt) {
  PolicyTxt found;
  if (*txt) {
    found = std::move(**txt);
  } else {
    found = co_await self->policies_->find_txt(domain);
  }
  co_return co_await self->policies_->find(std::move(domain), std::move(found));
}

// Only once it is known that the domain takes mail (MX-04), side by side with what the first host's turn will ask for.
awaitable<hop::StsFact> Router::Impl::find_policy(std::shared_ptr<Impl> self, dns::Name domain, EarlyTxt txt,
                                                  Host first) {
  auto policy = policy_of(self, std::move(domain), std::move(txt));
  first.preference = 0;
  if (first.origin == Host::Origin::literal || self->hosts_.cache.find(first, std::chrono::steady_clock::now()))
    co_return co_await std::move(policy);
  auto looked = obtain_host(self, std::move(first));
  auto both = co_await net::when_all(std::move(policy), std::move(looked));
  co_return std::move(std::get<0>(both));
}

awaitable<Found> Router::Impl::find(std::shared_ptr<Impl> self, dns::Name domain) {
  const auto settings = self->settings_;
  const Time at = self->clock_();
  Hosts found;
  found.route = settings->table.match(domain, at);
  found.rule = settings->table.rule(domain, at);
  found.note = settings->table.note(domain, at);
  found.loosened = settings->table.loosening(domain, at);
  if (found.route && !found.route->hosts.empty()) {
    found.domain = hop::DomainFacts{domain, domain, dns::Security::secure};
    found.hosts = configured(*found.route, found.rule);
    found.site = site_of(found);
    co_return found;
  }
  const bool with_policy = self->policies_ != nullptr && hop::needs_sts(Host::Origin::mx, found.rule);
  EarlyTxt txt;
  if (with_policy) txt = std::make_shared<std::optional<PolicyTxt>>();
  auto failure = self->resolver_.validation_failure();
  DomainPtr entry;
  if (!failure) {
    entry = co_await obtain_domain(self, domain, txt);
    failure = self->resolver_.validation_failure();
  }
  const auto* none = failure ? nullptr : std::get_if<NoHosts>(&entry->hosts);
  if (failure || none != nullptr) {
    NoHosts refused = failure ? not_validating(*failure) : *none;
    refused.route = found.route;
    refused.note = found.note;
    co_return refused;
  }
  found.domain = entry->facts;
  found.hosts = std::get<std::vector<Host>>(entry->hosts);
  for (Host& host : found.hosts) {
    if (tlsa_for(found.rule, host.origin) == Host::Tlsa::skip) host.tlsa = Host::Tlsa::skip;
  }
  const bool large = found.hosts.size() > most_hosts;
  if (!large) shuffle_equals(found.hosts, self->random_);
  if (with_policy) {
    Host first;
    std::vector<Host> left = large ? std::vector<Host>{} : found.hosts;
    if (!large && self->leave_out(found.domain, left)) {
      first = std::move(left.front());
    } else {
      first.origin = Host::Origin::literal;  // nothing is asked of hosts that may not be among those that count
    }
    found.domain.sts = co_await find_policy(self, std::move(domain), std::move(txt), std::move(first));
  }
  if (!large) {
    found.site = site_of(found);
    co_return found;
  }
  const auto shared = std::make_shared<Hosts>(std::move(found));
  auto refused = co_await cut_hosts(self, settings, shared);
  if (refused) co_return std::move(*refused);
  co_return std::move(*shared);
}

// MX-29: after the policy and before any look-up of a host. What the policy does not decide, with DANE beside it, is not cut by it either:
// such hosts keep places of their own.
awaitable<std::optional<NoHosts>> Router::Impl::cut_hosts(std::shared_ptr<Impl> self, SettingsPtr settings,
                                                          std::shared_ptr<Hosts> found) {
  const bool binds = found->rule.mta_sts == hop::Mode::enforce;
  Cut chosen = cut(std::move(found->hosts), binds ? found->domain.sts : hop::StsFact{});
  found->left_out = chosen.left_out;
  Turns::Turn turn(self->cuts_, found->domain.domain);
  co_await turn.come();
  // Of hosts that are ruled out nothing is asked, unless we may be among them and must know our place (MX-09).
  std::vector<Host> asked = chosen.hosts;
  if (!may_be_us(settings->options)) {
    std::erase_if(asked,
                  [&found](const Host& host) { return hop::is_ruled_out(found->domain, host.name, found->rule); });
  }
  const auto own = co_await find_own(self->resolver_, settings, std::move(asked));
  Candidates left = without_self(std::move(chosen.hosts), own);
  if (auto* none = std::get_if<NoHosts>(&left)) {
    none->route = found->route;
    none->note = found->note;
    co_return std::move(*none);
  }
  found->hosts = std::get<std::vector<Host>>(std::move(left));
  found->site = site_of(*found);
  shuffle_equals(found->hosts, self->random_);
  co_return std::nullopt;
}

awaitable<hop::HostFacts> Router::Impl::look(std::shared_ptr<Impl> self, Host host) {
  const auto settings = self->settings_;
  if (host.origin == Host::Origin::literal) co_return literal_facts(host, settings->options);
  const HostPtr entry = co_await obtain_host(self, host);
  hop::HostFacts facts = entry->facts;
  const auto failure = self->resolver_.validation_failure();
  if (failure && host.tlsa == Host::Tlsa::ask) {
    // Without validation everything looks insecure: no rule that asks for TLSA may be judged by that (DNS-04).
    facts.tlsa = hop::TlsaFact{};
    facts.address_failure = hop::Reason::dns_failure;
    facts.why_no_address = *failure;
    co_return facts;
  }
  facts.addresses = in_order(entry->addresses, settings->options, self->random_);
  co_return facts;
}

// The turn comes before the question, which others may wait for as well: they wait for no more than its answer.
awaitable<hop::HostFacts> Router::Impl::look_in_turn(std::shared_ptr<Impl> self, Host host, dns::Name domain) {
  Turns::Turn turn(self->looks_, std::move(domain));
  co_await turn.come();
  co_return co_await look(self, std::move(host));
}

awaitable<bool> Router::Impl::find_reporting(std::shared_ptr<Impl> self, dns::Name domain) {
  const ReportingPtr entry = co_await obtain(self, self->reporting_, std::move(domain), &gather_reporting);
  co_return entry->wanted;
}

std::optional<bool> Router::Impl::known_reporting(const dns::Name& domain) {
  const auto kept = reporting_.cache.find(domain, std::chrono::steady_clock::now());
  return kept ? std::optional((*kept)->wanted) : std::nullopt;
}

Router::Router(const Parts& parts, Options options, std::mt19937_64 random)
    : impl_(std::make_shared<Impl>(parts, std::move(options), random)) {}
Router::~Router() = default;

const Table& Router::table() const { return *impl_->rules(); }
TablePtr Router::rules() const { return impl_->rules(); }
void Router::reload(Options options) { impl_->reload(std::move(options)); }
void Router::set_partners(partners::BookPtr partners) { impl_->set_partners(std::move(partners)); }
awaitable<Found> Router::find(dns::Name domain) { return Impl::find(impl_, std::move(domain)); }
awaitable<hop::HostFacts> Router::look(Host host) { return Impl::look(impl_, std::move(host)); }
awaitable<hop::HostFacts> Router::look(Host host, dns::Name domain) {
  return Impl::look_in_turn(impl_, std::move(host), std::move(domain));
}
awaitable<bool> Router::find_reporting(dns::Name domain) { return Impl::find_reporting(impl_, std::move(domain)); }
std::optional<bool> Router::known_reporting(const dns::Name& domain) const { return impl_->known_reporting(domain); }

}  // namespace hoplock::route
