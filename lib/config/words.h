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
constexpr Words<ListenerTls, 4> words(ListenerTls) {
  return {{{"none", ListenerTls::none},
           {"starttls", ListenerTls::starttls},
           {"required", ListenerTls::required},
           {"implicit", ListenerTls::implicit}}};
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
constexpr Words<BareNewline, 2> words(BareNewline) {
  return {{{"reject", BareNewline::reject}, {"normalize", BareNewline::normalize}}};
}
constexpr Words<LocalTargets, 2> words(LocalTargets) {
  return {{{"refuse", LocalTargets::refuse}, {"allow", LocalTargets::allow}}};
}
constexpr Words<TlsVersion, 2> words(TlsVersion) {
  return {{{"TLSv1.2", TlsVersion::tls12}, {"TLSv1.3", TlsVersion::tls13}}};
}
constexpr Words<Honor, 2> words(Honor) { return {{{"honor", Honor::honor}, {"ignore", Honor::ignore}}}; }
constexpr Words<AddressFamily, 5> words(AddressFamily) {
  return {{{"any", AddressFamily::any},
           {"ipv4", AddressFamily::ipv4},
           {"ipv6", AddressFamily::ipv6},
           {"prefer-ipv4", AddressFamily::prefer_ipv4},
           {"prefer-ipv6", AddressFamily::prefer_ipv6}}};
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
