// SPDX-License-Identifier: Apache-2.0
#include "postgres/target.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <memory>
#include <string_view>

#include "postgres/libpq.h"

namespace hoplock::postgres {
namespace {

constexpr std::string_view default_port = "5432";
constexpr std::string_view own_socket = "/var/run/postgresql";  // Debian's

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t end = std::min(list.find(',', at), list.size());
    parts.emplace_back(list.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

bool is_loopback(const Host& host) {
  return host.is_local() || host.name == "localhost" || host.name == "::1" || host.name.starts_with("127.");
}

Result<> collect_hosts(Target& target, const std::string& names, const std::string& numerics,
                       const std::string& ports) {
  const auto name_list = split(names), numeric_list = split(numerics), port_list = split(ports);
  const std::size_t count = std::max(name_list.size(), numeric_list.size());
  if (port_list.size() > 1 && port_list.size() != count) return bad_input("the URL has not as many ports as hosts");
  for (std::size_t i = 0; i < count; ++i) {
    Host host;
    if (i < name_list.size()) host.name = name_list[i];
    if (i < numeric_list.size()) host.numeric = numeric_list[i];
    if (host.name.empty()) host.name = host.numeric.empty() ? std::string(own_socket) : host.numeric;
    host.port = port_list.size() > 1 ? port_list[i] : port_list.front();
    if (host.port.empty()) host.port = default_port;
    target.hosts.push_back(std::move(host));
  }
  return {};
}

}  // namespace

std::string to_text(const Host& host) { return host.is_local() ? host.name : host.name + ":" + host.port; }

Result<Target> parse(const Options& options) {
  const std::string& url = options.url;
  if (!url.starts_with("postgresql://") && !url.starts_with("postgres://"))
    return bad_input("it does not begin with postgresql://");
  if (const auto loaded = load_libpq(); !loaded) return loaded.error();
  char* why = nullptr;
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> parsed(pq().PQconninfoParse(url.c_str(), &why),
                                                                            pq().PQconninfoFree);
  const std::unique_ptr<char, decltype(&PQfreemem)> text(why, pq().PQfreemem);
  if (!parsed)
    return bad_input("it is no URL that libpq knows");  // its own text quotes the URL, which may hold a password
  Target target;
  std::string hosts, numerics, ports;
  for (const PQconninfoOption* one = parsed.get(); one->keyword != nullptr; ++one) {
    if (one->val == nullptr) continue;
    const std::string_view key = one->keyword;
    if (key == "host")
      hosts = one->val;
    else if (key == "hostaddr")
      numerics = one->val;
    else if (key == "port")
      ports = one->val;
    else
      target.settings.emplace_back(key, one->val);
  }
  if (auto good = collect_hosts(target, hosts, numerics, ports); !good) return good.error();
  return target;
}

std::string describe(const Options& options) {
  const auto target = parse(options);
  if (!target) return "no database";
  std::string text;
  for (const Host& host : target->hosts) text.append(text.empty() ? "" : ", ").append(to_text(host));
  for (const auto& [key, value] : target->settings)
    if (key == "dbname") text.append(", database ").append(value);
  return text;
}

Result<> check(const Options& options) {
  const auto target = parse(options);
  if (!target) return target.error();
  if (options.tls == Tls::off)
    for (const Host& host : target->hosts)
      if (!is_loopback(host))
        return bad_input("without TLS only this machine is spoken to, and " + to_text(host) + " is another");
  return {};
}

Result<std::string> read_password(const Options& options) {
  if (options.password_file.empty()) return std::string();
  std::ifstream file(options.password_file);
  std::string line;
  if (!file || !std::getline(file, line)) {
    const int error = errno == 0 ? EIO : errno;
    return fail(error_code(error, boost::system::generic_category()),
                "cannot read the password in " + options.password_file.string());
  }
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

}  // namespace hoplock::postgres
