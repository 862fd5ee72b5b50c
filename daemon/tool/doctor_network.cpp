// SPDX-License-Identifier: Apache-2.0
// `hoplock doctor`: the part that asks the network.
#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <chrono>
#include <memory>
#include <optional>

#include "config/files.h"
#include "daemon/options.h"
#include "daemon/reverse_check.h"
#include "daemon/signing_keys.h"
#include "daemon/system.h"
#include "daemon/tool/doctor.h"
#include "daemon/tool/network.h"
#include "daemon/tool/text.h"
#include "dns/spf.h"
#include "net/connect.h"
#include "net/task_group.h"
#include "probe/name_servers.h"
#include "resolver/addresses.h"
#include "route/router.h"

namespace hoplock::daemon::tool {

namespace {

namespace asio = boost::asio;
using State = Remark::State;

constexpr std::chrono::seconds to_listen{5};  // more than a silence takes
constexpr std::chrono::seconds to_connect{4};
constexpr std::chrono::seconds to_connect_each{3};  // of two hosts, one after the other
constexpr std::chrono::seconds in_all{9};  // for what is looked at side by side, once somebody answers on port 53
constexpr std::chrono::milliseconds to_confirm{
    3'500};  // until no further look-up for the addresses of one family begins

// Whether one of the addresses takes a connection; else what the last one said. They share the time.
asio::awaitable<Result<>> reach(std::vector<Ip> addresses, std::uint16_t port, std::chrono::milliseconds time) {
  constexpr std::size_t most = 2;
  Result<> last = fail(errc::host_unreachable, "it has no address");
  addresses.resize(std::min(addresses.size(), most));
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    const auto share = time / static_cast<std::int64_t>(addresses.size());
    auto stream = co_await net::connect({addresses[i], port}, std::chrono::steady_clock::now() + share);
    if (stream) co_return Result<>{};
    last = fail(stream.error().code, addresses[i].text() + ": " + stream.error().detail);
  }
  co_return last;
}

struct Outward {
  std::uint16_t port = 0;
  std::vector<std::string> hosts;
  std::string lost;  // what does not work without it
  std::string advice;
};

// One part of it: what is looked at one after the other. Parts run side by side.
class Examination {
 public:
  Examination(const Call& call, probe::Tools tools) : call_(call), tools_(std::move(tools)) {}

  std::vector<Remark> take_remarks() { return std::move(found_); }
  bool is_done() const { return done_; }
  asio::awaitable<void> run(asio::awaitable<void> part) {
    co_await std::move(part);
    done_ = true;
  }
  asio::awaitable<void> dns_answers() {
    const auto answer = co_await tools_.resolver.find(dns::Name(), dns::Type::soa);
    const auto failure = tools_.resolver.validation_failure();
    if (answer.failed() && answer.security != dns::Security::bogus) {
      tell("dns", State::bad, "the root zone cannot be looked up: " + answer.why,
           "open port 53 (UDP and TCP) outward, or name your own resolvers in dns.forward");
      co_return;
    }
    if (failure) {
      tell("dnssec", State::bad, *failure, "resolvers in dns.forward must pass DNSSEC on; the clock must be right");
      co_return;
    }
    tell("dnssec", State::good, "the root zone answers, and its signature is valid");
  }

  asio::awaitable<void> own_name() {
    const dns::Name name = hostname(call_.loaded.config);
    const std::string text = name.text();
    if (text.find('.') == std::string::npos || text.ends_with(".localdomain")) {
      tell("name", State::bad, "we say EHLO " + text + ", which others refuse",
           "set hostname to a name that the DNS knows");
      co_return;
    }
    const auto answers = co_await resolver::find_addresses(tools_.resolver, name, resolver::Families::both);
    const auto addresses = resolver::addresses_in(answers);
    if (addresses.empty()) {
      tell("name", State::bad, "we say EHLO " + text + ", which has no address",
           "publish an A record for it with the address that others see, and the PTR record back");
      co_return;
    }
    std::string list;
    for (const Ip& one : addresses) list += (list.empty() ? "" : ", ") + one.text();
    tell("name", State::good, "we say EHLO " + text + " (" + list + ")");
    const auto texts = co_await tools_.resolver.find(name, dns::Type::txt);
    tell_spf(name, dns::spf_record(texts.all<std::string>()), addresses);
  }
  // Notices and reports, which have an empty sender, are judged by the record of the name in EHLO.
  void tell_spf(const dns::Name& said, const std::optional<std::string>& record, const std::vector<Ip>& own) {
    const std::string name = said.text();
    const std::string advice = "publish there: \"v=spf1 a -all\"";
    if (!record)
      return tell("spf", State::note,
                  name + " has no SPF record of its own, or several: notices and reports are judged by it", advice);
    std::vector<Ip> all = own;
    for (const auto& [ip, names] : departures(call_.loaded.config))
      if (!ip.is_internal() && names.contains(said)) all.push_back(ip);
    std::string barred, unknown;
    for (const Ip& ip : all) {
      const auto found = dns::judge_spf(*record, ip, own);
      std::string& list = found == dns::Spf::fails ? barred : unknown;
      if (found != dns::Spf::passes && list.find(ip.text()) == std::string::npos)
        list += (list.empty() ? "" : ", ") + ip.text();
    }
    if (!barred.empty())
      tell("spf", State::bad, "the SPF record of " + name + " does not pass " + barred + ": " + *record, advice);
    else if (!unknown.empty())
      tell("spf", State::note, "the SPF record of " + name + " needs other names, not looked at: " + *record);
    else
      tell("spf", State::good, "the SPF record of " + name + " passes its addresses");
  }

