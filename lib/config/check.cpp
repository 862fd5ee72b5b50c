// SPDX-License-Identifier: Apache-2.0
#include "config/check.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "config/files.h"
#include "config/item.h"
#include "config/syslog.h"
#include "config/values.h"

namespace hoplock::config {

namespace {

// CONTRACT: a file that is named and missing is an error.
void check_file(Loaded& loaded, const NamedFile& file, Files files) {
  if (files == Files::readable_ones && is_barred(file.path)) return;
  const auto fit = is_fit(file.path, file.bound());
  const auto code = fit ? error_code() : fit.error().code;
  if (code == errc::no_such_file_or_directory || code == errc::not_a_directory)
    return loaded.complain(file.item, "there is no file '" + file.path + "'");
  if (code == errc::is_a_directory)
    return loaded.complain(file.item, "'" + file.path + "' is a directory, a file is needed");
  if (code && code != errc::permission_denied)
    return loaded.complain(file.item, "the file '" + file.path + "' cannot be used: " + fit.error().detail);
  if (code || access(file.path.c_str(), R_OK) != 0)
    loaded.complain(file.item, "the file '" + file.path + "' cannot be read");
}

void check_pair(Loaded& loaded, const net::CertificateFiles& pair, const std::string& certificate_path,
                const std::string& key_path) {
  if (!pair.certificate.empty() && pair.key.empty())
    loaded.complain(certificate_path, "a certificate is given but no key; both or neither");
  if (pair.certificate.empty() && !pair.key.empty())
    loaded.complain(key_path, "a key is given but no certificate; both or neither");
}

void check_logins(Loaded& loaded, std::size_t i) {
  const auto& one = loaded.config.listeners[i];
  if (one.auth && one.users_file.empty())
    loaded.complain(item("listeners", i, "auth"), "logins need a users_file to be looked up in");
  if (one.auth && one.tls == smtp::TlsMode::none)
    loaded.complain(item("listeners", i, "auth"),
                    "logins are taken inside TLS only; allowed with 'tls': starttls, required, implicit");
  if (!one.auth && !one.users_file.empty())
    loaded.warn(item("listeners", i, "users_file"), "has no effect without 'auth: true'");
}

void check_client_certificates(Loaded& loaded, std::size_t i) {
  const auto& one = loaded.config.listeners[i];
  if (!one.client_ca.empty() && one.tls == smtp::TlsMode::none)
    loaded.complain(item("listeners", i, "client_ca"),
                    "certificates come with TLS only; allowed with 'tls': starttls, required, implicit");
  if (!one.client_names.empty() && one.client_ca.empty())
    loaded.complain(item("listeners", i, "client_names"),
                    "names prove nothing without a client_ca whose certificates carry them");
  if (one.client_names.empty() && !one.client_ca.empty())
    loaded.warn(item("listeners", i, "client_ca"), "lets nobody relay as long as 'client_names' is empty");
  for (const auto& name : one.client_names) {
    if (name.text() == "*")
      loaded.complain(item("listeners", i, "client_names"),
                      "'*' would let every certificate of client_ca relay; allowed: names, \"*.contoso.com\"");
  }
}

void check_listeners(Loaded& loaded) {
  const auto& listeners = loaded.config.listeners;
  if (listeners.empty()) loaded.complain("listeners", "at least one listener is needed");
  std::set<net::Endpoint> seen;
  for (std::size_t i = 0; i < listeners.size(); ++i) {
    const auto& one = listeners[i];
    if (!seen.insert(one.at).second)
      loaded.complain(item("listeners", i, "address"), "two listeners have the address " + one.at.text());
    check_pair(loaded, one.certificate, item("listeners", i, "certificate"), item("listeners", i, "key"));
    check_logins(loaded, i);
    check_client_certificates(loaded, i);
    for (const auto& network : one.allow) {
      if (network.text().ends_with("/0")) {
        loaded.warn(item("listeners", i, "allow"),
                    "'" + network.text() + "' lets every host on the Internet relay through this listener");
      }
    }
  }
}

void check_routes(Loaded& loaded) {
  const auto& routes = loaded.config.route.routes;
  for (std::size_t i = 0; i < routes.size(); ++i) {
    const auto& one = routes[i];
    if (one.match.empty()) loaded.complain(item("routes", i, "match"), "at least one domain pattern is needed");
    check_pair(loaded, {one.client_certificate, one.client_key}, item("routes", i, "client_certificate"),
               item("routes", i, "client_key"));
    if (one.username.empty() != one.password_file.empty()) {
      loaded.complain(item("routes", i, one.username.empty() ? "password_file" : "username"),
                      "username and password_file go together; both or neither");
    }
    if (!one.username.empty() && one.hosts.empty())
      loaded.complain(item("routes", i, "username"), "a login needs a route with hosts");
    if (!one.hosts.empty() && (one.dane || one.mta_sts)) {
      loaded.warn(item("routes", i, one.dane ? "dane" : "mta_sts"),
                  "has no effect on a route with hosts; its 'tls' says what holds there");
    }
    const bool proves_itself = one.tls == hop::RouteTls::verify || one.tls == hop::RouteTls::dane_only;
    if (!one.username.empty() && !proves_itself)
      loaded.warn(item("routes", i, "username"),
                  "the password goes to whoever answers at the host, inside TLS but without a proof of who that is; "
                  "'tls: verify' (or 'dane-only') sends it only where the certificate is right");
  }
}

void check_sources(Loaded& loaded) {
  const auto& sources = loaded.config.delivery.sources;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const auto& one = sources[i];
    const std::string whole = "sources[" + std::to_string(i) + "]";
    if (!one.ipv4 && !one.ipv6 && one.hostname.is_root())
      loaded.complain(whole, "it changes nothing; allowed: ipv4, ipv6, hostname, at least one of them");
    const auto rest = sources.begin() + static_cast<std::ptrdiff_t>(i) + 1;
    if (one.senders.empty() && one.match.empty() && rest != sources.end())
      loaded.warn(whole, "it takes all mail, so those behind it never count");
  }
}

void check_ranges(Loaded& loaded) {
  const auto& config = loaded.config;
  const auto& retry = config.delivery.retry;
  if (retry.factor < 1) loaded.complain("delivery.retry.factor", "pauses would shrink; allowed: 1 or more");
  if (retry.jitter > 1) loaded.complain("delivery.retry.jitter", "more than the whole pause; allowed: 0 to 1");
  if (retry.first.count() <= 0) loaded.complain("delivery.retry.first", "no pause at all; allowed: more than 0s");
  const auto unit = config.units.find("delivery.retry.first");
  const Duration first{retry.first, unit == config.units.end() ? Milliseconds{0} : unit->second};
  if (retry.max < retry.first)
    loaded.complain("delivery.retry.max", "shorter than 'first'; allowed: " + first.text() + " or more");
  if (config.limits.message_size == 0) loaded.complain("limits.message_size", "no mail at all; allowed: 1B or more");
  if (config.limits.message_size < 65536)
    loaded.warn("limits.message_size", "RFC 5321 asks for at least 64KiB");  // section 4.5.3.1.7
  if (config.limits.recipients < 100) loaded.warn("limits.recipients", "RFC 5321 asks for at least 100");
}

void check_log_server(Loaded& loaded) {
  const auto& config = loaded.config;
  if (config.log.syslog.empty()) return;
  const auto server = parse_syslog(config.log.syslog);
  if (!server) return loaded.complain("log.syslog", server.error().detail);
  if (server->transport == Syslog::Transport::tls && config.tls.ca_file.empty())
    loaded.complain("log.syslog", "the log server's certificate is held against tls.ca_file, which is empty");
}

void check_rest(Loaded& loaded) {
  const auto& config = loaded.config;
  if (!config.postmaster.empty() && config.postmaster.find('@') == std::string::npos)
    loaded.complain("postmaster", "'" + config.postmaster + "' is not an address; allowed: user@domain");
  for (const auto& host : config.http.hosts) {
    if (!dns::Name::parse(host) && !Ip::parse(host))
      loaded.complain("http.hosts", "'" + host + "' is no host; allowed: names and addresses, without a port");
  }
  check_pair(loaded, config.http.certificate, "http.certificate", "http.key");
  if (!config.http.users_file.empty() && config.http.certificate.certificate.empty())
    loaded.complain("http.users_file", "passwords go over HTTPS only; allowed: with http.certificate and http.key");
  if (config.http.address && !config.http.address->ip.is_loopback() && !config.http.trusted_proxy_header.empty())
    loaded.complain("http.trusted_proxy_header", "anybody could set it at " + config.http.address->text() +
                                                     "; allowed: with http.address on loopback");
  check_log_server(loaded);
  if (config.control_socket.empty())
    loaded.complain("control_socket", "the tool needs a socket; allowed: a file name, as in control.sock");
}

void check_node(Loaded& loaded) {
  const auto& node = loaded.config.node;
  if (!node.name.empty() && !is_node_name(node.name))
    loaded.complain("node.name", "this is not a node's name; allowed: letters, digits, dots, dashes and underscores");
  if (!node.accept && !node.deliver)
    return loaded.complain(
        "node", "a node that neither accepts mail nor delivers it does nothing; allowed: true for one of them");
  if (loaded.config.store.place.is_sqlite() && !(node.accept && node.deliver))
    loaded.complain(node.accept ? "node.deliver" : "node.accept",
                    "with 'store: sqlite' this node is the only one and does both; allowed: true");
}

void check_store(Loaded& loaded) {
  const auto& store = loaded.config.store;
  if (store.place.is_sqlite()) {
    const StoreSettings standard;
    const std::pair<const char*, bool> given[] = {
        {"store_password_file", store.password_file != standard.password_file},
        {"store_tls", store.tls != standard.tls},
        {"store_ca_file", store.ca_file != standard.ca_file},
        {"store_synchronous", store.synchronous != standard.synchronous}};
    for (const auto& [key, is_given] : given) {
      if (is_given) loaded.warn(key, "has no effect with 'store: sqlite'");
    }
    return;
  }
  if (store.tls == StoreTls::off && !store.place.is_local())
    loaded.complain("store_tls", "mail would go to another machine in clear; allowed: verify-full, verify-ca");
  if (store.tls != StoreTls::off && store.ca_file.empty() && loaded.config.tls.ca_file.empty())
    loaded.complain("store_ca_file",
                    "the server's certificate is held against store_ca_file or tls.ca_file, and both are empty");
  if (!store.password_file.empty() && !store.place.passfile.empty())
    loaded.complain("store_password_file", "the URL names a passfile; allowed: one of them");
}

}  // namespace

void check_files(Loaded& loaded, Files files) {
  if (files == Files::left_alone) return;
  for (const NamedFile& one : named_files(loaded.config)) check_file(loaded, one, files);
}

void check(Loaded& loaded, Files files) {
  check_store(loaded);
  check_node(loaded);
  check_listeners(loaded);
  check_routes(loaded);
  check_sources(loaded);
  check_ranges(loaded);
  check_rest(loaded);
  check_files(loaded, files);
}

Loaded load(const std::string& path, Files files) {
  std::ifstream in(path, std::ios::binary);
  std::error_code error;
  if (!in || std::filesystem::is_directory(path, error)) {
    Loaded missing;
    missing.file = path;
    const bool barred = access(path.c_str(), R_OK) != 0 && errno == EACCES;
    missing.errors.push_back(path + ":1:1: the configuration file cannot be read" +
                             (barred ? ": permission denied; members of the group that it belongs to may"
                                     : "; a file that was named must exist"));
    return missing;
  }
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  const auto directory = std::filesystem::absolute(path, error).parent_path().string();
  Loaded loaded = read_text(text, path, directory);
  if (loaded.errors.empty()) check(loaded, files);
  return loaded;
}

}  // namespace hoplock::config
