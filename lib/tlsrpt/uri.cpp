// SPDX-License-Identifier: Apache-2.0
#include "tlsrpt/uri.h"

#include <algorithm>
#include <optional>

#include "base/ascii.h"
#include "base/percent.h"
#include "base/utf8.h"

namespace hoplock::tlsrpt {

namespace {
constexpr std::size_t longest_uri = 2048;
constexpr std::size_t longest_local = 64;  // RFC 5321 section 4.5.3.1.1

constexpr bool is_one_of(char c, std::string_view set) { return c != '\0' && set.find(c) != std::string_view::npos; }

// RFC 3986 appendix A, without "!", "," and ";", which RFC 8460 section 3 wants encoded.
bool is_uri_octet(char c) { return is_alpha(c) || is_digit(c) || is_one_of(c, "-._~:/?#[]@$&'()*+=%"); }

bool is_atom_octet(char c) { return is_alpha(c) || is_digit(c) || is_one_of(c, "!#$%&'*+-/=?^_`{|}~"); }

bool is_dot_string(std::string_view local) {
  const auto atoms = split(local, '.');
  return std::all_of(atoms.begin(), atoms.end(), [](std::string_view atom) {
    return !atom.empty() && std::all_of(atom.begin(), atom.end(), is_atom_octet);
  });
}

// What a quoted-string says; nothing if it is none.
std::optional<std::string> unquoted(std::string_view text) {
  if (text.size() < 2 || text.front() != '"' || text.back() != '"') return std::nullopt;
  std::string out;
  for (std::size_t i = 1; i + 1 < text.size(); ++i) {
    if (text[i] == '"') return std::nullopt;
    if (text[i] == '\\' && ++i + 1 == text.size()) return std::nullopt;  // it escapes the closing quote
    out += text[i];
  }
  return out;
}

// A name that a host or a mail domain may have: the DNS would answer for "*" and "-a", SMTP and HTTP know no such name.
std::optional<dns::Name> host_name(std::string_view text) {
  auto name = dns::Name::parse(text);
  if (!name || name->is_root() || text.find('*') != std::string_view::npos) return std::nullopt;
  const auto labels = split(name->text(), '.');
  const bool hangs = std::any_of(labels.begin(), labels.end(),
                                 [](std::string_view label) { return label.starts_with('-') || label.ends_with('-'); });
  if (hangs) return std::nullopt;
  return std::move(*name);
}

Result<Destination> parse_mailto(std::string_view rest) {
  const auto decoded = percent_decoded(rest.substr(0, rest.find('?')));
  if (rest.find('#') != std::string_view::npos) return bad_input("a mailto URI has no fragment");
  if (!decoded) return bad_input("its percent-encoding is broken");
  if (!std::all_of(decoded->begin(), decoded->end(), [](char c) { return c >= ' ' && c < 0x7f; })) {
    return bad_input("the address has octets that no plain mail address has");
  }
  const std::size_t at = decoded->rfind('@');
  if (at == std::string::npos || at == 0) return bad_input("it holds no mail address");
  std::string local = decoded->substr(0, at);
  if (local.front() == '"') {
    auto inner = unquoted(local);
    if (!inner) return bad_input("the quotes of the address are broken");
    local = std::move(*inner);
  } else if (local.find_first_of("@\"<>() ") != std::string::npos) {
    return bad_input("it holds more than one mail address, or none");  // RPT-04
  }
  if (local.empty() || local.size() > longest_local) return bad_input("the address's local part is empty or too long");
  auto domain = host_name(std::string_view(*decoded).substr(at + 1));
  if (!domain) return bad_input("the address's domain is no domain name");
  return MailDestination{std::move(local), std::move(*domain)};
}

Result<std::variant<dns::Name, Ip>> parse_host(std::string_view host) {
  if (host.starts_with('[') && host.ends_with(']')) {
    const auto ip = Ip::parse(host.substr(1, host.size() - 2));
    if (!ip || ip->is_v4()) return bad_input("the host is no IPv6 address");
    return std::variant<dns::Name, Ip>(*ip);
  }
  if (const auto ip = Ip::parse(host)) return std::variant<dns::Name, Ip>(*ip);
  const auto decoded = percent_decoded(host);
  auto name = host_name(decoded ? std::string_view(*decoded) : std::string_view());
  if (!name) return bad_input("the host is no domain name");
  return std::variant<dns::Name, Ip>(std::move(*name));
}

bool has_broken_encoding(std::string_view text) { return !percent_decoded(text); }

// By hand, for Boost.URL 1.81 reads "https://2001:db8::1/" as a path on the host "2001", and refuses hosts like 192.0.2.1.x.example.
Result<Destination> parse_https(std::string_view rest) {
  if (!rest.starts_with("//")) return bad_input("an https URI begins with https://");
  rest.remove_prefix(2);
  const std::size_t path = std::min(rest.find_first_of("/?#"), rest.size());
  std::string_view authority = rest.substr(0, path);
  std::string_view target = rest.substr(path, rest.find('#') - path);
  if (authority.find('@') != std::string_view::npos) return bad_input("a name or password in it is not used");
  if (has_broken_encoding(target)) return bad_input("its percent-encoding is broken");
  std::uint16_t port = 443;
  const std::size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos) {
    const auto digits = authority.substr(colon + 1);
    const auto number = digits.empty() ? 443 : parse_decimal(digits).value_or(0);
    if (number == 0 || number > 65535) return bad_input("its port is none");
    port = static_cast<std::uint16_t>(number);
    authority = authority.substr(0, colon);
  }
  auto host = parse_host(authority);
  if (!host) return host.error();
  return HttpsDestination{std::move(*host), port, (target.starts_with('/') ? "" : "/") + std::string(target)};
}
}  // namespace

std::string MailDestination::text() const {
  if (is_dot_string(local)) return local + "@" + domain.text();
  std::string quoted = "\"";
  for (const char c : local) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"@" + domain.text();
}

std::string HttpsDestination::text() const {
  const auto* ip = std::get_if<Ip>(&host);
  std::string out = "https://";
  if (ip == nullptr) {
    out += std::get<dns::Name>(host).text();
  } else {
    out += ip->is_v6() ? "[" + ip->text() + "]" : ip->text();
  }
  if (port != 443) out += ":" + std::to_string(port);
  return out + target;
}

std::string to_text(const Destination& destination) {
  if (const auto* mail = std::get_if<MailDestination>(&destination)) return "mailto:" + mail->text();
  return std::get<HttpsDestination>(destination).text();
}

Result<Destination> parse_destination(std::string_view uri) {
  if (uri.empty()) return bad_input("it is empty");
  if (uri.size() > longest_uri) return bad_input("it is too long");
  const auto bad = std::find_if_not(uri.begin(), uri.end(), is_uri_octet);
  if (bad != uri.end()) {
    return bad_input(*bad == '!' || *bad == ';' ? std::string("its \"") + *bad + "\" would have to be percent-encoded"
                                                : "it has octets that no URI has");
  }
  const std::size_t colon = uri.find(':');
  if (colon == std::string_view::npos) return bad_input("it has no scheme; mailto: and https: are used");
  const std::string scheme = to_lower(uri.substr(0, colon));
  if (scheme == "mailto") return parse_mailto(uri.substr(colon + 1));
  if (scheme == "https") return parse_https(uri.substr(colon + 1));
  return bad_input("reports go to mailto: and https: only");
}

}  // namespace hoplock::tlsrpt
