// SPDX-License-Identifier: Apache-2.0
#include "probe/name_servers.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <random>
#include <utility>

#include "base/ascii.h"
#include "net/hearing.h"

namespace hoplock::probe {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds silence_patience{4};
constexpr std::size_t most_asked = 26;  // thirteen names, each with two addresses
constexpr std::uint16_t dns_port = 53;

std::string content_of_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<std::string_view> blank_separated(std::string_view line) {
  std::vector<std::string_view> found;
  for (const char* const blanks = " \t\r";;) {
    const auto begin = line.find_first_not_of(blanks);
    if (begin == std::string_view::npos) return found;
    line.remove_prefix(begin);
    const auto end = line.find_first_of(blanks);
    found.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return found;
    line.remove_prefix(end);
  }
}

// Words of a file of unbound.conf(5): what stands in quotes is one, comments are none.
std::vector<std::string> words_in_conf(std::string_view text) {
  std::vector<std::string> words;
  for (std::string_view line : split(text, '\n')) {
    while (!(line = trim(line)).empty() && line.front() != '#') {
      const bool quoted = line.front() == '"' || line.front() == '\'';
      if (quoted) {
        const auto end = line.find(line.front(), 1);
        words.emplace_back(line.substr(1, end == std::string_view::npos ? end : end - 1));
        line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
      } else {
        const auto end = std::min(line.find_first_of(" \t\r\"'"), line.size());
        words.emplace_back(line.substr(0, end));
        line.remove_prefix(end);
      }
    }
  }
  return words;
}

bool is_section(std::string_view word) {
  constexpr std::array all{
      "server:",   "stub-zone:", "forward-zone:", "auth-zone:", "view:", "remote-control:", "python:", "dynlib:",
      "dnscrypt:", "cachedb:",   "ipset:",        "dnstap:",    "rpz:"};
  return std::ranges::find(all, word) != all.end();
}

// In other sections than those of zones.
bool may_name_servers(std::string_view key, std::string_view value) {
  if (key == "include:" || key == "include-toplevel:" || key == "root-hints:") return true;
  return key.ends_with("-upstream:") && value != "no";
}

// "192.0.2.53", "2001:db8::53@5353", and the name of a certificate behind "#"
std::optional<net::Endpoint> address_in_conf(std::string_view text) {
  text = text.substr(0, text.find('#'));
  const auto at = text.find('@');
  const auto ip = Ip::parse(text.substr(0, at));
  const auto port =
      at == std::string_view::npos ? std::optional<std::uint64_t>(dns_port) : parse_decimal(text.substr(at + 1));
  if (!ip || !port || *port == 0 || *port > 65535) return std::nullopt;
  return net::Endpoint{*ip, static_cast<std::uint16_t>(*port)};
}

// What is not understood leaves it unknown whom the zone is asked of.
void take_zone_setting(NameServers& zone, std::string_view key, std::string_view value) {
  key.remove_prefix(std::min(key.size(), key.starts_with("stub-")      ? std::size_t{5}
                                         : key.starts_with("forward-") ? 8
                                                                       : 0));
  bool known = key != "host:" && !(key.ends_with("-upstream:") && value != "no");
  if (key == "name:") {
    auto name = dns::Name::parse(value);
    known = name.has_value();
    if (name) zone.zone = std::move(*name);
  } else if (key == "addr:") {
    const auto address = address_in_conf(value);
    known = address.has_value();
    if (address) zone.all.push_back(*address);
  }
  if (!known) zone.origin = NameServers::Origin::unknown;
}

OwnZones zones_of(const resolver::Options& options) {
  return options.unbound_conf.empty() ? OwnZones{} : own_zones(content_of_file(options.unbound_conf));
}

bool is_recursive(NameServers::Origin origin) {
  return origin == NameServers::Origin::forward || origin == NameServers::Origin::forward_zone;
}

// RFC 1035 section 3.1
std::string in_wire_form(const dns::Name& name) {
  std::string wire;
  if (!name.is_root()) {
    for (const std::string_view label : split(name.text(), '.'))
      wire += static_cast<char>(label.size()) + std::string(label);
  }
  return wire + '\0';
}

// NS of the zone, with EDNS and DO as every question of ours has them (RFC 6891, RFC 3225); RD where another resolver is to find out.
std::string first_question(const NameServers& servers) {
  std::random_device random;
  const auto id = static_cast<std::uint16_t>(random());
  std::string text;
  text += static_cast<char>(id >> 8U);
  text += static_cast<char>(id & 0xffU);
  text += static_cast<char>(is_recursive(servers.origin) ? 1 : 0);
  text.append("\0\0\1\0\0\0\0\0\1", 9);  // one question, one additional record
  text += in_wire_form(servers.zone);
  text.append("\0\2\0\1", 4);                         // NS, IN
  text.append("\0\0\x29\x04\xd0\0\0\x80\0\0\0", 11);  // OPT: 1232 octets, DO
  return text;
}

bool answers_question(std::string_view datagram, std::string_view question) {
  constexpr std::size_t header = 12;
  if (datagram.size() < header || datagram.substr(0, 2) != question.substr(0, 2)) return false;
  return (static_cast<unsigned char>(datagram[2]) & 0x80U) != 0;
}

std::string asked_words(const NameServers& servers) {
  if (servers.origin == NameServers::Origin::root) {
    const std::string count = std::to_string(servers.all.size());
    return servers.all.size() == 1 ? "1 root server was asked" : count + " addresses of root servers were asked";
  }
  std::string text = servers.origin == NameServers::Origin::forward ? "dns.forward:" : "dns.unbound_conf:";
  for (const net::Endpoint& one : servers.all) text += " " + (one.port == dns_port ? one.ip.text() : one.text());
  return text;
}

std::string advice_for(const NameServers& servers) {
  switch (servers.origin) {
    case NameServers::Origin::forward:
      return "name resolvers in dns.forward that answer this machine";
    case NameServers::Origin::forward_zone:
    case NameServers::Origin::stub_zone:
      return "name servers in dns.unbound_conf that answer this machine";
    default:
      return "open port 53 (UDP and TCP) outward, or name your own resolvers in dns.forward";
  }
}

}  // namespace

