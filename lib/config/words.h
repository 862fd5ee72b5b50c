// SPDX-License-Identifier: Apache-2.0
// The words of hoplock.yaml's enumerations, in one table each.
#pragma once
#include <array>
#include <string_view>
#include <utility>

#include "config/config.h"

namespace hoplock::config {

template <class E, std::size_t N>
using Words = std::array<std::pair<std::string_view, E>, N>;

constexpr Words<Level, 5> words(Level) {
  return {{{"trace", Level::trace},
           {"debug", Level::debug},
           {"info", Level::info},
           {"warn", Level::warn},
           {"error", Level::error}}};
}
constexpr Words<LogFormat, 2> words(LogFormat) { return {{{"logfmt", LogFormat::logfmt}, {"json", LogFormat::json}}}; }
constexpr Words<smtp::TlsMode, 4> words(smtp::TlsMode) {
  return {{{"none", smtp::TlsMode::none},
           {"starttls", smtp::TlsMode::starttls},
           {"required", smtp::TlsMode::required},
           {"implicit", smtp::TlsMode::implicit}}};
}
constexpr Words<StoreTls, 3> words(StoreTls) {
  return {{{"verify-full", StoreTls::verify_full}, {"verify-ca", StoreTls::verify_ca}, {"off", StoreTls::off}}};
}
constexpr Words<StoreSynchronous, 3> words(StoreSynchronous) {
  return {{{"require", StoreSynchronous::require},
           {"prefer", StoreSynchronous::prefer},
           {"local", StoreSynchronous::local}}};
}
constexpr Words<DkimSign, 2> words(DkimSign) {
  return {{{"when-published", DkimSign::when_published}, {"always", DkimSign::always}}};
}
constexpr Words<smtp::BareNewline, 2> words(smtp::BareNewline) {
  return {{{"reject", smtp::BareNewline::reject}, {"normalize", smtp::BareNewline::normalize}}};
}
constexpr Words<route::LocalTargets, 2> words(route::LocalTargets) {
  return {{{"refuse", route::LocalTargets::refuse}, {"allow", route::LocalTargets::allow}}};
}
constexpr Words<net::TlsVersion, 2> words(net::TlsVersion) {
  return {{{"TLSv1.2", net::TlsVersion::tls12}, {"TLSv1.3", net::TlsVersion::tls13}}};
}
constexpr Words<delivery::TlsRequiredNo, 2> words(delivery::TlsRequiredNo) {
  return {{{"honor", delivery::TlsRequiredNo::honor}, {"ignore", delivery::TlsRequiredNo::ignore}}};
}
constexpr Words<route::AddressFamily, 5> words(route::AddressFamily) {
  return {{{"any", route::AddressFamily::any},
           {"ipv4", route::AddressFamily::ipv4},
           {"ipv6", route::AddressFamily::ipv6},
           {"prefer-ipv4", route::AddressFamily::prefer_ipv4},
           {"prefer-ipv6", route::AddressFamily::prefer_ipv6}}};
}
constexpr Words<hop::Mode, 3> words(hop::Mode) {
  return {{{"enforce", hop::Mode::enforce}, {"audit", hop::Mode::audit}, {"off", hop::Mode::off}}};
}
constexpr Words<hop::DefaultTls, 2> words(hop::DefaultTls) {
  return {{{"opportunistic", hop::DefaultTls::opportunistic}, {"encrypt", hop::DefaultTls::encrypt}}};
}
constexpr Words<hop::RouteTls, 6> words(hop::RouteTls) {
  return {{{"none", hop::RouteTls::none},
           {"opportunistic", hop::RouteTls::opportunistic},
           {"encrypt", hop::RouteTls::encrypt},
           {"verify", hop::RouteTls::verify},
           {"dane", hop::RouteTls::dane},
           {"dane-only", hop::RouteTls::dane_only}}};
}

template <class E>
std::string_view word(E value) {
  for (const auto& [text, one] : words(value)) {
    if (one == value) return text;
  }
  return "?";
}

}  // namespace hoplock::config
