// SPDX-License-Identifier: Apache-2.0
#include "daemon/file_check.h"

#include <algorithm>

#include "config/files.h"
#include "config/item.h"
#include "daemon/options.h"
#include "daemon/signing_keys.h"
#include "daemon/system.h"
#include "listener/users.h"
#include "net/tls_client.h"
#include "net/tls_server.h"
#include "resolver/files.h"
#include "resolver/setup.h"
#include "route/table.h"

namespace hoplock::daemon {

namespace {

bool is_address(const std::string& text) {
  const auto parsed = smtp::Mailbox::parse(text);
  const auto* mailbox = std::get_if<smtp::Mailbox>(&parsed);
  return mailbox != nullptr && !mailbox->is_null() && !mailbox->is_bare_postmaster();
}

// Said to every receiver in EHLO: a name that nobody can resolve costs reputation, or the mail.
void check_hostname(config::Loaded& loaded) {
  const std::string name = hostname(loaded.config).text();
  if (!loaded.config.hostname.is_root() || !name.ends_with(".localdomain")) return;
  loaded.warn("hostname", "'hostname' is empty and the system has no full name: receivers are told " + name +
                              ", which nobody can resolve; set hostname to the name of this relay's address");
}

// CONTRACT: without `postmaster` somebody must take mail to postmaster@HOSTNAME, and only a route to hosts of its own does.
void check_postmaster(config::Loaded& loaded) {
  const auto& config = loaded.config;
  if (config.postmaster.empty()) {
    const route::Options options = route_options(config, {});
    const auto now = std::chrono::time_point_cast<Milliseconds>(std::chrono::system_clock::now());
    const auto route = route::Table(options.routes, options.security).match(hostname(config), now);
    if (route == nullptr || route->hosts.empty()) {
      loaded.warn("postmaster", "'postmaster' is empty: mail to <postmaster> goes to postmaster@" +
                                    hostname(config).text() + ", which no route takes");
    }
    return;
  }
  if (!is_address(config.postmaster))
    loaded.complain("postmaster", "'" + config.postmaster + "' is not an address; allowed: user@domain");
}

// libunbound reads its files only when it is set up; its complaint names the file.
void check_resolver(config::Loaded& loaded) {
  const auto& dns = loaded.config.dns;
  for (const auto& mark : resolver::marks_of(dns)) {
    if (const auto fit = config::is_fit(mark.path, config::most_of_others);
        !fit && fit.error().code == errc::invalid_argument) {
      return loaded.complain(dns.unbound_conf.empty() ? "dns" : "dns.unbound_conf",
                             mark.path + ": " + fit.error().detail);
    }
  }
  const auto context = resolver::make_context(dns);
  if (context) return;
  const std::string& what = context.error().detail;
  const auto names = [&what](const std::string& file) { return !file.empty() && what.find(file) != std::string::npos; };
  const char* key = names(dns.unbound_conf)   ? "dns.unbound_conf"
                    : names(dns.trust_anchor) ? "dns.trust_anchor"
                    : names(dns.root_hints)   ? "dns.root_hints"
                                              : "dns";
  loaded.complain(key, what);
}

bool is_passed_over(const std::string& file, config::Files files) {
  return files == config::Files::readable_ones && !file.empty() && config::is_barred(file);
}

// RPT-37: reports by mail must be signed.
void check_report_key(config::Loaded& loaded, config::Files files) {
  const auto& keys = loaded.config.dkim;
  if (std::ranges::any_of(keys, [files](const config::Dkim& one) { return is_passed_over(one.key, files); })) return;
  const auto keyring = load_keyring(loaded);
  const auto domain = report_domain(loaded.config);
  if (keyring && domain && keyring->for_domain(*domain).empty()) {
    loaded.warn("tls_rpt.from", "'dkim' has no key for " + domain->text() +
                                    ": TLS reports are not sent by mail, only to https destinations");
  }
}

// An address that no interface has may still come (a cluster's, one that moves); until then nothing leaves from it.
void check_local(config::Loaded& loaded, const std::optional<Ip>& address, const std::string& place) {
  if (!address || address->is_loopback()) return;
  const auto ours = interface_addresses();
  if (std::find(ours.begin(), ours.end(), *address) != ours.end()) return;
  loaded.warn(place, address->text() + " is not an address of this machine: mail that is to leave from it waits");
}

void check_sources(config::Loaded& loaded) {
  const auto& config = loaded.config;
  check_local(loaded, config.delivery.source_ipv4, "delivery.source_ipv4");
  check_local(loaded, config.delivery.source_ipv6, "delivery.source_ipv6");
  const auto& sources = config.delivery.sources;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    check_local(loaded, sources[i].ipv4, config::item("sources", i, "ipv4"));
    check_local(loaded, sources[i].ipv6, config::item("sources", i, "ipv6"));
  }
}

void check_listener(config::Loaded& loaded, std::size_t i, config::Files files) {
  const auto& one = loaded.config.listeners[i];
  if (!one.client_ca.empty() && !is_passed_over(one.client_ca, files)) {
    const auto authorities = net::ClientTls::load({one.client_ca, net::TlsVersion::tls12});
    if (!authorities) loaded.complain(config::item("listeners", i, "client_ca"), authorities.error().detail);
  }
  if (one.auth && !is_passed_over(one.users_file, files)) {
    const auto users = listener::Users::load(one.users_file);
    if (!users) loaded.complain(config::item("listeners", i, "users_file"), users.error().detail);
    // also what a file looks like that is just being written
    if (users && (*users)->size() == 0)
      loaded.complain(config::item("listeners", i, "users_file"),
                      one.users_file + ": no user is in it, so nobody could log in");
  }
  const auto& [certificate, key] = one.certificate;
  if (certificate.empty() || one.tls == smtp::TlsMode::none) return;
  if (is_passed_over(certificate, files) || is_passed_over(key, files)) return;
  const auto tls = net::ServerTls::load(one.certificate);
  if (!tls) loaded.complain(config::item("listeners", i, "certificate"), tls.error().detail);
}

}  // namespace