std::vector<net::Endpoint> parse_hints(std::string_view text) {
  std::vector<net::Endpoint> v4, v6;
  for (const std::string_view line : split(text, '\n')) {
    const auto parts = blank_separated(line.substr(0, line.find(';')));
    if (parts.size() < 2) continue;
    const std::string_view type = parts[parts.size() - 2];
    if (!equals_ignoring_case(type, "A") && !equals_ignoring_case(type, "AAAA")) continue;
    const auto ip = Ip::parse(parts.back());
    if (ip) (ip->is_v4() ? v4 : v6).push_back({*ip, dns_port});
  }
  v4.insert(v4.end(), v6.begin(), v6.end());
  return v4;
}

OwnZones own_zones(std::string_view unbound_conf) {
  OwnZones found;
  const auto words = words_in_conf(unbound_conf);
  bool in_zone = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& key = words[i];
    if (is_section(key)) {
      in_zone = key == "stub-zone:" || key == "forward-zone:";
      if (in_zone) found.all.emplace_back();
      if (in_zone)
        found.all.back().origin =
            key == "stub-zone:" ? NameServers::Origin::stub_zone : NameServers::Origin::forward_zone;
      found.is_whole = found.is_whole && key != "auth-zone:" && key != "rpz:";
    } else if (key.ends_with(':') && i + 1 < words.size()) {
      const std::string& value = words[++i];
      if (in_zone)
        take_zone_setting(found.all.back(), key, value);
      else if (may_name_servers(key, value))
        found.is_whole = false;
    }
  }
  for (NameServers& one : found.all) {
    if (one.all.empty()) one.origin = NameServers::Origin::unknown;
    if (one.origin == NameServers::Origin::unknown) one.all.clear();
    if (one.all.size() > most_asked) one.all.resize(most_asked);
  }
  return found;
}

NameServers servers_for(const resolver::Options& options, const dns::Name& name) {
  NameServers servers;
  const OwnZones own = zones_of(options);
  const NameServers* nearest = nullptr;
  for (const NameServers& one : own.all) {
    const bool is_nearer = nearest == nullptr || one.zone.labels() > nearest->zone.labels();
    if (name.is_within(one.zone) && is_nearer) nearest = &one;
  }
  if (nearest != nullptr && !nearest->zone.is_root()) return own.is_whole ? *nearest : servers;
  for (const auto& one : options.forward) servers.all.push_back({one.address, one.port});
  if (!servers.all.empty()) {
    servers.origin = NameServers::Origin::forward;
  } else if (own.is_whole) {
    if (nearest != nullptr) return *nearest;
    servers.all = parse_hints(content_of_file(options.root_hints));
    if (!servers.all.empty()) servers.origin = NameServers::Origin::root;
  }
  if (servers.all.size() > most_asked) servers.all.resize(most_asked);
  return servers;
}

NameServers first_servers(const resolver::Options& options) { return servers_for(options, dns::Name()); }

std::vector<NameServers> zone_servers(const resolver::Options& options) {
  auto all = zones_of(options).all;
  std::erase_if(all, [](const NameServers& one) { return one.zone.is_root(); });
  return all;
}

asio::awaitable<std::optional<Silence>> find_silence(NameServers servers) {
  if (servers.all.empty()) co_return std::nullopt;
  const std::string question = first_question(servers);
  std::function<bool(std::string_view)> is_answer = [question](std::string_view datagram) {
    return answers_question(datagram, question);
  };
  const auto heard = co_await net::hear(servers.all, question, std::move(is_answer),
                                        std::chrono::steady_clock::now() + silence_patience);
  if (heard.answered) co_return std::nullopt;
  Silence found;
  found.text = "nobody answered on port 53 (" + asked_words(servers) + ": " + heard.silence + ")";
  if (!servers.zone.is_root()) found.text = servers.zone.text() + ": " + found.text;
  found.advice = advice_for(servers);
  co_return found;
}

}  // namespace hoplock::probe
