// SPDX-License-Identifier: Apache-2.0
#include "daemon/options.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "config/syslog.h"
#include "daemon/system.h"
#include "reports/returned.h"
#include "store_sqlite/ledger.h"
#include "store_sqlite/mail_store.h"
#include "store_sqlite/partners.h"
#include "store_sqlite/policies.h"
#include "store_sqlite/quota.h"
#include "store_sqlite/readers.h"
#include "store_sqlite/report_mails.h"
#include "store_sqlite/statistics.h"

namespace hoplock::daemon {

namespace {

std::string in_data_dir(const config::Config& config, const std::string& file) {
  return (std::filesystem::path(config.data_dir.path) / file).string();
}

// "*.contoso.com" stays a name whose first label is "*".
std::vector<dns::Name> names(const std::vector<config::Pattern>& from) {
  std::vector<dns::Name> found;
  for (const auto& one : from) {
    if (auto name = dns::Name::parse(one.text())) found.push_back(std::move(*name));
  }
  return found;
}

// "*" among them means any, as the empty list does.
std::vector<dns::Name> sender_domains(const std::vector<config::Pattern>& from) {
  for (const auto& one : from) {
    if (one.kind == dns::Pattern::Kind::any) return {};
  }
  return names(from);
}

route::Route route_from(const config::Route& from) {
  route::Route to;
  to.match.assign(from.match.begin(), from.match.end());
  for (const auto& one : from.hosts) to.hosts.push_back({one.target, one.port});
  to.tls = from.tls;
  to.verify_names = names(from.verify_names);
  to.client_certificate = from.client_certificate.path;
  to.client_key = from.client_key.path;
  to.dane = from.dane;
  to.mta_sts = from.mta_sts;
  if (from.until) to.until = from.until->day;
  to.note = from.note;
  to.username = from.username;
  to.password_file = from.password_file.path;
  to.limits.sessions = from.sessions;
  to.limits.messages_per_session = from.messages_per_session;
  if (from.rate) to.limits.rate = route::Rate{static_cast<std::uint32_t>(from.rate->amount), from.rate->period};
  return to;
}

delivery::SourceRule source_from(const config::Source& from) {
  delivery::SourceRule to;
  to.senders.assign(from.senders.begin(), from.senders.end());
  to.match.assign(from.match.begin(), from.match.end());
  to.ipv4 = from.ipv4;
  to.ipv6 = from.ipv6;
  to.hostname = from.hostname;
  return to;
}

route::AddressFamily family(config::AddressFamily from) {
  switch (from) {
    case config::AddressFamily::any:
      return route::AddressFamily::any;
    case config::AddressFamily::ipv4:
      return route::AddressFamily::ipv4;
    case config::AddressFamily::ipv6:
      return route::AddressFamily::ipv6;
    case config::AddressFamily::prefer_ipv4:
      return route::AddressFamily::prefer_ipv4;
    case config::AddressFamily::prefer_ipv6:
      return route::AddressFamily::prefer_ipv6;
  }
  return route::AddressFamily::any;
}

route::LocalTargets local_targets(const config::Config& config) {
  return config.dns.local_targets == config::LocalTargets::allow ? route::LocalTargets::allow
                                                                 : route::LocalTargets::refuse;
}

smtp::TlsMode tls_mode(config::ListenerTls from) {
  switch (from) {
    case config::ListenerTls::none:
      return smtp::TlsMode::none;
    case config::ListenerTls::starttls:
      return smtp::TlsMode::starttls;
    case config::ListenerTls::required:
      return smtp::TlsMode::required;
    case config::ListenerTls::implicit:
      return smtp::TlsMode::implicit;
  }
  return smtp::TlsMode::starttls;
}

std::optional<listener::Rate> rate(const std::optional<config::Rate>& from) {
  if (!from) return std::nullopt;
  return listener::Rate{from->amount, from->period};
}

listener::Address address(const config::Listener& from, const net::CertificateFiles& self_signed) {
  listener::Address to;
  to.at = {from.address.ip, from.address.port};
  to.tls = tls_mode(from.tls);
  to.certificate =
      from.certificate.path.empty() ? self_signed : net::CertificateFiles{from.certificate.path, from.key.path};
  to.allow = from.allow;
  if (from.auth) to.users_file = from.users_file.path;
  to.client_ca = from.client_ca.path;
  to.client_names = names(from.client_names);
  to.senders = sender_domains(from.senders);
  to.bare_newline =
      from.bare_newline == config::BareNewline::normalize ? smtp::BareNewline::normalize : smtp::BareNewline::reject;
  return to;
}

}  // namespace

dns::Name hostname(const config::Config& config) {
  return config.hostname.is_root() ? system_hostname() : config.hostname;
}

smtp::Mailbox postmaster(const config::Config& config) {
  for (const auto& text : {config.postmaster, "postmaster@" + hostname(config).text()}) {
    auto parsed = smtp::Mailbox::parse(text);
    const auto* mailbox = std::get_if<smtp::Mailbox>(&parsed);
    if (mailbox != nullptr && !mailbox->is_null()) return *mailbox;
  }
  return {};
}

std::string database_path(const config::Config& config) { return in_data_dir(config, "queue.db"); }
store::ReadersPtr readers(const config::Config& config) { return store_sqlite::readers_of(database_path(config)); }
std::string control_path(const config::Config& config) { return in_data_dir(config, config.control_socket); }
net::CertificateFiles self_signed_files(const config::Config& config) {
  return {in_data_dir(config, "self-signed.crt"), in_data_dir(config, "self-signed.key")};
}

std::vector<route::OwnAddress> own_addresses(const std::vector<net::Endpoint>& bound,
                                             const std::vector<Ip>& interfaces) {
  std::vector<route::OwnAddress> own;
  for (const auto& one : bound) {
    if (!one.ip.is_unspecified()) {
      own.push_back({one.ip, one.port});
      continue;
    }
    for (const auto& ip : interfaces) {
      if (ip.is_v4() == one.ip.is_v4() && !ip.is_loopback()) own.push_back({ip, one.port});
    }
  }
  return own;
}

std::vector<net::Endpoint> endpoints(const config::Config& config) {
  std::vector<net::Endpoint> found;
  for (const auto& one : config.listeners) found.push_back({one.address.ip, one.address.port});
  return found;
}

LogOptions log_options(const config::Config& config) {
  const auto format = config.log.format == config::LogFormat::json ? LineFormat::json : LineFormat::logfmt;
  LogOptions to{config.log.level, format, config.log.file.path, std::nullopt};
  if (auto server = config::parse_syslog(config.log.syslog))
    to.syslog = SyslogOptions{std::move(*server), config.tls.ca_file.path, hostname(config).text()};
  return to;
}

net::TlsOptions tls_options(const config::Config& config) {
  const bool only_13 = config.tls.min_version == config::TlsVersion::tls13;
  return {config.tls.ca_file.path, only_13 ? net::TlsVersion::tls13 : net::TlsVersion::tls12};
}

resolver::Options resolver_options(const config::Config& config) {
  resolver::Options to;
  to.trust_anchor = config.dns.trust_anchor.path;
  to.root_hints = config.dns.root_hints.path;
  for (const auto& one : config.dns.forward) to.forward.push_back({one.ip, one.port});
  to.unbound_conf = config.dns.unbound_conf.path;
  to.timeout = config.dns.timeout.value;
  return to;
}

route::Options route_options(const config::Config& config, std::vector<route::OwnAddress> own) {
  route::Options to;
  for (const auto& one : config.routes) to.routes.push_back(route_from(one));
  to.security.dane = config.security.dane;
  to.security.mta_sts = config.security.mta_sts;
  to.security.default_tls = config.security.default_tls;
  to.port = config.delivery.port;
  to.address_family = family(config.delivery.address_family);
  to.local_targets = local_targets(config);
  to.hostname = hostname(config);
  to.own_addresses = std::move(own);
  return to;
}

route::PolicyOptions policy_options(const config::Config& config) {
  using Upkeep = route::PolicyOptions::Upkeep;
  const bool used = config.security.mta_sts != hop::Mode::off ||
                    std::any_of(config.routes.begin(), config.routes.end(), [](const config::Route& route) {
                      return route.mta_sts.value_or(hop::Mode::off) != hop::Mode::off;
                    });
  return {std::chrono::duration_cast<Seconds>(config.mta_sts.refresh.value), used ? Upkeep::on : Upkeep::off};
}

route::FetchOptions fetch_options(const config::Config& config) {
  route::FetchOptions to;
  to.https_port = config.mta_sts.https_port;
  to.timeout = config.mta_sts.fetch_timeout.value;
  to.local_targets = local_targets(config);
  to.address_family = family(config.delivery.address_family);
  to.source_ipv4 = config.delivery.source_ipv4;
  to.source_ipv6 = config.delivery.source_ipv6;
  return to;
}

Result<tlsrpt::Submitter> submitter(const config::Config& config) {
  const std::string host = hostname(config).text();
  const auto& from = config.tls_rpt;
  const std::string sender = from.from.empty() ? "tlsrpt@" + host : from.from;
  return tlsrpt::Submitter::make(from.organization.empty() ? host : from.organization,
                                 from.contact.empty() ? sender : from.contact, sender);
}

// In the order in which they came to be: a database counts how many of the list it has had.
disk::Options disk_options(const config::Config& config) {
  disk::Options to;
  to.directory = config.data_dir.path;
  to.ballast_bytes = std::uint64_t{16} << 20U;
  to.migrations = store_sqlite::mail_migrations();
  for (const auto& migration : store_sqlite::policy_migrations()) to.migrations.push_back(migration);
  for (const auto& migration : store_sqlite::ledger_migrations()) to.migrations.push_back(migration);
  for (const auto& migration : store_sqlite::quota_migrations()) to.migrations.push_back(migration);
  to.migrations.push_back(store_sqlite::history_migration());
  to.migrations.push_back(store_sqlite::report_mail_migration());
  to.migrations.push_back(store_sqlite::refused_migration());
  to.migrations.push_back(store_sqlite::partner_migration());
  to.migrations.push_back(store_sqlite::statistics_migration());
  to.migrations.push_back(store_sqlite::statistics_batch_migration());
  return to;
}

bool uses_mx(const config::Config& config) {
  for (const auto& route : config.routes) {
    if (route.hosts.empty()) return true;
    const auto is_any = [](const config::Pattern& pattern) { return pattern.kind == dns::Pattern::Kind::any; };
    if (!route.until && std::any_of(route.match.begin(), route.match.end(), is_any)) return false;
  }
  return true;
}

bool has_named_hosts(const config::Config& config) {
  const auto routes = route_options(config, {}).routes;
  return std::ranges::any_of(routes, [](const route::Route& route) {
    return std::ranges::any_of(route.hosts,
                               [](const route::NextHop& next) { return std::holds_alternative<dns::Name>(next.host); });
  });
}

queue::Options queue_options(const config::Config& config) {
  queue::Options to;
  to.min_free_space = config.limits.min_free_space.octets;
  if (config.history.keep.value.count() > 0) to.history = store::Recording::on;
  return to;
}

delivery::Options delivery_options(const config::Config& config) {
  const auto& from = config.delivery;
  delivery::Options to;
  to.hostname = hostname(config);
  to.source_ipv4 = from.source_ipv4;
  to.source_ipv6 = from.source_ipv6;
  for (const auto& one : config.sources) to.sources.push_back(source_from(one));
  to.sessions = from.sessions;
  to.sessions_per_domain = from.sessions_per_domain;
  to.sessions_per_host = from.sessions_per_host;
  to.addresses_per_attempt = from.addresses_per_attempt;
  to.sessions_per_attempt = from.sessions_per_attempt;
  to.attempt_timeout = from.attempt_timeout.value;
  to.reputation_hold = from.reputation_hold;
  to.messages_per_session = from.messages_per_session;
  to.idle_session = from.idle_session.value;
  to.connect_timeout = from.connect_timeout.value;
  to.command_timeout = from.command_timeout.value;
  to.data_timeout = from.data_timeout.value;
  to.retry = {from.retry.first.value, from.retry.factor, from.retry.max.value, from.retry.jitter};
  to.expire = from.expire.value;
  to.expire_bounces = from.expire_bounces.value;
  to.delay_notice = from.delay_notice.value;
  to.postmaster = postmaster(config).text();
  to.counting = {config.tls_rpt.enabled, config.tls_rpt.public_ipv4, config.tls_rpt.public_ipv6, {}};
  if (config.security.tls_required_no == config::Honor::ignore) to.tls_required_no = delivery::TlsRequiredNo::ignore;
  to.counting.except.assign(config.tls_rpt.except.begin(), config.tls_rpt.except.end());
  return to;
}

reports::PostOptions post_options(const config::Config& config) {
  using Families = reports::PostOptions::Families;
  reports::PostOptions to;
  if (local_targets(config) == route::LocalTargets::allow) to.internal = reports::PostOptions::Internal::allow;
  if (config.delivery.address_family == config::AddressFamily::ipv4) to.families = Families::v4;
  if (config.delivery.address_family == config::AddressFamily::ipv6) to.families = Families::v6;
  to.source_ipv4 = config.delivery.source_ipv4;
  to.source_ipv6 = config.delivery.source_ipv6;
  return to;
}

std::optional<reports::SenderOptions> sender_options(const config::Config& config) {
  auto by = submitter(config);
  if (!config.tls_rpt.enabled || !by) return std::nullopt;
  const auto& from = config.tls_rpt;
  reports::SenderOptions to;
  to.submitter = std::move(*by);
  to.from = from.from.empty() ? "tlsrpt@" + hostname(config).text() : from.from;
  to.send_at = from.send_at.since_midnight;
  to.spread = from.spread.value;
  to.keep = std::chrono::ceil<std::chrono::days>(from.keep.value);
  return to;
}

std::optional<dns::Name> report_domain(const config::Config& config) {
  const auto options = sender_options(config);
  return options ? std::optional(options->submitter.domain) : std::nullopt;
}

listener::Options listener_options(const config::Config& config) {
  listener::Options to;
  const auto self_signed = self_signed_files(config);
  for (const auto& one : config.listeners) to.addresses.push_back(address(one, self_signed));
  const auto& from = config.limits;
  to.limits.message_size = from.message_size.octets;
  to.limits.recipients = from.recipients;
  to.limits.connections = from.connections;
  to.limits.connections_per_client = from.connections_per_client;
  to.limits.messages_per_connection = from.messages_per_connection;
  to.limits.command_timeout = from.command_timeout.value;
  to.limits.data_timeout = from.data_timeout.value;
  to.limits.received_headers = from.received_headers;
  to.senders_limit = {rate(config.senders_limit.rate), rate(config.senders_limit.recipients)};
  to.hostname = hostname(config);
  to.postmaster = postmaster(config);
  if (const auto reports = sender_options(config)) {
    auto sender = smtp::Mailbox::parse(reports->from);
    if (auto* mailbox = std::get_if<smtp::Mailbox>(&sender)) to.report_sender = std::move(*mailbox);
  }
  return to;
}

std::uint32_t connections_within(const config::Config& config, std::uint64_t descriptors) {
  constexpr std::uint64_t others =
      256;  // files of the store, sockets of look-ups, policy and report hosts, the page and the tool
  const std::uint64_t taken = others + config.delivery.sessions;
  const std::uint64_t left = std::max(descriptors > taken ? descriptors - taken : 0, descriptors / 4);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(left, config.limits.connections));
}

}  // namespace hoplock::daemon
