// SPDX-License-Identifier: Apache-2.0
#include "daemon/tool/tlsa_next.h"

#include <algorithm>
#include <utility>

#include "config/files.h"
#include "config/values.h"
#include "daemon/system.h"
#include "daemon/tool/json.h"
#include "daemon/tool/network.h"
#include "daemon/tool/text.h"
#include "resolver/addresses.h"

namespace hoplock::daemon::tool {

namespace asio = boost::asio;

namespace {

using Stage = RenewalStep::State;

constexpr Seconds longest_seen{3600};  // our resolver keeps nothing for longer
constexpr Seconds assumed{24 * 3600};  // of a TTL that cannot be seen
constexpr std::size_t most_addresses = 16;

bool is_of(const dns::Tlsa& record, const std::vector<std::string>& chain) {
  if (record.usage != 2 && record.usage != 3) return false;
  const auto own = probe::record_for(chain, {record.usage, record.selector, record.matching});
  return own && own->data == record.data;
}

std::string owner_of(const dns::Name& name, std::uint16_t port) {
  return "_" + std::to_string(port) + "._tcp." + name.text();
}

// What the operator must know beside Renewal.
struct Looked {
  Renewal renewal;
  std::string owner;
  std::string trouble;  // why no step can be named; "" for none
  bool is_ttl_assumed = false;
};

struct Question {
  probe::LiveTarget target;
  dns::Name name;
  std::vector<std::string> chain;  // the next certificate's
  bool is_ttl_seen = true;         // no other resolver counts it down
};

asio::awaitable<std::vector<Ip>> addresses_to_ask(probe::Tools tools, probe::LiveTarget target) {
  if (const auto* ip = std::get_if<Ip>(&target.host)) co_return std::vector<Ip>{*ip};
  const dns::Name host = std::get<dns::Name>(target.host);
  const auto answers = co_await resolver::find_addresses(tools.resolver, host, resolver::Families::both);
  auto all = resolver::addresses_in(answers);
  all.resize(std::min(all.size(), most_addresses));
  co_return all;
}

void take_records(Looked& looked, const dns::Answer& answer, const std::vector<std::string>& chain) {
  if (answer.failed()) {
    looked.trouble = "the TLSA look-up failed: " + answer.why;
  } else if (!answer.secure()) {
    looked.trouble = "the zone is not signed: no TLSA record in it counts";
  }
  for (const auto& one : answer.all<dns::Tlsa>())
    (is_of(one, chain) ? looked.renewal.next_in_dns : looked.renewal.rest_in_dns).push_back(one);
}

asio::awaitable<Looked> look_at_renewal(probe::Tools tools, Question question) {
  Looked looked;
  Renewal& found = looked.renewal;
  dns::Name base = question.name;
  const auto addresses = co_await addresses_to_ask(tools, question.target);
  for (const Ip& ip : addresses) {
    probe::LiveTarget one;
    one.host = ip;
    one.port = question.target.port;
    one.name = question.name;
    const auto live = co_await probe::look_live(tools, std::move(one));
    if (!live) {
      ++found.unreachable;
      continue;
    }
    ++found.addresses;
    if (live->published.state == hop::TlsaFact::State::present) base = live->published.base;
    if (live->published.state == hop::TlsaFact::State::not_asked)
      looked.trouble = "the addresses of " + question.name.text() + " are not signed: no TLSA record counts";
    if (live->chain.front() == question.chain.front())
      ++found.with_next;
    else if (auto record = probe::record_for(live->chain, {3, 1, 1}))
      found.current = std::move(*record);
  }
  looked.owner = owner_of(base, question.target.port);
  auto owner = dns::Name::parse(looked.owner);
  if (!owner) {
    looked.trouble = "'" + looked.owner + "' is no name";
    co_return looked;
  }
  const auto answer = co_await tools.resolver.find(std::move(*owner), dns::Type::tlsa);
  take_records(looked, answer, question.chain);
  looked.is_ttl_assumed = !question.is_ttl_seen || answer.ttl >= longest_seen;
  found.ttl = looked.is_ttl_assumed ? assumed : answer.ttl;
  co_return looked;
}

void print_step(const Call& call, const Looked& looked, const RenewalStep& step) {
  auto& out = call.console.out;
  out << printable(step.text) << '\n';
  for (const auto& one : step.records) out << printable(looked.owner) << ". IN TLSA " << printable(one.text()) << '\n';
  if (step.state == Stage::wait && looked.is_ttl_assumed)
    out << "; a day is assumed: our resolver cannot see a TTL of an hour or more, nor one that dns.forward counts "
           "down; "
           "--ttl says what the zone has\n";
}

void print_json(const Call& call, const Looked& looked, const RenewalStep& step) {
  json::object to;
  to["name"] = clean(looked.owner);
  to["state"] = to_text(step.state);
  to["detail"] = clean(step.text);
  json::array records;
  for (const auto& one : step.records) records.emplace_back(clean(one.text()));
  to["records"] = std::move(records);
  to["not_before"] = time_or_null(step.not_before);
  to["ttl"] = looked.renewal.ttl.count();
  call.console.out << to_line(to) << '\n';
}

// --published and --ttl; the complaint is told.
bool take_words(const Call& call, std::optional<Time>& since, std::optional<Seconds>& ttl) {
  if (const auto text = call.arguments.get("--published")) {
    since = parse_rfc3339(*text);
    if (!since || *since > call.console.now) {
      complain(call.console, usage,
               "--published: '" + *text + "' is no time in the past; allowed: as in " + moment(call.console.now));
      return false;
    }
  }
  if (const auto text = call.arguments.get("--ttl")) {
    const auto duration = config::Duration::parse(*text);
    if (!duration) {
      complain(call.console, usage, "--ttl: " + duration.error().detail);
      return false;
    }
    ttl = std::chrono::ceil<Seconds>(duration->value);
  }
  return true;
}

}  // namespace

std::string_view to_text(RenewalStep::State state) {
  switch (state) {
    case Stage::publish:
      return "publish";
    case Stage::broken:
      return "broken";
    case Stage::wait:
      return "wait";
    case Stage::install:
      return "install";
    case Stage::remove:
      return "remove";
    case Stage::done:
      return "done";
  }
  return "";
}

RenewalStep next_step(const Renewal& found, Time now) {
  RenewalStep step;
  const bool is_installed = found.with_next > 0;
  if (found.next_in_dns.empty()) {
    step.state = is_installed ? Stage::broken : Stage::publish;
    step.records = {found.wanted};
    if (is_installed) {
      step.text =
          "the certificate is in use and DNS holds no record for it: senders with DANE refuse the host; publish now:";
    } else if (found.rest_in_dns.empty() && found.current) {
      step.records.push_back(*found.current);
      step.text = "DNS holds no TLSA record; publish that of what is presented now beside the next one:";
    } else {
      step.text = "1. publish beside the records that are there, and take none away:";
    }
    return step;
  }
  if (!is_installed) {
    if (!found.since) {
      step.state = Stage::wait;
      step.not_before = now + found.ttl;
      step.text = "2. DNS holds the record. Resolvers may know the records of before until " +
                  moment(*step.not_before) + ": put the certificate in place after that. With --published " +
                  moment(now) + " (or when it was in truth) this command says when the time has come.";
      return step;
    }
    const Time end = *found.since + found.ttl;
    step.state = now < end ? Stage::wait : Stage::install;
    if (now < end) step.not_before = end;
    step.text = now < end ? "2. not before " + moment(end) + ": resolvers may know the records of before until then"
                          : "3. put the certificate in place: every resolver knows its record by now";
    return step;
  }
  if (!found.since || now < *found.since + found.ttl) {
    step.state = Stage::wait;
    step.not_before = found.since.value_or(now) + found.ttl;
    step.text = "the certificate is in use, and resolvers may know the records of before until " +
                moment(*step.not_before) +
                (found.since ? "" : ", for when the record was published is not known; --published TIME says it") +
                ". Take no record away until then.";
    return step;
  }
  const std::size_t asked = found.addresses + found.unreachable;
  if (found.with_next < asked) {
    step.state = Stage::install;
    step.text = "3. the certificate is in use at " + std::to_string(found.with_next) + " of " + std::to_string(asked) +
                " addresses" +
                (found.unreachable > 0 ? ", and " + std::to_string(found.unreachable) + " cannot be reached" : "") +
                "; the old record must stay until all present it";
    return step;
  }
  step.state = found.rest_in_dns.empty() ? Stage::done : Stage::remove;
  step.records = found.rest_in_dns;
  step.text = found.rest_in_dns.empty() ? "done: the certificate is in use, and DNS holds its record and no other"
                                        : "4. the certificate is in use everywhere; remove what it does not match, but "
                                          "for the record of a spare key:";
  return step;
}

int tlsa_next(const Call& call, probe::Parameters parameters, const probe::LiveTarget& target) {
  const std::string path = call.arguments.get("--next").value_or("");
  std::optional<Time> since;
  std::optional<Seconds> ttl;
  if (!take_words(call, since, ttl)) return usage;
  const auto text = config::read_file(path);
  if (!text) return complain(call.console, io_error, "'" + path + "' cannot be read: " + text.error().detail);
  auto chain = probe::parse_certificates(*text);
  if (!chain) return complain(call.console, no, "'" + path + "': " + chain.error().detail);
  auto wanted = probe::record_for(*chain, parameters);
  if (!wanted) return complain(call.console, no, "'" + path + "': " + wanted.error().detail);
  Question question{target, {}, std::move(*chain), call.loaded.config.dns.forward.empty()};
  const auto* host = std::get_if<dns::Name>(&target.host);
  question.name = target.name ? *target.name : host != nullptr ? *host : dns::Name();
  if (question.name.is_root())
    return complain(call.console, usage, "an address has no TLSA records; --name MXNAME says whose they are");
  const auto network = Network::open(call.loaded.config, call.console, OwnHosts::allowed);
  if (!network) return complain(call.console, config_error, network.error().detail);
  if (const auto silence = (*network)->silence({question.name}))
    return complain(call.console, no, silence->text + "; " + silence->advice);
  auto task = look_at_renewal((*network)->tools(), std::move(question));
  auto done = (*network)->run(std::move(task));
  if (!done) return complain(call.console, software, broke_off);
  Looked& looked = *done;
  if (!looked.trouble.empty()) return complain(call.console, no, looked.owner + ": " + looked.trouble);
  if (looked.renewal.addresses == 0)
    return complain(call.console, no,
                    call.arguments.words.empty() ? "the host cannot be reached"
                                                 : call.arguments.words.front() + " cannot be reached");
  looked.renewal.wanted = std::move(*wanted);
  looked.renewal.since = since;
  if (ttl) {
    looked.renewal.ttl = *ttl;
    looked.is_ttl_assumed = false;
  }
  const RenewalStep step = next_step(looked.renewal, call.console.now);
  if (call.arguments.json)
    print_json(call, looked, step);
  else
    print_step(call, looked, step);
  return step.state == Stage::done ? ok : no;
}

}  // namespace hoplock::daemon::tool
