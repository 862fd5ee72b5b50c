// SPDX-License-Identifier: Apache-2.0
#include "probe/live.h"

#include <array>
#include <chrono>
#include <utility>

#include "dane/base_domain.h"
#include "dane/usable.h"
#include "net/connect.h"
#include "net/peer_chain.h"
#include "smtp/capabilities.h"
#include "smtp/reply.h"

namespace hoplock::probe {

namespace asio = boost::asio;

namespace {

Error refused(std::string what, const smtp::Reply& reply) {
  return fail(errc::protocol_error, std::move(what) + ": " + reply.one_line());
}

// The few words before the handshake. The error names what the server did.
class Opening {
 public:
  Opening(net::Stream& stream, std::string hostname) : stream_(stream), hostname_(std::move(hostname)) {}

  asio::awaitable<Result<>> start_tls() {
    const auto banner = co_await read();
    if (!banner) co_return banner.error();
    if (!banner->is_positive()) co_return refused("the server is not ready", *banner);
    const auto hello = co_await say("EHLO " + hostname_ + "\r\n");
    if (!hello) co_return hello.error();
    if (!hello->is_positive()) co_return refused("EHLO was refused", *hello);
    if (!smtp::Capabilities::parse(*hello).starttls)
      co_return fail(errc::protocol_error, "the server does not offer STARTTLS");
    const auto go = co_await say("STARTTLS\r\n");
    if (!go) co_return go.error();
    if (!go->is_positive()) co_return refused("STARTTLS was refused", *go);
    if (replies_.has_leftover())
      co_return fail(errc::protocol_error, "the server sent more in clear after its answer to STARTTLS");
    co_return Result<>{};
  }

 private:
  asio::awaitable<Result<smtp::Reply>> say(std::string line) {
    const auto written = co_await stream_.write(line);
    if (!written) co_return written.error();
    co_return co_await read();
  }
  asio::awaitable<Result<smtp::Reply>> read() {
    std::array<char, 4096> octets;  // NOLINT: uninitialized on purpose, read_some fills it
    for (;;) {
      auto reply = replies_.next();
      if (!reply) co_return reply.error();
      if (*reply) co_return std::move(**reply);
      const auto got = co_await stream_.read_some(octets);
      if (!got) co_return got.error();
      replies_.feed({octets.data(), *got});
    }
  }

  net::Stream& stream_;
  std::string hostname_;
  smtp::ReplyParser replies_;
};

struct Where {
  net::Endpoint at;
  hop::Connect plan;
};

asio::awaitable<Result<Live>> handshake(Tools tools, Where where) {
  const auto& options = tools.options;
  const auto source = where.at.ip.is_v4() ? options.source_ipv4 : options.source_ipv6;
  const auto deadline = std::chrono::steady_clock::now() + options.connect_timeout;
  auto stream = co_await net::connect(where.at, deadline, source);
  if (!stream) co_return stream.error();
  stream->expires_after(options.command_timeout);
  if (where.at.port == 25 || where.at.port == 587) {
    Opening opening(*stream, options.hostname.text());
    const auto opened = co_await opening.start_tls();
    if (!opened) co_return opened.error();
  }
  auto made = co_await tools.tls->handshake(*stream, where.plan);
  if (!made.session) co_return fail(errc::protocol_error, made.failure ? made.failure->text : "the handshake failed");
  Live live;
  live.ip = where.at.ip;
  live.tls = made.session->version;
  live.chain = net::peer_chain(*stream);
  if (made.dane) {
    live.matched = made.dane->matched;
    live.defects = made.dane->defects;
  }
  stream->close();
  if (live.chain.empty()) co_return fail(errc::protocol_error, "the server presented no certificate");
  co_return live;
}

hop::HostFacts literal_facts(const Ip& ip) {
  hop::HostFacts facts;
  facts.origin = hop::HostFacts::Origin::literal;
  facts.addresses = {ip};
  return facts;
}

asio::awaitable<hop::HostFacts> look(route::Router& router, dns::Name name, std::uint16_t port) {
  route::Host host;
  host.origin = route::Host::Origin::route_name;
  host.name = std::move(name);
  host.port = port;
  co_return co_await router.look(std::move(host));
}

hop::Connect plan_for(const dns::Name& name, const hop::TlsaFact& published, const std::vector<dns::Tlsa>& usable) {
  hop::Connect plan;
  plan.policy = hop::Policy::dane;
  plan.tls = hop::Tls::must;
  plan.on_failure = hop::OnFailure::next_host;
  plan.sni = name;
  if (usable.empty()) return plan;
  dane::NameState names;
  names.base = published.base;
  names.host = name;
  names.from = dane::NameState::From::no_mx;
  plan.dane = hop::DaneCheck{published.base, usable, dane::reference_names(names)};
  plan.sni = published.base;
  return plan;
}

}  // namespace

asio::awaitable<Result<Live>> look_live(Tools tools, LiveTarget target) {
  const auto* host = std::get_if<dns::Name>(&target.host);
  hop::HostFacts facts;
  if (host != nullptr) {
    facts = co_await look(tools.router, *host, target.port);
  } else {
    facts = literal_facts(std::get<Ip>(target.host));
  }
  if (facts.addresses.empty()) co_return fail(errc::host_unreachable, facts.why_no_address);
  dns::Name name = target.name ? *target.name : host != nullptr ? *host : dns::Name();
  hop::TlsaFact published = facts.tlsa;
  if (target.name && (host == nullptr || *target.name != *host)) {
    const auto named = co_await look(tools.router, *target.name, target.port);
    published = named.tlsa;
  }
  std::vector<dns::Tlsa> usable;
  if (published.state == hop::TlsaFact::State::present) usable = dane::usable(published.records);
  Error last = fail(errc::host_unreachable, "no address was tried");
  for (const Ip& ip : facts.addresses) {
    Where where;
    where.at = net::Endpoint{ip, target.port};
    where.plan = plan_for(name, published, usable);
    auto live = co_await handshake(tools, std::move(where));
    if (!live) {
      last = fail(live.error().code, net::Endpoint{ip, target.port}.text() + ": " + live.error().detail);
      continue;
    }
    live->name = std::move(name);
    live->published = std::move(published);
    live->usable = std::move(usable);
    co_return live;
  }
  co_return last;
}

}  // namespace hoplock::probe
