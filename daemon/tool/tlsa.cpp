// SPDX-License-Identifier: Apache-2.0
// `hoplock tlsa CERT.pem|HOST[:PORT]`
#include <filesystem>

#include "base/ascii.h"
#include "config/files.h"
#include "daemon/system.h"
#include "daemon/tool/commands.h"
#include "daemon/tool/json.h"
#include "daemon/tool/network.h"
#include "daemon/tool/text.h"
#include "daemon/tool/tlsa_next.h"
#include "probe/certificate.h"
#include "probe/live.h"

namespace hoplock::daemon::tool {

namespace {

// The number that an option gives, when it is allowed.
std::optional<std::uint8_t> number(const Call& call, std::string_view option, std::string_view allowed) {
  const auto text = call.arguments.get(option);
  if (!text) return static_cast<std::uint8_t>(option == "--usage" ? 3 : 1);
  if (text->size() == 1 && allowed.find(text->front()) != std::string_view::npos)
    return static_cast<std::uint8_t>(text->front() - '0');
  std::string list;
  for (const char c : allowed) list += (list.empty() ? "" : ", ") + std::string(1, c);
  complain(call.console, usage,
           std::string(option) + ": '" + *text + "' is not allowed here; allowed: " + list +
               (option == "--usage" ? " (0 and 1 are of no use for SMTP, RFC 7672 section 3.1.3)" : ""));
  return std::nullopt;
}

struct Wanted {
  probe::Parameters parameters;
  std::optional<dns::Name> name;
};
std::optional<Wanted> wanted(const Call& call) {
  const auto usage_field = number(call, "--usage", "23");
  const auto selector = usage_field ? number(call, "--selector", "01") : std::nullopt;
  const auto matching = selector ? number(call, "--matching", "012") : std::nullopt;
  if (!matching) return std::nullopt;
  Wanted result;
  result.parameters = {*usage_field, *selector, *matching};
  if (const auto text = call.arguments.get("--name")) {
    auto name = dns::Name::parse(*text);
    if (!name || name->is_root()) {
      complain(call.console, usage, "--name: '" + *text + "' is no host name");
      return std::nullopt;
    }
    result.name = std::move(*name);
  }
  return result;
}

// "mx.example.org", "mx.example.org:465", "192.0.2.1", "[192.0.2.1]:587", "2001:db8::1", "[2001:db8::1]:25"
std::optional<probe::LiveTarget> parse_target(std::string_view text) {
  probe::LiveTarget target;
  std::string_view port;
  if (const auto ip = Ip::parse(text)) {
    target.host = *ip;
    return target;
  }
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    const auto ip = Ip::parse(text.substr(1, end - 1));
    if (!ip || (end + 1 < text.size() && text[end + 1] != ':')) return std::nullopt;
    target.host = *ip;
    port = text.substr(end + 1);
  } else {
    const auto colon = text.find(':');
    port = colon == std::string_view::npos ? std::string_view() : text.substr(colon);
    const std::string_view host = text.substr(0, colon);
    if (const auto ip = Ip::parse(host)) {
      target.host = *ip;
    } else {
      auto name = dns::Name::parse(host);
      if (!name || name->is_root()) return std::nullopt;
      target.host = std::move(*name);
    }
  }
  if (port.empty()) return target;
  const auto value = parse_decimal(port.substr(1));
  if (!value || *value == 0 || *value > 65535) return std::nullopt;
  target.port = static_cast<std::uint16_t>(*value);
  return target;
}

std::string owner(const dns::Name& name, std::uint16_t port) {
  return "_" + std::to_string(port) + "._tcp." + name.text();
}

json::object record_to_json(const std::optional<std::string>& name, const dns::Tlsa& record) {
  json::object to;
  to["name"] = name ? json::value(clean(*name)) : json::value();
  to["usage"] = record.usage;
  to["selector"] = record.selector;
  to["matching"] = record.matching;
  to["data"] = to_hex(record.data);
  to["matches"] = nullptr;
  return to;
}

void print_one(const Call& call, json::object object) {
  json::array list;
  list.push_back(std::move(object));
  call.console.out << to_line(list) << '\n';
}

// As in a zone file, whatever the terminal's width.
void print_record(const Call& call, const std::string& name, const dns::Tlsa& record) {
  call.console.out << printable(name) << ". IN TLSA " << printable(record.text()) << '\n';
}

int of_file(const Call& call, const Wanted& wanted, const std::string& path) {
  const auto octets = config::read_file(path);
  if (!octets) return complain(call.console, io_error, "'" + path + "' cannot be read: " + octets.error().detail);
  const auto chain = probe::parse_certificates(*octets);
  if (!chain) return complain(call.console, no, "'" + path + "': " + chain.error().detail);
  const auto record = probe::record_for(*chain, wanted.parameters);
  if (!record) return complain(call.console, no, "'" + path + "': " + record.error().detail);
  auto name = wanted.name;
  if (!name) name = probe::first_name(chain->front());
  if (call.arguments.json) {
    print_one(call, record_to_json(name ? std::optional(owner(*name, 25)) : std::nullopt, *record));
  } else {
    print_record(call, name ? owner(*name, 25) : "_25._tcp.MXNAME", *record);
  }
  return ok;
}

// What DNS holds, and how that fits what the host presents, in one sentence.
std::string judgement(const probe::Live& live) {
  using State = hop::TlsaFact::State;
  const auto& published = live.published;
  if (live.matched) return "DNS holds a record that matches: " + live.matched->params();
  if (live.name.is_root()) return "an address has no TLSA records; --name MXNAME says whose to look at";
  if (published.state == State::failed) return "the TLSA look-up failed: " + published.why;
  if (published.state == State::not_asked) return "DNS holds no TLSA that counts: the host's addresses are not signed";
  if (published.state == State::absent) return "DNS holds no TLSA record for it";
  if (live.usable.empty()) return "DNS holds TLSA records, but none that is usable for SMTP";
  std::string text = "no TLSA record in DNS matches";
  for (const auto& defect : live.defects) text += "; " + std::string(to_text(defect.reason)) + ": " + defect.text;
  return text;
}

int tell(const Call& call, const Wanted& wanted, const probe::LiveTarget& target, const probe::Live& live) {
  const auto record = probe::record_for(live.chain, wanted.parameters);
  if (!record) return complain(call.console, no, record.error().detail);
  auto name = live.name.is_root() ? probe::first_name(live.chain.front()) : std::optional(live.name);
  const bool matches = live.matched.has_value();
  if (call.arguments.json) {
    json::object object = record_to_json(name ? std::optional(owner(*name, target.port)) : std::nullopt, *record);
    object["matches"] = matches;
    object["ip"] = live.ip.text();
    object["tls"] = clean(live.tls);
    object["matched"] = live.matched ? json::value(clean(live.matched->params())) : json::value();
    json::array published;
    for (const auto& one : live.published.records) published.emplace_back(clean(one.text()));
    object["dns"] = std::move(published);
    object["detail"] = clean(judgement(live));
    print_one(call, std::move(object));
  } else {
    print_record(call, name ? owner(*name, target.port) : "_" + std::to_string(target.port) + "._tcp.MXNAME", *record);
    const net::Endpoint at{live.ip, target.port};
    call.console.out << "; " << at.text() << ", " << printable(live.tls) << ": " << printable(judgement(live)) << '\n';
    for (const auto& one : live.published.records) call.console.out << "; in DNS: " << printable(one.text()) << '\n';
  }
  return matches ? ok : no;
}

int of_host(const Call& call, const Wanted& wanted, probe::LiveTarget target) {
  target.name = wanted.name;
  const auto network = Network::open(call.loaded.config, call.console, OwnHosts::allowed);
  if (!network) return complain(call.console, config_error, network.error().detail);
  if (const auto* name = std::get_if<dns::Name>(&target.host)) {
    if (const auto silence = (*network)->silence({*name}))
      return complain(call.console, no, silence->text + "; " + silence->advice);
  }
  const auto done = (*network)->run(probe::look_live((*network)->tools(), target));
  if (!done) return complain(call.console, software, broke_off);
  const Result<probe::Live>& live = *done;
  if (!live) return complain(call.console, no, call.arguments.words.front() + ": " + live.error().detail);
  return tell(call, wanted, target, *live);
}

// Without a host, that of --name, else the first name of the next certificate.
std::optional<probe::LiveTarget> target_of_next(const Call& call, const Wanted& wanted) {
  if (!call.arguments.words.empty()) return parse_target(call.arguments.words.front());
  auto name = wanted.name;
  if (!name) {
    const auto text = config::read_file(call.arguments.get("--next").value_or(""));
    const auto chain = text ? probe::parse_certificates(*text) : Result<std::vector<std::string>>(text.error());
    if (chain) name = probe::first_name(chain->front());
  }
  if (!name) return std::nullopt;
  probe::LiveTarget target;
  target.host = *name;
  return target;
}

int of_next(const Call& call, const Wanted& wanted) {
  auto target = target_of_next(call, wanted);
  if (!target) {
    return complain(
        call.console, usage,
        "--next: whose certificate it will be is not known; allowed: hoplock tlsa mx.example.org --next NEW.pem");
  }
  target->name = wanted.name;
  return tlsa_next(call, wanted.parameters, *target);
}

}  // namespace

int tlsa(const Call& call) {
  const auto which = wanted(call);
  if (!which) return usage;
  if (call.arguments.has("--next")) return of_next(call, *which);
  for (const char* const option : {"--published", "--ttl"}) {
    if (call.arguments.has(option)) return complain(call.console, usage, std::string(option) + " goes with --next");
  }
  if (call.arguments.words.empty())
    return complain(call.console, usage, "an argument is missing; usage: hoplock tlsa CERT.pem|HOST[:PORT]");
  const std::string& word = call.arguments.words.front();
  std::error_code ignored;
  const bool file = std::filesystem::is_regular_file(word, ignored) || word.find('/') != std::string::npos ||
                    word.ends_with(".pem") || word.ends_with(".crt") || word.ends_with(".cer") ||
                    word.ends_with(".der");
  if (file) return of_file(call, *which, word);
  auto target = parse_target(word);
  if (!target) {
    return complain(
        call.console, usage,
        "'" + word +
            "' is neither a file nor a host; allowed: CERT.pem, mx.example.org, mx.example.org:465, [192.0.2.1]:25");
  }
  return of_host(call, *which, std::move(*target));
}

}  // namespace hoplock::daemon::tool
