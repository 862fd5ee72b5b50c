// SPDX-License-Identifier: Apache-2.0
// The whole of hoplock.yaml as one value: every key of CONTRACT with its default. Each section lists its keys once, in
// `fields`; reading (reader.h) and printing (show.h) both walk that list, so a key cannot be in one and not in the
// other.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/log.h"
#include "config/store.h"
#include "config/values.h"
#include "hop/facts.h"

namespace hoplock::config {

enum class LogFormat : std::uint8_t { logfmt, json };
enum class ListenerTls : std::uint8_t { none, starttls, required, implicit };
enum class DkimSign : std::uint8_t { when_published, always };
enum class BareNewline : std::uint8_t { reject, normalize };
enum class LocalTargets : std::uint8_t { refuse, allow };
enum class TlsVersion : std::uint8_t { tls12, tls13 };
enum class Honor : std::uint8_t { honor, ignore };
enum class AddressFamily : std::uint8_t { any, ipv4, ipv6, prefer_ipv4, prefer_ipv6 };

struct LogSection {
  Level level = Level::info;
  LogFormat format = LogFormat::logfmt;
  OutputPath file{"-"};
  std::string syslog;
  template <class V>
  void fields(V& v) {
    v.key("level", level).key("format", format).key("file", file).key("syslog", syslog);
  }
};

struct Listener {
  Endpoint address{Ip::from_octets(std::string("\x7f\0\0\1", 4)), 2525};
  ListenerTls tls = ListenerTls::starttls;
  InputFile certificate;
  InputFile key;
  std::vector<Network> allow{*Network::parse("127.0.0.0/8"), *Network::parse("::1")};
  bool auth = false;
  InputFile users_file;
  InputFile client_ca;
  std::vector<Pattern> client_names;
  std::vector<Pattern> senders;
  BareNewline bare_newline = BareNewline::reject;
  template <class V>
  void fields(V& v) {
    v.key("address", address).key("tls", tls).key("certificate", certificate).key("key", key).key("allow", allow);
    v.key("auth", auth).key("users_file", users_file).key("client_ca", client_ca).key("client_names", client_names);
    v.key("senders", senders).key("bare_newline", bare_newline);
  }
};

struct Limits {
  Size message_size{50ULL << 20U};
  std::uint32_t recipients = 1000;
  std::uint32_t connections = 1000;
  std::uint32_t connections_per_client = 100;
  std::uint32_t messages_per_connection = 1000;
  Duration command_timeout{std::chrono::minutes{5}};
  Duration data_timeout{std::chrono::minutes{3}};
  Size min_free_space{256ULL << 20U};
  std::uint32_t received_headers = 50;
  template <class V>
  void fields(V& v) {
    v.key("message_size", message_size).key("recipients", recipients).key("connections", connections);
    v.key("connections_per_client", connections_per_client).key("messages_per_connection", messages_per_connection);
    v.key("command_timeout", command_timeout).key("data_timeout", data_timeout).key("min_free_space", min_free_space);
    v.key("received_headers", received_headers);
  }
};

struct Dns {
  InputFile trust_anchor{"/usr/share/dns/root.key"};
  InputFile root_hints{"/usr/share/dns/root.hints"};
  std::vector<Forwarder> forward;
  InputFile unbound_conf;
  Duration timeout{std::chrono::seconds{20}};
  LocalTargets local_targets = LocalTargets::refuse;
  template <class V>
  void fields(V& v) {
    v.key("trust_anchor", trust_anchor)
        .key("root_hints", root_hints)
        .key("forward", forward)
        .key("unbound_conf", unbound_conf);
    v.key("timeout", timeout).key("local_targets", local_targets);
  }
};

struct Tls {
  InputFile ca_file{"/etc/ssl/certs/ca-certificates.crt"};
  TlsVersion min_version = TlsVersion::tls12;
  template <class V>
  void fields(V& v) {
    v.key("ca_file", ca_file).key("min_version", min_version);
  }
};

struct Security {
  hop::Mode dane = hop::Mode::enforce;
  hop::Mode mta_sts = hop::Mode::enforce;
  hop::DefaultTls default_tls = hop::DefaultTls::opportunistic;
  Honor tls_required_no = Honor::honor;
  template <class V>
  void fields(V& v) {
    v.key("dane", dane).key("mta_sts", mta_sts).key("default_tls", default_tls);
    v.key("tls_required_no", tls_required_no);
  }
};

struct MtaSts {
  std::uint16_t https_port = 443;
  Duration fetch_timeout{std::chrono::seconds{60}};
  Duration refresh{std::chrono::hours{24}};
  template <class V>
  void fields(V& v) {
    v.key("https_port", https_port).key("fetch_timeout", fetch_timeout).key("refresh", refresh);
  }
};

struct Retry {
  Duration first{std::chrono::minutes{5}};
  double factor = 2;
  Duration max{std::chrono::hours{4}};
  double jitter = 0.1;
  template <class V>
  void fields(V& v) {
    v.key("first", first).key("factor", factor).key("max", max).key("jitter", jitter);
  }
};

struct Delivery {
  std::uint16_t port = 25;
  std::optional<Ip> source_ipv4;
  std::optional<Ip> source_ipv6;
  AddressFamily address_family = AddressFamily::any;
  std::uint32_t sessions = 200;
  std::uint32_t sessions_per_domain = 20;
  std::uint32_t sessions_per_host = 20;
  std::uint32_t addresses_per_attempt = 5;
  std::uint32_t sessions_per_attempt = 2;
  Duration attempt_timeout{std::chrono::minutes{30}};
  bool reputation_hold = true;
  std::uint32_t messages_per_session = 100;
  Duration idle_session{std::chrono::seconds{5}};
  Duration connect_timeout{std::chrono::seconds{30}};
  Duration command_timeout{std::chrono::minutes{5}};
  Duration data_timeout{std::chrono::minutes{10}};
  Retry retry;
  Duration expire{std::chrono::days{5}};
  Duration expire_bounces{std::chrono::days{1}};
  Duration delay_notice{std::chrono::hours{4}};
  template <class V>
  void fields(V& v) {
    v.key("port", port)
        .key("source_ipv4", source_ipv4)
        .key("source_ipv6", source_ipv6)
        .key("address_family", address_family);
    v.key("sessions", sessions)
        .key("sessions_per_domain", sessions_per_domain)
        .key("sessions_per_host", sessions_per_host)
        .key("messages_per_session", messages_per_session);
    v.key("addresses_per_attempt", addresses_per_attempt)
        .key("sessions_per_attempt", sessions_per_attempt)
        .key("attempt_timeout", attempt_timeout)
        .key("reputation_hold", reputation_hold);
    v.key("idle_session", idle_session).key("connect_timeout", connect_timeout).key("command_timeout", command_timeout);
    v.key("data_timeout", data_timeout).key("retry", retry).key("expire", expire);
    v.key("expire_bounces", expire_bounces).key("delay_notice", delay_notice);
  }
};

struct Route {
  std::vector<Pattern> match;
  std::vector<Host> hosts;
  std::optional<hop::RouteTls> tls;
  std::vector<Pattern> verify_names;
  InputFile client_certificate;
  InputFile client_key;
  std::optional<hop::Mode> dane;
  std::optional<hop::Mode> mta_sts;
  std::optional<Date> until;
  std::string note;
  std::string username;
  InputFile password_file;
  std::optional<std::uint32_t> sessions;
  std::optional<std::uint32_t> messages_per_session;
  std::optional<Rate> rate;
  template <class V>
  void fields(V& v) {
    v.required("match", match).key("hosts", hosts).key("tls", tls).key("verify_names", verify_names);
    v.key("client_certificate", client_certificate)
        .key("client_key", client_key)
        .key("dane", dane)
        .key("mta_sts", mta_sts);
    v.key("until", until).key("note", note).key("username", username).key("password_file", password_file);
    v.key("sessions", sessions).key("messages_per_session", messages_per_session).key("rate", rate);
  }
};

struct Source {
  std::vector<Pattern> senders;
  std::vector<Pattern> match;
  std::optional<Ip> ipv4;
  std::optional<Ip> ipv6;
  dns::Name hostname;
  template <class V>
  void fields(V& v) {
    v.key("senders", senders).key("match", match).key("ipv4", ipv4).key("ipv6", ipv6).key("hostname", hostname);
  }
};

struct Dkim {
  dns::Name domain;
  std::string selector;
  InputFile key;
  DkimSign sign = DkimSign::when_published;
  template <class V>
  void fields(V& v) {
    v.required("domain", domain).required("selector", selector).required("key", key).key("sign", sign);
  }
  bool operator==(const Dkim&) const = default;
};

struct TlsRpt {
  bool enabled = true;
  std::string organization;
  std::string contact;
  std::string from;
  std::optional<Ip> public_ipv4;
  std::optional<Ip> public_ipv6;
  std::vector<Pattern> except;
  TimeOfDay send_at{std::chrono::minutes{30}};
  Duration spread{std::chrono::hours{4}};
  Duration keep{std::chrono::days{30}};
  template <class V>
  void fields(V& v) {
    v.key("enabled", enabled).key("organization", organization).key("contact", contact).key("from", from);
    v.key("public_ipv4", public_ipv4).key("public_ipv6", public_ipv6).key("except", except);
    v.key("send_at", send_at).key("spread", spread).key("keep", keep);
  }
};

struct History {
  Duration keep{std::chrono::days{30}};
  template <class V>
  void fields(V& v) {
    v.key("keep", keep);
  }
};

struct Http {
  std::optional<Endpoint> address;
  std::vector<std::string> hosts;
  InputFile certificate;
  InputFile key;
  InputFile users_file;
  std::string trusted_proxy_header;
  template <class V>
  void fields(V& v) {
    v.key("address", address).key("hosts", hosts).key("certificate", certificate).key("key", key);
    v.key("users_file", users_file).key("trusted_proxy_header", trusted_proxy_header);
  }
};

struct SendersLimit {
  std::optional<Rate> rate;
  std::optional<Rate> recipients;
  template <class V>
  void fields(V& v) {
    v.key("rate", rate).key("recipients", recipients);
  }
};

struct Node : NodeSettings {
  template <class V>
  void fields(V& v) {
    v.key("name", name).key("accept", accept).key("deliver", deliver);
  }
};

struct Config {
  dns::Name hostname;  // root until the reader or the daemon fills in the system's name
  std::string postmaster;
  OutputPath data_dir{"/var/lib/hoplock"};
  std::string control_socket = "control.sock";  // relative to data_dir
  StoreSettings store;
  Node node;
  Duration shutdown_timeout{std::chrono::seconds{10}};
  LogSection log;
  std::vector<Listener> listeners{Listener{}};
  Limits limits;
  Dns dns;
  Tls tls;
  Security security;
  MtaSts mta_sts;
  Delivery delivery;
  std::vector<Route> routes;
  std::vector<Source> sources;
  SendersLimit senders_limit;
  std::vector<Dkim> dkim;
  TlsRpt tls_rpt;
  History history;
  Http http;
  template <class V>
  void fields(V& v) {
    v.key("hostname", hostname)
        .key("postmaster", postmaster)
        .key("data_dir", data_dir)
        .key("control_socket", control_socket);
    v.key("store", store.place)
        .key("store_password_file", store.password_file)
        .key("store_tls", store.tls)
        .key("store_ca_file", store.ca_file)
        .key("store_synchronous", store.synchronous)
        .key("node", node);
    v.key("shutdown_timeout", shutdown_timeout)
        .key("log", log)
        .key("listeners", listeners)
        .key("limits", limits)
        .key("dns", dns);
    v.key("tls", tls)
        .key("security", security)
        .key("mta_sts", mta_sts)
        .key("delivery", delivery)
        .key("routes", routes)
        .key("sources", sources)
        .key("senders_limit", senders_limit)
        .key("history", history);
    v.key("dkim", dkim).key("tls_rpt", tls_rpt).key("http", http);
  }
};

}  // namespace hoplock::config