void check_file_contents(config::Loaded& loaded, config::Files files) {
  const auto& config = loaded.config;
  for (std::size_t i = 0; i < config.listeners.size(); ++i) check_listener(loaded, i, files);
  for (std::size_t i = 0; i < config.route.routes.size(); ++i) {
    const auto& one = config.route.routes[i];
    if (one.client_certificate.empty() || is_passed_over(one.client_certificate, files) ||
        is_passed_over(one.client_key, files)) {
      continue;
    }
    const auto certificate = net::ClientCertificate::load({one.client_certificate, one.client_key});
    if (!certificate) loaded.complain(config::item("routes", i, "client_certificate"), certificate.error().detail);
  }
  check_sources(loaded);
  check_report_key(loaded, files);
  check_hostname(loaded);
  check_postmaster(loaded);
  if (!config.tls_rpt.from.empty() && !is_address(config.tls_rpt.from))
    loaded.complain("tls_rpt.from", "'" + config.tls_rpt.from + "' is not an address; allowed: user@domain");
  else if (const auto by = submitter(config); !by)
    loaded.complain(config.tls_rpt.contact.empty() ? "tls_rpt.from" : "tls_rpt.contact", by.error().detail);
  check_resolver(loaded);
  if (!config.store.ca_file.empty() && !is_passed_over(config.store.ca_file, files)) {
    const auto authorities = net::ClientTls::load({config.store.ca_file, net::TlsVersion::tls12});
    if (!authorities) loaded.complain("store_ca_file", authorities.error().detail);
  }
  if (is_passed_over(config.tls.ca_file, files)) return;
  const auto tls = net::ClientTls::load(config.tls);
  if (!tls) loaded.complain("tls.ca_file", tls.error().detail);
}

}  // namespace hoplock::daemon
