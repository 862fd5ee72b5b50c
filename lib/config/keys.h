// SPDX-License-Identifier: Apache-2.0
// The table of keys: each is one row that names the member that it sets. Reading, printing, and finding the files that a configuration names
// are walks over it, so that a key cannot be in one and not in the other. A row says with a view (values.h) what its member's type does not:
// that a text is a file, a number a size. For this module's own sources.
#pragma once
#include "config/config.h"
#include "config/values.h"

namespace hoplock::config {

using Kind = FileKind;

template <class V>
void listener_keys(V& v, Listener& one) {
  v.key("address", one.at).key("tls", one.tls);
  v.key("certificate", File{one.certificate.certificate, Kind::certificate});
  v.key("key", File{one.certificate.key, Kind::key});
  v.key("allow", one.allow).key("auth", one.auth).key("users_file", File{one.users_file, Kind::password});
  v.key("client_ca", File{one.client_ca, Kind::certificate}).key("client_names", Names{one.client_names});
  v.key("senders", Names{one.senders}).key("bare_newline", one.bare_newline);
}

template <class V>
void limits_keys(V& v, Config& c) {
  auto& limits = c.limits;
  v.key("message_size", Size{limits.message_size}).key("recipients", limits.recipients);
  v.key("connections", limits.connections).key("connections_per_client", limits.connections_per_client);
  v.key("messages_per_connection", limits.messages_per_connection);
  v.key("command_timeout", Positive{limits.command_timeout}).key("data_timeout", Positive{limits.data_timeout});
  v.key("min_free_space", Size{c.queue.min_free_space}).key("received_headers", limits.received_headers);
}

template <class V>
void dns_keys(V& v, Config& c) {
  v.key("trust_anchor", File{c.dns.trust_anchor}).key("root_hints", File{c.dns.root_hints});
  v.key("forward", c.dns.forward).key("unbound_conf", File{c.dns.unbound_conf});
  v.key("timeout", Positive{c.dns.timeout}).key("local_targets", c.route.local_targets);
}

template <class V>
void delivery_keys(V& v, Config& c) {
  auto& to = c.delivery;
  v.key("port", c.route.port).key("source_ipv4", Ipv4{to.source_ipv4}).key("source_ipv6", Ipv6{to.source_ipv6});
  v.key("address_family", c.route.address_family).key("sessions", to.sessions);
  v.key("sessions_per_domain", to.sessions_per_domain).key("sessions_per_host", to.sessions_per_host);
  v.key("messages_per_session", to.messages_per_session).key("addresses_per_attempt", to.addresses_per_attempt);
  v.key("sessions_per_attempt", to.sessions_per_attempt).key("attempt_timeout", Positive{to.attempt_timeout});
  v.key("reputation_hold", to.reputation_hold).key("idle_session", to.idle_session);
  v.key("connect_timeout", Positive{to.connect_timeout}).key("command_timeout", Positive{to.command_timeout});
  v.key("data_timeout", Positive{to.data_timeout});
  v.section("retry", [&to](auto& in) {
    in.key("first", to.retry.first).key("factor", to.retry.factor).key("max", to.retry.max);
    in.key("jitter", to.retry.jitter);
  });
  v.key("expire", Positive{to.expire}).key("expire_bounces", to.expire_bounces).key("delay_notice", to.delay_notice);
}

template <class V>
void route_keys(V& v, route::Route& one) {
  v.required("match", one.match).key("hosts", one.hosts).key("tls", one.tls);
  v.key("verify_names", Names{one.verify_names});
  v.key("client_certificate", File{one.client_certificate, Kind::certificate});
  v.key("client_key", File{one.client_key, Kind::key}).key("dane", one.dane).key("mta_sts", one.mta_sts);
  v.key("until", one.until).key("note", one.note).key("username", one.username);
  v.key("password_file", File{one.password_file, Kind::password}).key("sessions", one.limits.sessions);
  v.key("messages_per_session", one.limits.messages_per_session).key("rate", one.limits.rate);
}

template <class V>
void source_keys(V& v, delivery::SourceRule& one) {
  v.key("senders", one.senders).key("match", one.match).key("ipv4", Ipv4{one.ipv4}).key("ipv6", Ipv6{one.ipv6});
  v.key("hostname", one.hostname);
}

template <class V>
void tls_rpt_keys(V& v, Config& c) {
  auto& counting = c.delivery.counting;
  v.key("enabled", counting.enabled).key("organization", c.tls_rpt.organization).key("contact", c.tls_rpt.contact);
  v.key("from", c.tls_rpt.from).key("public_ipv4", Ipv4{counting.public_ipv4});
  v.key("public_ipv6", Ipv6{counting.public_ipv6}).key("except", counting.except);
  v.key("send_at", TimeOfDay{c.tls_rpt.send_at}).key("spread", c.tls_rpt.spread).key("keep", c.tls_rpt.keep);
}

template <class V>
void http_keys(V& v, Http& http) {
  v.key("address", http.address).key("hosts", http.hosts);
  v.key("certificate", File{http.certificate.certificate, Kind::certificate});
  v.key("key", File{http.certificate.key, Kind::key}).key("users_file", File{http.users_file, Kind::password});
  v.key("trusted_proxy_header", http.trusted_proxy_header);
}

template <class V>
void keys(V& v, Config& c) {
  v.key("hostname", c.hostname).key("postmaster", c.postmaster).key("data_dir", Path{c.data_dir});
  v.key("control_socket", c.control_socket).key("store", c.store.place);
  v.key("store_password_file", File{c.store.password_file, Kind::password}).key("store_tls", c.store.tls);
  v.key("store_ca_file", File{c.store.ca_file}).key("store_synchronous", c.store.synchronous);
  v.section("node", [&node = c.node](auto& in) {
    in.key("name", node.name).key("accept", node.accept).key("deliver", node.deliver);
  });
  v.key("shutdown_timeout", c.shutdown_timeout);
  v.section("log", [&log = c.log](auto& in) {
    in.key("level", log.level).key("format", log.format).key("file", Path{log.file}).key("syslog", log.syslog);
  });
  v.list("listeners", c.listeners, [](auto& in, Listener& one) { listener_keys(in, one); });
  v.section("limits", [&c](auto& in) { limits_keys(in, c); });
  v.section("dns", [&c](auto& in) { dns_keys(in, c); });
  v.section("tls",
            [&tls = c.tls](auto& in) { in.key("ca_file", File{tls.ca_file}).key("min_version", tls.min_version); });
  v.section("security", [&c](auto& in) {
    auto& rule = c.route.security;
    in.key("dane", rule.dane).key("mta_sts", rule.mta_sts).key("default_tls", rule.default_tls);
    in.key("tls_required_no", c.delivery.tls_required_no);
  });
  v.section("mta_sts", [&c](auto& in) {
    in.key("https_port", c.fetch.https_port).key("fetch_timeout", Positive{c.fetch.timeout});
    in.key("refresh", Positive{c.policies.refresh});
  });
  v.section("delivery", [&c](auto& in) { delivery_keys(in, c); });
  v.list("routes", c.route.routes, [](auto& in, route::Route& one) { route_keys(in, one); });
  v.list("sources", c.delivery.sources, [](auto& in, delivery::SourceRule& one) { source_keys(in, one); });
  v.section("senders_limit", [&limit = c.senders_limit](auto& in) {
    in.key("rate", limit.messages).key("recipients", limit.recipients);
  });
  v.section("history", [&c](auto& in) { in.key("keep", c.history); });
  v.list("dkim", c.dkim, [](auto& in, Dkim& one) {
    in.required("domain", one.domain).required("selector", one.selector);
    in.required("key", File{one.key, Kind::key}).key("sign", one.sign);
  });
  v.section("tls_rpt", [&c](auto& in) { tls_rpt_keys(in, c); });
  v.section("http", [&c](auto& in) { http_keys(in, c.http); });
}

}  // namespace hoplock::config