  // What others see of us before they see any mail: each address that it leaves from.
  asio::awaitable<void> ipv4_addresses() { return confirm(&Ip::is_v4); }
  asio::awaitable<void> ipv6_addresses() { return confirm(&Ip::is_v6); }
  asio::awaitable<void> confirm(bool (Ip::*is_meant)() const) {
    BoundedLooks looks(tools_.resolver, to_confirm);
    const Departures all = departures(call_.loaded.config);
    for (const auto& [ip, said] : all) {
      if (!(ip.*is_meant)()) continue;
      const std::string about = ip.is_v4() ? "ptr ipv4" : "ptr ipv6";
      const std::string name = said.begin()->text();
      if (ip.is_internal()) {
        tell(about, State::note, "mail leaves from " + ip.text() + ", which is not the address that others see",
             "the PTR record of that address must name " + name + ", and " + name + " lead back to it");
        continue;
      }
      const dns::Agreement found = co_await look_at_address(ip, said, looks);
      tell(about, state_of(found.state),
           found.why.empty() ? ip.text() + ", its PTR record and EHLO " + name + " agree" : found.why, found.advice);
    }
  }
  static State state_of(dns::Agreement::State found) {
    if (found == dns::Agreement::State::agrees) return State::good;
    return found == dns::Agreement::State::disagrees ? State::bad : State::note;
  }

  // Servers that are always there: whether we may speak to the world at all.
  asio::awaitable<void> mail_port() {
    Outward mail{25,
                 {"gmail-smtp-in.l.google.com", "mx1.mailbox.org"},
                 "mail to other domains cannot leave",
                 "ask your provider or firewall to open port 25 outward"};
    return one_port(std::move(mail));
  }
  asio::awaitable<void> policy_port() {
    Outward policies{443,
                     {"mta-sts.gmail.com", "mailbox.org"},
                     "MTA-STS policies cannot be fetched",
                     "open port 443 outward: policies come by https"};
    return one_port(std::move(policies));
  }

  asio::awaitable<void> one_port(Outward what) {
    const std::string about = "port " + std::to_string(what.port);
    std::string last;
    bool is_known = false;
    for (const std::string& host : what.hosts) {
      dns::Name name = dns::Name::parse(host).value();
      const auto v4 = co_await tools_.resolver.find(std::move(name), dns::Type::a);
      auto addresses = v4.all<Ip>();
      is_known = is_known || !addresses.empty();
      addresses.resize(std::min<std::size_t>(addresses.size(), 1));  // the hosts are several
      const auto reached = co_await reach(std::move(addresses), what.port, to_connect_each);
      if (reached) {
        tell(about, State::good, host + " can be reached");
        co_return;
      }
      last = host + ": " + reached.error().detail;
    }
    if (!is_known) what.advice = "the DNS that is asked does not know the Internet: see dns.forward and dns.root_hints";
    if (uses_mx(call_.loaded.config)) {
      tell(about, State::bad, what.lost + " (" + last + ")", what.advice);
    } else {
      tell(about, State::note, what.lost + " (" + last + "); routes with hosts take all mail, and need it not");
    }
  }

