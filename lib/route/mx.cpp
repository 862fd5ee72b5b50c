// SPDX-License-Identifier: Apache-2.0
#include "route/mx.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "mtasts/match.h"

namespace hoplock::route {

namespace {

NoHosts permanent(int code, const char* enhanced, std::string text) {
  NoHosts none;
  none.kind = NoHosts::Kind::permanent;
  none.code = code;
  none.enhanced = enhanced;
  none.text = std::move(text);
  return none;
}

NoHosts temporary(hop::Reason reason, std::string text) {
  NoHosts none;
  none.enhanced = "4." + std::string(hop::code(reason));
  none.reason = reason;
  none.text = std::move(text);
  return none;
}

Candidates listed(const dns::Answer& mx, std::uint16_t port) {
  std::vector<Host> hosts;
  for (const dns::Mx& record : mx.all<dns::Mx>()) {
    // A "." beside other records is the publisher's error: only that record is ignored (MX-04).
    if (record.exchange.is_root()) continue;
    Host host;
    host.name = record.exchange;
    host.port = port;
    host.preference = record.preference;
    hosts.push_back(std::move(host));
  }
  if (hosts.empty()) return permanent(556, "5.1.10", mx.question.text() + " does not accept mail (null MX)");
  // by name within a preference: whatever is cut off behind is the same each time
  std::sort(hosts.begin(), hosts.end(), [](const Host& a, const Host& b) {
    return std::tie(a.preference, a.name) < std::tie(b.preference, b.name);
  });
  return hosts;
}

Candidates implicit(const dns::Answer& mx, std::uint16_t port) {
  Host host;
  host.origin = Host::Origin::implicit_mx;
  host.name = mx.question;
  host.port = port;
  // An unsigned "no MX records" may hide the real ones: no DANE for what stands in for them (RFC 7672 section 2.2.1).
  host.tlsa = mx.secure() ? Host::Tlsa::ask : Host::Tlsa::skip;
  return std::vector<Host>{host};
}

}  // namespace

Candidates candidates(const dns::Answer& mx, std::uint16_t port) {
  switch (mx.status) {
    case dns::Status::records:
      return listed(mx, port);
    case dns::Status::no_data:
      return implicit(mx, port);
    case dns::Status::no_name:
      return permanent(550, "5.1.2", "the domain " + mx.question.text() + " does not exist");
    case dns::Status::failed:
      break;
  }
  const bool bogus = mx.security == dns::Security::bogus;
  return temporary(bogus ? hop::Reason::dnssec_invalid : hop::Reason::dns_failure,
                   "the MX look-up of " + mx.question.text() + " failed: " + mx.why);
}

Candidates without_self(std::vector<Host> hosts, std::optional<std::uint16_t> own) {
  if (!own) return hosts;
  std::erase_if(hosts, [own](const Host& host) { return host.preference >= *own; });
  if (hosts.empty()) return permanent(554, "5.4.6", "mail loops back: this relay is the best host of the domain");
  return hosts;
}

Candidates without_literals(std::vector<Host> hosts) {
  std::set<dns::Name> seen;
  std::erase_if(hosts, [&seen](const Host& host) {
    return Ip::parse(host.name.text()).has_value() || !seen.insert(host.name).second;
  });
  if (hosts.empty()) return permanent(550, "5.4.4", "every MX record names an address instead of a host");
  return hosts;
}

Cut cut(std::vector<Host> hosts, const hop::StsFact& sts) {
  Cut chosen;
  const std::size_t all = hosts.size();
  if (all <= most_hosts) {
    chosen.hosts = std::move(hosts);
    return chosen;
  }
  const bool binds = sts.state == hop::StsFact::State::live && sts.policy.mode == mtasts::Mode::enforce;
  std::size_t good = 0;
  std::size_t ruled_out = 0;
  for (Host& host : hosts) {
    const bool named = !binds || mtasts::matches(sts.policy, host.name);
    if (named ? good++ < most_hosts : ruled_out++ < most_ruled_out) chosen.hosts.push_back(std::move(host));
  }
  chosen.left_out = all - chosen.hosts.size();
  return chosen;
}

NoHosts not_validating(const std::string& why) { return temporary(hop::Reason::dns_failure, why); }

}  // namespace hoplock::route
