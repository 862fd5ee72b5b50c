// SPDX-License-Identifier: Apache-2.0
#include "route/addresses.h"

#include <algorithm>
#include <utility>

namespace hoplock::route {

namespace {

bool is_local(const Ip& ip) {
  return ip.is_loopback() || ip.is_link_local() || ip.is_multicast() || ip.is_unspecified();
}

// Why this address of this host must not be contacted, or nothing.
std::optional<std::string> objection(const Ip& ip, const Host& host, const Options& options) {
  if (is_own(ip, host.port, options)) return ip.text() + " is this relay itself";
  const bool from_dns = host.origin == Host::Origin::mx || host.origin == Host::Origin::implicit_mx;
  if (from_dns && options.local_targets == LocalTargets::refuse && is_local(ip)) {
    return ip.text() + " is a local address, which MX hosts may not have (dns.local_targets)";
  }
  return std::nullopt;
}

void note_failure(Addresses& found, const dns::Answer& answer) {
  const bool bogus = answer.security == dns::Security::bogus;
  found.any_failed = true;
  if (found.failure == hop::Reason::dnssec_invalid || (found.failure && !bogus)) return;
  found.failure = bogus ? hop::Reason::dnssec_invalid : hop::Reason::dns_failure;
  found.why =
      "the " + std::string(to_text(answer.type)) + " look-up of " + answer.question.text() + " failed: " + answer.why;
}

// Takes the addresses of one family; what is left out gives its reason in `objections`.
void take(Addresses& found, const dns::Answer& answer, const Host& host, const Options& options) {
  bool used = false;
  for (const Ip& ip : answer.all<Ip>()) {
    if (auto why = objection(ip, host, options)) {
      if (!found.failure) found.why = std::move(*why);
      continue;
    }
    (ip.is_v4() ? found.v4 : found.v6).push_back(ip);
    used = true;
  }
  if (!used) return;
  found.expanded = answer.canonical;
  if (!answer.secure()) found.security = dns::Security::insecure;
}

bool is_there(const std::vector<dns::Answer>& answers) {
  return std::any_of(answers.begin(), answers.end(),
                     [](const dns::Answer& answer) { return answer.status != dns::Status::no_name; });
}

// The one family that the operator wants, and so the only one that was asked for; nothing: both were.
const char* only_family(const Options& options) {
  if (options.address_family == AddressFamily::ipv4) return "IPv4";
  return options.address_family == AddressFamily::ipv6 ? "IPv6" : nullptr;
}

// No answer failed, and there is no address all the same. What is wrong with names and settings of the operator's own is never for good
// (MX-28): his next hop is not yet, or no longer, in the DNS that we see.
void explain_absence(Addresses& found, const std::vector<dns::Answer>& answers, const Host& host,
                     const Options& options) {
  const bool configured = host.origin == Host::Origin::route_name;
  const bool own = !found.why.empty();  // an objection to each of its addresses
  const char* family = is_there(answers) ? only_family(options) : nullptr;
  if (configured) found.failure = own ? hop::Reason::connect_refused : hop::Reason::dns_failure;
  if (own) return;
  found.why = is_there(answers) ? "it has no address" : "it does not exist";
  if (family != nullptr) {
    found.failure = hop::Reason::dns_failure;
    found.why = std::string("it has no ") + family + " address, and delivery.address_family asks for no other";
  }
  if (configured) found.why += "; a name of an inner DNS needs dns.forward, or a stub zone in dns.unbound_conf";
}

void interleave(std::vector<Ip>& order, const std::vector<Ip>& first, const std::vector<Ip>& second) {
  for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size()) order.push_back(first[i]);
    if (i < second.size()) order.push_back(second[i]);
  }
}

}  // namespace

bool is_own(const Ip& address, std::uint16_t port, const Options& options) {
  const OwnAddress wanted{address.unmapped(), port};
  const auto same = [&wanted](const OwnAddress& own) {
    return own.address.unmapped() == wanted.address && own.port == wanted.port;
  };
  return std::any_of(options.own_addresses.begin(), options.own_addresses.end(), same);
}

Addresses usable(const std::vector<dns::Answer>& answers, const Host& host, const Options& options) {
  Addresses found;
  found.expanded = host.name;
  found.security = dns::Security::secure;
  std::optional<std::chrono::seconds> ttl;
  for (const dns::Answer& answer : answers) {
    if (answer.failed()) {
      note_failure(found, answer);
      continue;
    }
    ttl = std::min(answer.ttl, ttl.value_or(answer.ttl));
    take(found, answer, host, options);
  }
  found.ttl = ttl.value_or(std::chrono::seconds{0});
  if (!found.empty()) {
    found.failure.reset();
    found.why.clear();
    return found;
  }
  found.security = dns::Security::insecure;
  if (!found.failure) explain_absence(found, answers, host, options);
  return found;
}

std::vector<Ip> in_order(const Addresses& addresses, const Options& options, std::mt19937_64& random) {
  std::vector<Ip> v4 = addresses.v4;
  std::vector<Ip> v6 = addresses.v6;
  std::shuffle(v4.begin(), v4.end(), random);
  std::shuffle(v6.begin(), v6.end(), random);
  // However many addresses one family has, the other keeps at least a quarter of the places.
  const std::size_t cap = options.addresses_per_host;
  const std::size_t share = std::max<std::size_t>(1, cap / 4);
  const auto limit = [cap, share](std::vector<Ip>& many, const std::vector<Ip>& few) {
    const std::size_t kept = std::min(few.size(), share);
    if (many.size() > cap - std::min(cap, kept)) many.resize(cap - std::min(cap, kept));
  };
  std::vector<Ip> order;
  switch (options.address_family) {
    case AddressFamily::prefer_ipv4:
      limit(v4, v6);
      order = v4;
      order.insert(order.end(), v6.begin(), v6.end());
      break;
    case AddressFamily::prefer_ipv6:
      limit(v6, v4);
      order = v6;
      order.insert(order.end(), v4.begin(), v4.end());
      break;
    case AddressFamily::any:
    case AddressFamily::ipv4:
    case AddressFamily::ipv6:
      interleave(order, v6, v4);
      break;
  }
  if (order.size() > cap) order.resize(cap);
  return order;
}

}  // namespace hoplock::route