  asio::awaitable<void> records() {
    config::Loaded loaded = call_.loaded;
    // told with the configuration
    std::erase_if(loaded.config.dkim, [](const config::Dkim& one) { return config::is_barred(one.key); });
    const auto keyring = load_keyring(loaded);
    if (!keyring) co_return;
    const auto& config = call_.loaded.config;
    const auto states = co_await look_at_records(keyring, report_domain(config), tools_.resolver);
    const auto lives = lives_of(*keyring, read_signing_past(signing_past_path(config)), config.delivery.expire);
    for (std::size_t i = 0; i < lives.size(); ++i) {
      const dkim::Identity& one = keyring->all()[i];
      const std::string where = record_name(one);
      if (lives[i].is_over(call_.console.now)) {
        tell("dkim", State::note, where + " signs no more: record and configuration may go");
        continue;
      }
      const bool waits = lives[i].role == dkim::Role::waits && lives[i].another_signs;
      for (const auto& complaint : states[i].complaints)
        tell("dkim", waits ? State::note : State::bad, where + ": " + complaint,
             "hoplock dkim record " + one.domain.text() + " " + one.selector);
      if (states[i].complaints.empty()) tell("dkim", State::good, where + " is published");
    }
  }

  asio::awaitable<void> next_hop(route::NextHop next) {
    std::vector<Ip> addresses;
    std::string name;
    if (const auto* ip = std::get_if<Ip>(&next.host)) {
      addresses = {*ip};
      name = ip->text();
    } else {
      const dns::Name host = std::get<dns::Name>(next.host);
      name = host.text();
      const auto answers = co_await resolver::find_addresses(tools_.resolver, host, resolver::Families::both);
      addresses = resolver::addresses_in(answers);
    }
    name += ":" + std::to_string(next.port);
    const bool is_known = !addresses.empty();
    const auto reached = co_await reach(std::move(addresses), next.port, to_connect);
    if (reached)
      tell("next hop", State::good, name + " takes connections");
    else
      tell("next hop", State::bad, name + ": " + reached.error().detail,
           is_known ? "see that it runs, and that no firewall between it and this machine is in the way"
                    : "names of an inner DNS need dns.forward or a stub zone in dns.unbound_conf");
  }

 private:
  void tell(std::string about, State state, std::string text, std::string advice = {}) {
    found_.push_back({std::move(about), state, std::move(text), std::move(advice)});
  }

  const Call& call_;
  probe::Tools tools_;
  std::vector<Remark> found_;
  bool done_ = false;
};

std::vector<route::NextHop> next_hops(const Call& call) {
  constexpr std::size_t most = 64;
  std::vector<route::NextHop> all;
  for (const auto& route : route_options(call.loaded.config, {}).routes) {
    if (route::is_expired(route, call.console.now)) continue;
    for (const route::NextHop& next : route.hosts) {
      if (all.size() < most && std::find(all.begin(), all.end(), next) == all.end()) all.push_back(next);
    }
  }
  return all;
}

// All of it, in the order in which it is told.
class Examinations {
 public:
  Examinations(const Call& call, probe::Tools tools) : call_(call), tools_(std::move(tools)) {}

  asio::awaitable<std::vector<Remark>> go() {
    co_await listen();
    net::TaskGroup tasks(co_await asio::this_coro::executor, tools_.log);
    if (!asked_.front().silence) {
      start(tasks, "dns", &Examination::dns_answers);
      start(tasks, "name", &Examination::own_name);
      start(tasks, "ptr ipv4", &Examination::ipv4_addresses);
      start(tasks, "ptr ipv6", &Examination::ipv6_addresses);
      start(tasks, "port 25", &Examination::mail_port);
      start(tasks, "port 443", &Examination::policy_port);
      start(tasks, "dkim", &Examination::records);
    }
    for (const route::NextHop& next : next_hops(call_)) start_hop(tasks, next);
    co_await tasks.join(std::chrono::steady_clock::now() + in_all);
    tasks.stop();
    co_await tasks.join(std::chrono::steady_clock::now() + std::chrono::seconds(1));
    co_return remarks();
  }

 private:
  struct Part {
    std::string about;
    std::unique_ptr<Examination> examination;
  };
  struct Asked {
    probe::NameServers servers;
    std::optional<probe::Silence> silence{};
  };

