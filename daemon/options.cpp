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
#include "store_sqlite/report_mails.h"
#include "store_sqlite/statistics.h"

namespace hoplock::daemon {

namespace {

std::string in_data_dir(const config::Config& config, const std::string& file) {
  return (std::filesystem::path(config.data_dir) / file).string();
}

http::HttpsOptions https_options(const config::Config& config) {
  using Families = resolver::Families;
  http::HttpsOptions to;
  if (config.route.local_targets == route::LocalTargets::allow) to.internal = http::HttpsOptions::Internal::allow;
  if (config.route.address_family == route::AddressFamily::ipv4) to.families = Families::v4;
  if (config.route.address_family == route::AddressFamily::ipv6) to.families = Families::v6;
  to.source_ipv4 = config.delivery.source_ipv4;
  to.source_ipv6 = config.delivery.source_ipv6;
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
  for (const auto& one : config.listeners) found.push_back(one.at);
  return found;
}

LogOptions log_options(const config::Config& config) {
  LogOptions to{config.log.level, config.log.format, config.log.file, std::nullopt};
  if (auto server = config::parse_syslog(config.log.syslog))
    to.syslog = SyslogOptions{std::move(*server), config.tls.ca_file, hostname(config).text()};
  return to;
}

route::Options route_options(const config::Config& config, std::vector<route::OwnAddress> own) {
  route::Options to = config.route;
  to.hostname = hostname(config);
  to.own_addresses = std::move(own);
  return to;
}

route::PolicyOptions policy_options(const config::Config& config) {
  route::PolicyOptions to = config.policies;
  const auto uses_policies = [](const route::Route& route) {
    return route.mta_sts.value_or(hop::Mode::off) != hop::Mode::off;
  };
  const bool used =
      config.route.security.mta_sts != hop::Mode::off || std::ranges::any_of(config.route.routes, uses_policies);
  if (!used) to.upkeep = route::PolicyOptions::Upkeep::off;
  return to;
}

http::HttpsOptions fetch_options(const config::Config& config) {
  http::HttpsOptions to = https_options(config);
  to.timeout = config.fetch.timeout;
  if (config.route.address_family == route::AddressFamily::prefer_ipv6) to.first = http::HttpsOptions::First::v6;
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
  to.directory = config.data_dir;
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
  for (const auto& route : config.route.routes) {
    if (route.hosts.empty()) return true;
    const auto is_any = [](const dns::Pattern& pattern) { return pattern.kind == dns::Pattern::Kind::any; };
    if (!route.until && std::ranges::any_of(route.match, is_any)) return false;
  }
  return true;
}

bool has_named_hosts(const config::Config& config) {
  const auto is_name = [](const route::NextHop& next) { return std::holds_alternative<dns::Name>(next.host); };
  return std::ranges::any_of(config.route.routes,
                             [&](const route::Route& route) { return std::ranges::any_of(route.hosts, is_name); });
}

queue::Options queue_options(const config::Config& config) {
  queue::Options to = config.queue;
  if (config.history.count() > 0) to.history = store::Recording::on;
  if (!config.node.deliver) to.window_messages = 0;  // all of it is for others to send
  return to;
}

delivery::Options delivery_options(const config::Config& config) {
  delivery::Options to = config.delivery;
  to.hostname = hostname(config);
  to.postmaster = postmaster(config).text();
  return to;
}

http::HttpsOptions post_options(const config::Config& config) {
  http::HttpsOptions to = https_options(config);
  to.timeout = std::chrono::seconds(30);
  return to;
}

std::optional<reports::SenderOptions> sender_options(const config::Config& config) {
  auto by = submitter(config);
  if (!config.delivery.counting.enabled || !by) return std::nullopt;
  reports::SenderOptions to = config.tls_rpt;
  to.submitter = std::move(*by);
  if (to.from.empty()) to.from = "tlsrpt@" + hostname(config).text();
  return to;
}

std::optional<dns::Name> report_domain(const config::Config& config) {
  const auto options = sender_options(config);
  return options ? std::optional(options->submitter.domain) : std::nullopt;
}

listener::Options listener_options(const config::Config& config) {
  listener::Options to;
  for (const auto& one : config.listeners) {
    auto& address = to.addresses.emplace_back(one);
    if (address.certificate.certificate.empty()) address.certificate = self_signed_files(config);
    if (!one.auth) address.users_file.clear();
    const auto is_any = [](const dns::Name& name) { return name.text() == "*"; };
    if (std::ranges::any_of(address.senders, is_any)) address.senders.clear();  // as the empty list
  }
  to.limits = config.limits;
  to.senders_limit = config.senders_limit;
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
