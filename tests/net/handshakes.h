// SPDX-License-Identifier: Apache-2.0
// Handshakes of ClientTls with a scripted server, for the tests of this folder.
#pragma once
#include <boost/asio.hpp>
#include <string>
#include <vector>

#include "net/connect.h"
#include "net/tls_client.h"
#include "tests/support/loop.h"
#include "tests/support/scripted_peer.h"
#include "tests/support/test_ca.h"

namespace hoplock::tests {

using namespace hoplock::support;
using hop::Reason;

inline dns::Name name(std::string_view text) { return dns::Name::parse(text).value(); }

inline std::vector<dns::Name> names(const std::vector<std::string>& texts) {
  std::vector<dns::Name> result;
  for (const auto& text : texts) result.push_back(name(text));
  return result;
}

inline hop::Connect opportunistic(std::string_view sni = "mx.example") {
  hop::Connect plan;
  plan.sni = name(sni);
  return plan;
}

// The first of `accepted` is the base domain.
inline hop::Connect dane_plan(std::vector<dns::Tlsa> records,
                              const std::vector<std::string>& accepted = {"mx.example"}) {
  hop::Connect plan = opportunistic(accepted.front());
  plan.policy = hop::Policy::dane;
  plan.tls = hop::Tls::must;
  plan.dane = hop::DaneCheck{name(accepted.front()), std::move(records), names(accepted)};
  plan.on_failure = hop::OnFailure::next_host;
  return plan;
}

inline hop::Connect pkix_plan(const std::vector<std::string>& accepted = {"mx.example"}) {
  hop::Connect plan = opportunistic(accepted.empty() ? "mx.example" : accepted.front());
  plan.policy = hop::Policy::route;
  plan.tls = hop::Tls::must;
  plan.pkix = hop::PkixCheck{names(accepted)};
  plan.on_failure = hop::OnFailure::next_host;
  return plan;
}

// Root, intermediate and a good leaf for mx.example; `ca_file` holds the root.
struct Authority {
  TempDir dir;
  Certificate root{{.cn = "Test Root", .ca = true}};
  Certificate intermediate{{.cn = "Test Intermediate", .ca = true}, root};
  Certificate leaf{{.cn = "mx.example", .dns = {"mx.example"}}, intermediate};
  std::string ca_file = dir.write("ca.pem", root.pem());

  Certificate issue(const Recipe& recipe) const { return Certificate(recipe, intermediate); }
};

struct Shown {
  net::Handshake handshake;
  std::vector<std::string> problems;  // of the peer
  std::string received;               // by the peer
};

inline boost::asio::awaitable<net::Handshake> dial(std::uint16_t port, const net::ClientTls& tls, hop::Connect plan,
                                                   std::shared_ptr<const net::ClientCertificate> certificate) {
  const net::Endpoint to{Ip::parse("127.0.0.1").value(), port};
  auto stream = co_await net::connect(to, std::chrono::steady_clock::now() + std::chrono::seconds(5));
  stream.value().expires_after(std::chrono::seconds(5));
  net::Handshake result = co_await tls.handshake(*stream, std::move(plan), std::move(certificate));
  // so that the peer is told what became of its last flight
  if (result.session) {
    const auto said = co_await stream->write("done");
    if (!said) result.session.reset();
  }
  co_await stream->shutdown();
  co_return result;
}

// A handshake under `plan` with a server that follows `script`.
inline Shown shake(const Script& script, const hop::Connect& plan, const net::TlsOptions& options,
                   std::shared_ptr<const net::ClientCertificate> certificate = nullptr) {
  Loop loop;
  const auto tls = net::ClientTls::load(options).value();
  ScriptedPeer peer(script);
  Shown shown;
  shown.handshake = loop.run(dial(peer.port(), *tls, plan, std::move(certificate)));
  shown.problems = peer.finish();
  shown.received = peer.received();
  return shown;
}

// … with a server that shows `leaf` and then `chain`.
inline net::Handshake shake(const Authority& authority, const Certificate& leaf,
                            const std::vector<const Certificate*>& chain, const hop::Connect& plan) {
  const auto files = write_chain(authority.dir, "server", leaf, chain);
  const Script script = Script().start_tls({.files = files}).expect("done");
  return shake(script, plan, {.ca_file = authority.ca_file}).handshake;
}

inline std::vector<Reason> reasons(const std::vector<hop::Refusal>& defects) {
  std::vector<Reason> result;
  for (const auto& defect : defects) result.push_back(defect.reason);
  return result;
}

inline bool passed(const std::optional<hop::DaneVerdict>& verdict) {
  return verdict && verdict->matched && verdict->defects.empty();
}
inline bool passed(const std::optional<hop::PkixVerdict>& verdict) { return verdict && verdict->defects.empty(); }

// The texts of all defects, for messages.
template <class Verdict>
std::string texts(const std::optional<Verdict>& verdict) {
  if (!verdict) return "no verdict";
  std::string all;
  for (const auto& defect : verdict->defects) all += "[" + defect.text + "]";
  return all;
}

}  // namespace hoplock::tests
