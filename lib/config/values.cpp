// SPDX-License-Identifier: Apache-2.0
#include "config/values.h"

#include <array>
#include <cstdio>
#include <span>
#include <utility>

#include "base/ascii.h"

namespace hoplock::config {

namespace {

std::string quoted(std::string_view text) { return "'" + std::string(text.substr(0, 200)) + "'"; }

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

// "<number><unit>" as number * factor, at most `most`.
std::optional<std::uint64_t> with_unit(std::string_view text, std::span<const Unit> units, std::uint64_t most) {
  const auto end = text.find_first_not_of("0123456789");
  if (end == std::string_view::npos) return std::nullopt;
  const auto number = parse_decimal(text.substr(0, end));
  for (const auto& unit : units) {
    if (text.substr(end) != unit.name) continue;
    if (!number || *number > most / unit.factor) return std::nullopt;
    return *number * unit.factor;
  }
  return std::nullopt;
}

// In the largest unit that divides it; 0 in `zero`.
std::string in_units(std::uint64_t value, std::span<const Unit> units, std::string_view zero) {
  if (value == 0) return std::string(zero);
  for (auto unit = units.rbegin(); unit != units.rend(); ++unit) {
    if (value % unit->factor == 0) return std::to_string(value / unit->factor) + std::string(unit->name);
  }
  return std::to_string(value);
}

constexpr std::array<Unit, 5> duration_units{
    {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
constexpr std::uint64_t longest = 3650ULL * 86'400'000;
constexpr std::array<Unit, 4> size_units{{{"B", 1}, {"KiB", 1ULL << 10U}, {"MiB", 1ULL << 20U}, {"GiB", 1ULL << 30U}}};
constexpr std::uint64_t largest = 1ULL << 50U;

std::optional<std::uint16_t> parse_port(std::string_view text) {
  const auto port = parse_decimal(text);
  if (!port || *port == 0 || *port > 65535) return std::nullopt;
  return static_cast<std::uint16_t>(*port);
}

std::string padded(int value, int width) {
  std::array<char, 16> out{};
  std::snprintf(out.data(), out.size(), "%0*d", width, value);
  return out.data();
}

}  // namespace

Result<Duration> Duration::parse(std::string_view text) {
  const auto millis = with_unit(text, duration_units, longest);
  if (!millis)
    return bad_input(quoted(text) +
                     " is not a duration; allowed: a number and a unit, as in 30s, 5m, 4h or 5d (at most 3650d)");
  Duration duration{Milliseconds{static_cast<std::int64_t>(*millis)}, {}};
  const std::string_view unit = text.substr(text.find_first_not_of("0123456789"));
  for (const auto& one : duration_units) {
    if (one.name == unit) duration.unit = Milliseconds{static_cast<std::int64_t>(one.factor)};
  }
  return duration;
}
std::string Duration::text() const {
  const auto millis = static_cast<std::uint64_t>(value.count());
  for (const auto& one : duration_units) {
    const bool written_so = one.factor == static_cast<std::uint64_t>(unit.count()) && millis % one.factor == 0;
    if (written_so && millis > 0) return std::to_string(millis / one.factor) + std::string(one.name);
  }
  return in_units(millis, duration_units, "0s");
}

Result<std::uint64_t> parse_size(std::string_view text) {
  const auto octets = with_unit(text, size_units, largest);
  if (!octets)
    return bad_input(quoted(text) + " is not a size; allowed: a number and a unit, as in 64KiB, 50MiB or 2GiB");
  return *octets;
}
std::string size_text(std::uint64_t octets) { return in_units(octets, size_units, "0B"); }

Result<net::Endpoint> parse_endpoint(std::string_view text) {
  const auto wrong = [&] {
    return bad_input(quoted(text) + " is not an address and port; allowed: \"127.0.0.1:2525\" or \"[::1]:2525\"");
  };
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong();
  std::string_view host = text.substr(0, colon);
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  const auto ip = Ip::parse(host);
  const auto port = parse_port(text.substr(colon + 1));
  if (!ip || !port || ip->is_v6() != brackets) return wrong();
  return net::Endpoint{*ip, *port};
}

Result<resolver::Forwarder> parse_forwarder(std::string_view text) {
  const auto at = text.find('@');
  const auto ip = Ip::parse(text.substr(0, at));
  const auto port = at == std::string_view::npos ? std::optional<std::uint16_t>{53} : parse_port(text.substr(at + 1));
  if (!ip || !port)
    return bad_input(quoted(text) + " is not a resolver's address; allowed: \"192.0.2.53\" or \"192.0.2.53@5353\"");
  return resolver::Forwarder{*ip, *port};
}
std::string text_of(const resolver::Forwarder& forwarder) {
  return forwarder.address.text() + (forwarder.port == 53 ? "" : "@" + std::to_string(forwarder.port));
}

Result<route::NextHop> parse_next_hop(std::string_view text) {
  const auto wrong = [&](std::string_view why) {
    return bad_input(quoted(text) + " is not a next hop" + std::string(why) +
                     "; allowed: \"relay.example\", \"relay.example:587\", or an address literal \"[192.0.2.1]:25\"");
  };
  route::NextHop hop;
  std::string_view name = text;
  if (const auto bracket = text.find(']'); text.starts_with('[') && bracket != std::string_view::npos) {
    std::string_view literal = text.substr(1, bracket - 1);
    if (literal.size() > 5 && equals_ignoring_case(literal.substr(0, 5), "IPv6:")) literal.remove_prefix(5);
    const auto ip = Ip::parse(literal);
    if (!ip) return wrong(" (a name in brackets: names here are never MX-resolved, leave the brackets out)");
    hop.host = *ip;
    name = text.substr(bracket + 1);
    if (name.empty()) return hop;
    if (name.front() != ':') return wrong("");
    const auto port = parse_port(name.substr(1));
    if (!port) return wrong(" (bad port)");
    hop.port = *port;
    return hop;
  }
  if (const auto colon = name.find(':'); colon != std::string_view::npos) {
    const auto port = parse_port(name.substr(colon + 1));
    if (!port) return wrong(" (bad port)");
    hop.port = *port;
    name = name.substr(0, colon);
  }
  if (Ip::parse(name)) return wrong(" (an address needs brackets)");
  auto parsed = dns::Name::parse(name);
  if (!parsed || parsed->is_root() || name.find('*') != std::string_view::npos) return wrong("");
  hop.host = std::move(*parsed);
  return hop;
}
std::string text_of(const route::NextHop& hop) {
  const auto* name = std::get_if<dns::Name>(&hop.host);
  return (name != nullptr ? name->text() : "[" + std::get<Ip>(hop.host).text() + "]") + ":" + std::to_string(hop.port);
}

Result<dns::Pattern> parse_pattern(std::string_view text) {
  auto pattern = dns::parse_pattern(text);
  if (pattern) return pattern;
  return bad_input(quoted(text) +
                   " is not a domain pattern; allowed: \"contoso.com\", \"*.contoso.com\" (its subdomains) or \"*\"");
}
std::string text_of(const dns::Pattern& pattern) { return dns::to_text(pattern); }

Result<std::chrono::sys_days> parse_date(std::string_view text) {
  const auto time = parse_rfc3339(std::string(text) + "T00:00:00Z");
  if (!time || text.size() != 10) return bad_input(quoted(text) + " is not a date; allowed: \"2027-01-31\"");
  return std::chrono::floor<std::chrono::days>(*time);
}
std::string text_of(std::chrono::sys_days day) { return to_rfc3339(Time{day}).substr(0, 10); }

Result<Milliseconds> parse_time_of_day(std::string_view text) {
  const auto hour = parse_decimal(text.substr(0, 2));
  const auto minute = text.size() == 5 && text[2] == ':' ? parse_decimal(text.substr(3)) : std::nullopt;
  if (!hour || !minute || *hour > 23 || *minute > 59)
    return bad_input(quoted(text) + " is not a time of day; allowed: \"00:00\" to \"23:59\" (UTC)");
  return std::chrono::minutes{static_cast<int>(*hour * 60 + *minute)};
}
std::string time_of_day_text(Milliseconds since_midnight) {
  const auto minutes = static_cast<int>(since_midnight / std::chrono::minutes{1});
  return padded(minutes / 60, 2) + ":" + padded(minutes % 60, 2);
}

namespace {
constexpr std::array<std::pair<char, std::chrono::seconds>, 4> periods{{{'s', std::chrono::seconds{1}},
                                                                        {'m', std::chrono::minutes{1}},
                                                                        {'h', std::chrono::hours{1}},
                                                                        {'d', std::chrono::days{1}}}};
}  // namespace

Result<listener::Rate> parse_rate(std::string_view text) {
  const auto slash = text.find('/');
  const auto amount = parse_decimal(text.substr(0, slash));
  if (amount && *amount > 0 && *amount <= 1'000'000'000 && slash != std::string_view::npos &&
      text.size() == slash + 2) {
    for (const auto& [letter, period] : periods) {
      if (text.back() == letter) return listener::Rate{*amount, period};
    }
  }
  return bad_input(quoted(text) + " is not a rate; allowed: a number and a time, as in 100/m, 500/h or 2000/d");
}

std::string text_of(const listener::Rate& rate) {
  std::string out = std::to_string(rate.amount) + "/";
  for (const auto& [letter, length] : periods) {
    if (length == rate.period) out += letter;
  }
  return out;
}
std::string text_of(const route::Rate& rate) { return text_of(listener::Rate{rate.count, rate.per}); }

}  // namespace hoplock::config
