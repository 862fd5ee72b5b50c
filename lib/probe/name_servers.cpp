// SPDX-License-Identifier: Apache-2.0
#include "probe/name_servers.h"

#include <algorithm>
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

// ". NS", with EDNS and DO as every question of ours has them (RFC 6891, RFC 3225); RD where another resolver is to find out.
std::string root_question(NameServers::Origin origin) {
  std::random_device random;
  const auto id = static_cast<std::uint16_t>(random());
  std::string text;
  text += static_cast<char>(id >> 8U);
  text += static_cast<char>(id & 0xffU);
  text += static_cast<char>(origin == NameServers::Origin::forward ? 1 : 0);
  text.append("\0\0\1\0\0\0\0\0\1", 9);               // one question, one additional record
  text.append("\0\0\2\0\1", 5);                       // the root, NS, IN
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
  std::string text = "dns.forward:";
  for (const net::Endpoint& one : servers.all) text += " " + (one.port == dns_port ? one.ip.text() : one.text());
  return text;
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

bool names_servers(std::string_view unbound_conf) {
  for (const std::string_view line : split(unbound_conf, '\n')) {
    const std::string text = to_lower(line.substr(0, line.find('#')));
    for (const char* const word : {"forward-zone", "stub-zone", "auth-zone", "include", "upstream", "root-hints"}) {
      if (text.find(word) != std::string::npos) return true;
    }
  }
  return false;
}

NameServers first_servers(const resolver::Options& options) {
  NameServers servers;
  for (const auto& one : options.forward) servers.all.push_back({one.address, one.port});
  if (!servers.all.empty()) {
    servers.origin = NameServers::Origin::forward;
  } else if (options.unbound_conf.empty() || !names_servers(content_of_file(options.unbound_conf))) {
    servers.all = parse_hints(content_of_file(options.root_hints));
    if (!servers.all.empty()) servers.origin = NameServers::Origin::root;
  }
  if (servers.all.size() > most_asked) servers.all.resize(most_asked);
  return servers;
}

asio::awaitable<std::optional<Silence>> find_silence(NameServers servers) {
  if (servers.all.empty()) co_return std::nullopt;
  const std::string question = root_question(servers.origin);
  std::function<bool(std::string_view)> is_answer = [question](std::string_view datagram) {
    return answers_question(datagram, question);
  };
  const auto heard = co_await net::hear(servers.all, question, std::move(is_answer),
                                        std::chrono::steady_clock::now() + silence_patience);
  if (heard.answered) co_return std::nullopt;
  Silence found;
  found.text = "nobody answered on port 53 (" + asked_words(servers) + ": " + heard.silence + ")";
  found.advice = servers.origin == NameServers::Origin::forward
                     ? "name resolvers in dns.forward that answer this machine"
                     : "open port 53 (UDP and TCP) outward, or name your own resolvers in dns.forward";
  co_return found;
}

}  // namespace hoplock::probe