  static asio::awaitable<void> ask(Asked& one) { one.silence = co_await probe::find_silence(one.servers); }
  // Whether anybody answers: the root's servers first, and those of zones of the operator's own, side by side.
  asio::awaitable<void> listen() {
    const auto options = call_.loaded.config.dns;
    asked_.push_back({probe::first_servers(options)});
    for (auto& one : probe::zone_servers(options)) asked_.push_back({std::move(one)});
    net::TaskGroup tasks(co_await asio::this_coro::executor, tools_.log);
    for (Asked& one : asked_) tasks.spawn("doctor", ask(one));
    co_await tasks.join(std::chrono::steady_clock::now() + to_listen);
    tasks.stop();
    co_await tasks.join(std::chrono::steady_clock::now() + std::chrono::seconds(1));
  }
  Examination& add(std::string about) {
    parts_.push_back({std::move(about), std::make_unique<Examination>(call_, tools_)});
    return *parts_.back().examination;
  }
  void start(net::TaskGroup& tasks, std::string about, asio::awaitable<void> (Examination::*part)()) {
    Examination& one = add(std::move(about));
    tasks.spawn("doctor", one.run((one.*part)()));
  }
  bool is_heard(const dns::Name& name) const {
    const auto servers = probe::servers_for(call_.loaded.config.dns, name);
    return std::none_of(asked_.begin(), asked_.end(),
                        [&](const Asked& one) { return one.silence && one.servers == servers; });
  }
  // While nobody answers a name leads nowhere, and every look-up would be waited for.
  void start_hop(net::TaskGroup& tasks, const route::NextHop& next) {
    const auto* name = std::get_if<dns::Name>(&next.host);
    if (name != nullptr && !is_heard(*name)) return;
    Examination& one = add("next hop");
    tasks.spawn("doctor", one.run(one.next_hop(next)));
  }
  // Nothing is wrong where routes lead all mail to addresses, or to names that others answer for.
  Remark silence_remark(const probe::Silence& silence) const {
    const auto all = next_hops(call_);
    const bool is_asked = std::any_of(all.begin(), all.end(), [this](const route::NextHop& one) {
      const auto* name = std::get_if<dns::Name>(&one.host);
      return name != nullptr && !is_heard(*name);
    });
    if (is_asked || uses_mx(call_.loaded.config)) return {"dns", State::bad, silence.text, silence.advice};
    return {"dns", State::note, silence.text + "; routes take all mail, and do not need it", ""};
  }
  Remark zone_remark(const Asked& one) const {
    const std::string zone = one.servers.zone.text();
    if (one.silence) return {"dns", State::bad, one.silence->text, one.silence->advice};
    if (one.servers.origin != probe::NameServers::Origin::unknown)
      return {"dns", State::good, "the servers that dns.unbound_conf has for " + zone + " answer"};
    return {
        "dns", State::note,
        zone + ": not looked at, for dns.unbound_conf has no addresses for it, or has it asked over TLS or TCP only"};
  }
  // What look-ups come to is told all the same.
  Remark unknown_servers_remark() const {
    const bool has_zones = !call_.loaded.config.dns.unbound_conf.empty();
    return {"dns", State::note,
            std::string("not looked at: whether anybody answers on port 53, for ") +
                (has_zones ? "dns.unbound_conf reads more files, or names servers otherwise than by address"
                           : "dns.root_hints names no server"),
            ""};
  }
  std::vector<Remark> remarks() {
    std::vector<Remark> all;
    const Asked& root = asked_.front();
    if (root.silence) all.push_back(silence_remark(*root.silence));
    if (root.servers.origin == probe::NameServers::Origin::unknown) all.push_back(unknown_servers_remark());
    for (std::size_t i = 1; i < asked_.size(); ++i) all.push_back(zone_remark(asked_[i]));
    for (Part& part : parts_) {
      for (Remark& one : part.examination->take_remarks()) all.push_back(std::move(one));
      if (!part.examination->is_done())
        all.push_back({part.about, State::bad,
                       "not looked at to the end within 9 s: who was asked answers late, or not at all", ""});
    }
    return all;
  }

  const Call& call_;
  probe::Tools tools_;
  std::vector<Asked> asked_;  // the root's servers first
  std::vector<Part> parts_;
};

}  // namespace

std::vector<Remark> examine_network(const Call& call) {
  config::Config config = call.loaded.config;
  config.dns.timeout = std::min<Milliseconds>(config.dns.timeout, to_connect);
  const auto network = Network::open(config, call.console, OwnHosts::allowed);
  if (!network) return {{"dns", State::bad, network.error().detail, "hoplock config check"}};
  Examinations examinations(call, (*network)->tools());
  auto task = examinations.go();
  auto found = (*network)->run(std::move(task));
  if (!found) return {{"network", State::bad, std::string(broke_off)}};
  return std::move(*found);
}

}  // namespace hoplock::daemon::tool
