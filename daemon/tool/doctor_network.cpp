// `hoplock doctor`: the part that asks the network.
#include <algorithm>
#include <chrono>

#include "daemon/options.h"
#include "daemon/signing_keys.h"
#include "daemon/system.h"
#include "daemon/tool/doctor.h"
#include "daemon/tool/network.h"
#include "daemon/tool/text.h"
#include "net/connect.h"
#include "route/router.h"

namespace hoplock::daemon::tool {

namespace {

namespace asio = boost::asio;
using State = Remark::State;

constexpr std::chrono::seconds to_connect{4};

net::SteadyTime soon() { return std::chrono::steady_clock::now() + to_connect; }

std::vector<Ip> addresses_of(const dns::Answer& v4, const dns::Answer& v6) {
  auto all = v4.all<Ip>();
  for (const Ip& one : v6.all<Ip>()) all.push_back(one);
  return all;
}

// Whether one of the addresses takes a connection; else what the last one said.
asio::awaitable<Result<>> reach(std::vector<Ip> addresses, std::uint16_t port) {
  constexpr std::size_t most = 2;
  Result<> last = fail(errc::host_unreachable, "it has no address");
  for (std::size_t i = 0; i < std::min(addresses.size(), most); ++i) {
    auto stream = co_await net::connect({addresses[i], port}, soon());
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

class Examination {
 public:
  Examination(const Call& call, probe::Tools tools) : call_(call), tools_(std::move(tools)) {}

  asio::awaitable<std::vector<Remark>> go() {
    const bool answered = co_await dns_answers();
    if (answered) {
      co_await own_name();
      co_await outward();
      co_await records();
    }
    co_await next_hops();
    co_return std::move(found_);
  }

 private:
  void tell(std::string about, State state, std::string text, std::string advice = {}) {
    found_.push_back({std::move(about), state, std::move(text), std::move(advice)});
  }

  asio::awaitable<bool> dns_answers() {
    const auto answer = co_await tools_.resolver.find(dns::Name(), dns::Type::soa);
    const auto failure = tools_.resolver.validation_failure();
    if (answer.failed() && answer.security != dns::Security::bogus) {
      tell("dns", State::bad, "nobody answers our questions: " + answer.why,
           "open port 53 (UDP and TCP) outward, or name your own resolvers in dns.forward");
      co_return false;
    }
    if (failure) {
      tell("dnssec", State::bad, *failure, "resolvers in dns.forward must pass DNSSEC on; the clock must be right");
      co_return true;
    }
    tell("dnssec", State::good, "the root zone answers, and its signature is valid");
    co_return true;
  }

  asio::awaitable<void> own_name() {
    const dns::Name name = hostname(call_.loaded.config);
    const std::string text = name.text();
    if (text.find('.') == std::string::npos || text.ends_with(".localdomain")) {
      tell("name", State::bad, "we say EHLO " + text + ", which others refuse",
           "set hostname to a name that the DNS knows");
      co_return;
    }
    const auto v4 = co_await tools_.resolver.find(name, dns::Type::a);
    const auto v6 = co_await tools_.resolver.find(name, dns::Type::aaaa);
    const auto addresses = addresses_of(v4, v6);
    if (addresses.empty()) {
      tell("name", State::bad, "we say EHLO " + text + ", which has no address",
           "publish an A record for it with the address that others see, and the PTR record back");
      co_return;
    }
    std::string list;
    for (const Ip& one : addresses) list += (list.empty() ? "" : ", ") + one.text();
    tell("name", State::good, "we say EHLO " + text + " (" + list + ")");
    const auto texts = co_await tools_.resolver.find(name, dns::Type::txt);
    const auto all = texts.all<std::string>();
    const bool spf =
        std::any_of(all.begin(), all.end(), [](const std::string& one) { return one.starts_with("v=spf1"); });
    if (!spf)
      tell("spf", State::note,
           text + " has no SPF record of its own: notices and reports with an empty sender are judged by it",
           "publish there: \"v=spf1 a -all\"");
  }

  // Servers that are always there: whether we may speak to the world at all.
  asio::awaitable<void> outward() {
    Outward mail{25,
                 {"gmail-smtp-in.l.google.com", "mx1.mailbox.org"},
                 "mail to other domains cannot leave",
                 "ask your provider or firewall to open port 25 outward"};
    co_await one_port(std::move(mail));
    Outward policies{443,
                     {"mta-sts.gmail.com", "mailbox.org"},
                     "MTA-STS policies cannot be fetched",
                     "open port 443 outward: policies come by https"};
    co_await one_port(std::move(policies));
  }
  asio::awaitable<void> one_port(Outward what) {
    const std::string about = "port " + std::to_string(what.port);
    std::string last;
    for (const std::string& host : what.hosts) {
      dns::Name name = dns::Name::parse(host).value();
      const auto v4 = co_await tools_.resolver.find(std::move(name), dns::Type::a);
      auto addresses = v4.all<Ip>();
      const auto reached = co_await reach(std::move(addresses), what.port);
      if (reached) {
        tell(about, State::good, host + " can be reached");
        co_return;
      }
      last = host + ": " + reached.error().detail;
    }
    tell(about, State::bad, what.lost + " (" + last + ")", what.advice);
  }

  asio::awaitable<void> records() {
    config::Loaded loaded = call_.loaded;
    const auto keyring = load_keyring(loaded);
    if (!keyring) co_return;  // told with the configuration
    const auto reports = report_domain(call_.loaded.config);
    for (const dkim::Identity& one : keyring->all()) {
      const RecordState record = co_await look_at_record(one, reports, tools_.resolver);
      const std::string where = record_name(one);
      for (const auto& complaint : record.complaints)
        tell("dkim", State::bad, where + ": " + complaint,
             "hoplock dkim record " + one.domain.text() + " " + one.selector);
      if (record.complaints.empty()) tell("dkim", State::good, where + " is published");
    }
  }

  asio::awaitable<void> next_hops() {
    const route::Options options = route_options(call_.loaded.config, {});
    for (const auto& route : options.routes) {
      if (route::is_expired(route, call_.console.now)) continue;
      for (const route::NextHop& next : route.hosts) co_await next_hop(next);
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
      const auto v4 = co_await tools_.resolver.find(host, dns::Type::a);
      const auto v6 = co_await tools_.resolver.find(host, dns::Type::aaaa);
      addresses = addresses_of(v4, v6);
    }
    name += ":" + std::to_string(next.port);
    const auto reached = co_await reach(std::move(addresses), next.port);
    if (reached)
      tell("next hop", State::good, name + " takes connections");
    else
      tell("next hop", State::bad, name + ": " + reached.error().detail,
           "names of an inner DNS need dns.forward or a stub zone in dns.unbound_conf");
  }

  const Call& call_;
  probe::Tools tools_;
  std::vector<Remark> found_;
};

}  // namespace

std::vector<Remark> examine_network(const Call& call) {
  config::Config config = call.loaded.config;
  config.dns.timeout.value = std::min<Milliseconds>(config.dns.timeout.value, to_connect);
  const auto network = Network::open(config, call.console, Whose::anyones);
  if (!network) return {{"dns", State::bad, network.error().detail, "hoplock config check"}};
  Examination examination(call, (*network)->tools());
  auto task = examination.go();
  auto found = (*network)->run(std::move(task));
  if (!found) return {{"network", State::bad, std::string(broke_off)}};
  return std::move(*found);
}

}  // namespace hoplock::daemon::tool
