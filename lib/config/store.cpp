// SPDX-License-Identifier: Apache-2.0
#include "config/store.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/ascii.h"
#include "base/ip.h"
#include "base/percent.h"
#include "dns/name.h"

namespace hoplock::config {

namespace {

constexpr const char* form = "; allowed: sqlite, or \"postgresql://user@host:5432,host2:5432/database\"";
constexpr std::size_t longest_url = 2000;

Error wrong(const std::string& what) { return bad_input(what + form); }
Error no_password() {
  return bad_input(
      "a password in the URL would stand wherever the configuration is shown; allowed: store_password_file, or a "
      "passfile");
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// Nothing: not well encoded, or with an octet that no name or path has.
std::optional<std::string> decode(std::string_view text) {
  auto decoded = percent_decoded(text);
  return decoded && std::ranges::none_of(*decoded, is_control) ? decoded : std::nullopt;
}

bool is_port(std::string_view text) {
  const auto port = parse_decimal(text);
  return port && *port > 0 && *port <= 65535;
}

// A name, an address, or the folder of a Unix socket.
bool is_host(const std::string& text) {
  if (text.starts_with('/') || Ip::parse(text)) return true;
  const auto name = dns::Name::parse(text);
  return name && !name->is_root() && text.find('*') == std::string::npos;
}

// "db1:5432,[2001:db8::1],%2Frun%2Fpostgresql".
std::optional<Error> take_hosts(std::string_view text, std::vector<std::string>& hosts) {
  if (text.empty()) return std::nullopt;
  for (std::string_view one : split(text, ',')) {
    const bool bracketed = one.starts_with('[');
    const auto end = bracketed ? one.find(']') : one.find(':');
    if (bracketed && end == std::string_view::npos) return wrong("the URL has a bracket without its other half");
    auto host = decode(bracketed ? one.substr(1, end - 1) : one.substr(0, end));
    const std::string_view rest =
        end == std::string_view::npos ? std::string_view{} : one.substr(end + (bracketed ? 1 : 0));
    const bool is_v6 = host && host->find(':') != std::string::npos && !host->starts_with('/');
    if (!host || !is_host(*host) || is_v6 != bracketed)
      return wrong("the URL has a host that is neither a name nor an address nor the folder of a socket");
    if (!rest.empty() && (rest.front() != ':' || !is_port(rest.substr(1))))
      return wrong("the URL has a port that is none");
    hosts.push_back(std::move(*host));
  }
  return std::nullopt;
}

std::optional<Error> take_host_parameter(const std::string& value, StorePlace& to) {
  if (!to.hosts.empty()) return wrong("the URL names its hosts twice");
  for (const std::string_view one : split(value, ',')) {
    if (!is_host(std::string(one)))
      return wrong("the URL has a host that is neither a name nor an address nor the folder of a socket");
    to.hosts.emplace_back(one);
  }
  return std::nullopt;
}

std::optional<Error> take_parameter(const std::string& name, const std::string& value, StorePlace& to) {
  if (name == "password" || name == "sslpassword") return no_password();
  if (name == "sslmode") return bad_input("'sslmode' is not allowed in the URL; allowed: store_tls");
  if (name == "sslrootcert") return bad_input("'sslrootcert' is not allowed in the URL; allowed: store_ca_file");
  if (name == "host") return take_host_parameter(value, to);
  if (name == "port") {
    const auto ports = split(value, ',');
    return std::ranges::all_of(ports, is_port) ? std::nullopt : std::optional(wrong("the URL has a port that is none"));
  }
  const std::array<std::pair<std::string_view, std::string*>, 3> files{
      {{"passfile", &to.passfile}, {"sslcert", &to.certificate}, {"sslkey", &to.key}}};
  const auto* const file = std::ranges::find(files, std::string_view(name), [](const auto& one) { return one.first; });
  if (file == files.end())
    return bad_input("'" + name.substr(0, 100) +
                     "' is not allowed in the URL; allowed: host, port, passfile, sslcert, sslkey");
  if (!value.starts_with('/')) return bad_input("'" + name + "' of the URL needs an absolute path");
  *file->second = value;
  return std::nullopt;
}

std::optional<Error> take_parameters(std::string_view text, StorePlace& to) {
  for (const std::string_view one : split(text, '&')) {
    const auto equals = one.find('=');
    const auto name = decode(one.substr(0, equals));
    const auto value = equals == std::string_view::npos ? std::nullopt : decode(one.substr(equals + 1));
    if (!name || !value) return wrong("what stands behind the '?' of the URL is no list of name=value");
    if (auto error = take_parameter(*name, *value, to)) return error;
  }
  if (to.certificate.empty() != to.key.empty())
    return bad_input("'sslcert' and 'sslkey' of the URL go together; both or neither");
  return std::nullopt;
}

}  // namespace

Result<StorePlace> StorePlace::parse(std::string_view text) {
  if (text == "sqlite") return StorePlace{};
  StorePlace to;
  to.url = text;
  const auto scheme = text.find("://");
  if (scheme == std::string_view::npos ||
      (text.substr(0, scheme) != "postgresql" && text.substr(0, scheme) != "postgres"))
    return wrong("'" + std::string(text.substr(0, std::min<std::size_t>(text.find_first_of(":/@?"), 100))) +
                 "' is not a store");
  const auto is_foreign = [](char c) { return c == ' ' || is_control(c) || static_cast<unsigned char>(c) > 0x7f; };
  if (text.size() > longest_url || std::ranges::any_of(text, is_foreign))
    return wrong("the URL is too long, or has a character that needs to be written as % and two digits");
  text.remove_prefix(scheme + 3);
  const auto question = text.find('?');
  const std::string_view parameters =
      question == std::string_view::npos ? std::string_view{} : text.substr(question + 1);
  text = text.substr(0, question);
  const auto slash = text.find('/');
  const auto database = slash == std::string_view::npos ? std::nullopt : decode(text.substr(slash + 1));
  std::string_view authority = text.substr(0, slash);
  if (const auto at = authority.find('@'); at != std::string_view::npos) {
    if (authority.substr(0, at).find(':') != std::string_view::npos) return no_password();
    if (const auto user = decode(authority.substr(0, at)); !user || user->empty())
      return wrong("the URL has no user before its '@'");
    authority.remove_prefix(at + 1);
  }
  if (auto error = take_hosts(authority, to.hosts)) return *error;
  if (!database || database->empty() || database->find('/') != std::string::npos)
    return wrong("the URL names no database");
  if (question != std::string_view::npos) {
    if (auto error = take_parameters(parameters, to)) return *error;
  }
  return to;
}

bool StorePlace::is_local() const {
  return is_sqlite() || std::ranges::all_of(hosts, [](const std::string& host) {
           const auto ip = Ip::parse(host);
           return host.starts_with('/') || host == "localhost" || (ip && ip->is_loopback());
         });
}

bool is_node_name(std::string_view text) {
  const auto is_allowed = [](char c) { return is_alnum(c) || c == '.' || c == '-' || c == '_'; };
  return !text.empty() && text.size() <= 253 && std::ranges::all_of(text, is_allowed);
}

}  // namespace hoplock::config
