// SPDX-License-Identifier: Apache-2.0
// `hoplock dkim …`: keys that sign, and the records that others verify them by (RFC 6376 section 3.6, RFC 8463).
#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "config/files.h"
#include "daemon/options.h"
#include "daemon/signing_keys.h"
#include "daemon/system.h"
#include "daemon/tool/commands.h"
#include "daemon/tool/json.h"
#include "daemon/tool/network.h"
#include "daemon/tool/text.h"

namespace hoplock::daemon::tool {

namespace {

constexpr std::size_t longest_string = 255;  // of a TXT record (RFC 1035 section 3.3.14)

// The record in strings that fit, each in quotes.
std::string in_strings(std::string_view record) {
  std::string text;
  for (; !record.empty(); record.remove_prefix(std::min(record.size(), longest_string)))
    text += (text.empty() ? "\"" : " \"") + std::string(record.substr(0, longest_string)) + "\"";
  return text;
}

std::string for_zone_file(const std::string& owner, std::string_view record) {
  return owner + ". 3600 IN TXT ( " + in_strings(record) + " )";
}

// dnscmd takes a record's strings one by one; the DNS console takes a line each.
std::string for_windows(const std::string& selector, const dns::Name& domain, std::string_view record) {
  return "dnscmd /RecordAdd " + domain.text() + " " + selector + "._domainkey TXT " + in_strings(record);
}

std::filesystem::path directory_of_keys(const Call& call) {
  const std::filesystem::path config = call.arguments.config.value_or(usual_config);
  return std::filesystem::absolute(config).parent_path() / "dkim";
}

// Readable by the service's group where there is one, and by nobody else. The error names the file.
Result<> store_key(const std::filesystem::path& path, std::string_view pem) {
  const auto failed = [&path](int error) {
    return fail(error_code(error, boost::system::system_category()),
                "'" + path.string() + "': " + std::strerror(error));
  };
  std::error_code ec;
  std::filesystem::create_directories(path.parent_path(), ec);
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
  if (fd < 0) return failed(errno);
  const group* service = ::getgrnam("hoplock");
  if (service != nullptr && ::geteuid() == 0) [[maybe_unused]]
    const int ignored = ::fchown(fd, static_cast<uid_t>(-1), service->gr_gid);
  const bool written = ::write(fd, pem.data(), pem.size()) == static_cast<ssize_t>(pem.size()) && ::fsync(fd) == 0;
  const int error = errno;
  ::close(fd);
  if (written) return {};
  ::unlink(path.c_str());
  return failed(error);
}

std::optional<dns::Name> domain_of(const Call& call) {
  auto domain = dns::Name::parse(call.arguments.words.front());
  if (domain && !domain->is_root()) return std::move(*domain);
  complain(call.console, usage,
           "'" + call.arguments.words.front() + "' is no domain; allowed: a name such as example.org");
  return std::nullopt;
}

void print_record(const Call& call, const dkim::Identity& identity) {
  const std::string record = identity.key->record(), owner = record_name(identity);
  call.console.out << (call.arguments.has("--windows") ? for_windows(identity.selector, identity.domain, record)
                                                       : for_zone_file(owner, record))
                   << '\n';
}

// Of one that left the configuration the key is null.
json::object identity_to_json(const dkim::Identity& identity) {
  json::object to;
  to["domain"] = clean(identity.domain.text());
  to["selector"] = clean(identity.selector);
  to["algorithm"] = identity.key ? json::value(to_text(identity.key->algorithm())) : json::value(nullptr);
  to["name"] = clean(record_name(identity));
  to["record"] = identity.key ? json::value(clean(identity.key->record())) : json::value(nullptr);
  return to;
}

// "relay202611": a new month, a new name, so that keys can be changed without a gap.
std::string usual_selector(Time now) {
  const std::string day = moment(now);
  return "relay" + day.substr(0, 4) + day.substr(5, 2);
}

std::string_view words_of(const KeyLife& life, Time now) {
  if (life.is_over(now)) return "removable";
  if (life.role == dkim::Role::retires) return "retires";
  return life.role == dkim::Role::signs ? "signs" : "waits";
}

// What that means for the operator.
std::string sentence(const KeyLife& life, Time now) {
  if (life.is_over(now)) return "signs no more: record and configuration may go";
  if (life.role == dkim::Role::retires) return "signs no more: its record must stay until " + moment(*life.until);
  if (life.role == dkim::Role::signs) return "signs";
  return life.another_signs ? "waits for its record in the DNS; until then the one before it signs"
                            : "waits for its record in the DNS; nothing signs until then";
}

bool is_named(const dkim::Past& past, const config::Dkim& entry) {
  return past.domain == entry.domain && past.selector == entry.selector;
}

// The keys of the configuration, and those that left it but must stay published.
struct Keys {
  std::shared_ptr<const dkim::Keyring> ring;
  std::vector<config::Dkim> entries;  // by the keyring's order
  std::vector<config::Dkim> barred;   // this user may not read their keys
  dkim::Pasts pasts;
  Milliseconds expire;
  std::vector<KeyLife> lives() const { return lives_of(*ring, pasts, expire); }
  dkim::Pasts gone() const {
    dkim::Pasts left;
    for (const auto& past : pasts) {
      const auto& all = ring->all();
      const auto is_it = [&](const dkim::Identity& one) { return dkim::past_of({past}, one) != nullptr; };
      const auto is_barred = [&](const config::Dkim& one) { return is_named(past, one); };
      if (std::none_of(all.begin(), all.end(), is_it) && std::ranges::none_of(barred, is_barred)) left.push_back(past);
    }
    return left;
  }
  KeyLife life_of(const dkim::Past& past, Time now) const {
    return {dkim::Role::retires, past.stopped.value_or(now) + dkim::longest_on_the_way(expire), false};
  }
  // By what the daemon remembers of it alone.
  KeyLife life_of(const config::Dkim& entry, Time now) const {
    const auto past = std::ranges::find_if(pasts, [&](const dkim::Past& one) { return is_named(one, entry); });
    if (past == pasts.end()) return {};
    return past->stopped ? life_of(*past, now) : KeyLife{dkim::Role::signs, std::nullopt, false};
  }
};

std::string not_compared(const config::Dkim& entry) { return "not compared: you may not read '" + entry.key + "'"; }

// Those of the configuration, or what is wrong with them, already told.
std::optional<Keys> configured(const Call& call) {
  config::Loaded loaded = call.loaded;
  auto& entries = loaded.config.dkim;
  const auto barred = std::stable_partition(entries.begin(), entries.end(),
                                            [](const config::Dkim& one) { return !config::is_barred(one.key); });
  Keys keys;
  keys.barred.assign(barred, entries.end());
  entries.erase(barred, entries.end());
  keys.ring = load_keyring(loaded);
  keys.entries = entries;
  keys.pasts = read_signing_past(signing_past_path(loaded.config));
  keys.expire = loaded.config.delivery.expire;
  if (keys.ring) return keys;
  for (const std::string& error : loaded.errors) call.console.err << printable(error) << '\n';
  return std::nullopt;
}

json::object gone_to_json(const dkim::Past& past) { return identity_to_json({past.domain, past.selector, nullptr}); }
json::object barred_to_json(const config::Dkim& entry) {
  return identity_to_json({entry.domain, entry.selector, nullptr});
}

json::object with_life(json::object to, const KeyLife& life, Time now) {
  to["state"] = words_of(life, now);
  to["until"] = life.role == dkim::Role::retires ? json::value(moment(*life.until)) : json::value(nullptr);
  return to;
}

}  // namespace

int dkim_new(const Call& call) {
  const Console& console = call.console;
  const auto domain = domain_of(call);
  if (!domain) return usage;
  if (call.arguments.has("--rsa") && call.arguments.has("--ed25519"))
    return complain(console, usage, "one key is of one kind; allowed: --rsa (default) or --ed25519");
  const std::string selector = call.arguments.words.size() > 1 ? call.arguments.words[1] : usual_selector(console.now);
  const auto algorithm =
      call.arguments.has("--ed25519") ? dkim::Algorithm::ed25519_sha256 : dkim::Algorithm::rsa_sha256;
  const auto pem = dkim::Key::make(algorithm);
  if (!pem) return complain(console, software, pem.error().detail);
  dkim::Identity identity{*domain, selector, std::make_shared<const dkim::Key>(dkim::Key::parse(*pem).value())};
  if (const auto ring = dkim::Keyring::make({identity}); !ring) return complain(console, usage, ring.error().detail);
  const auto path = directory_of_keys(call) / (domain->text() + "-" + selector + ".pem");
  const auto stored = store_key(path, *pem);
  if (!stored) return complain(console, cannot_create, stored.error().detail);
  if (call.arguments.json) {
    json::object object = identity_to_json(identity);
    object["key"] = clean(path.string());
    console.out << to_line(object) << '\n';
    return ok;
  }
  console.out << "The key is in " << printable(path.string()) << "\n\n1. Publish this record:\n\n";
  print_record(call, identity);
  console.out << "\n2. Add it to the configuration, below the domain's other keys, which stay as they are:\n\ndkim:\n  "
                 "- domain: "
              << domain->text() << "\n    selector: " << selector << "\n    key: " << printable(path.string())
              << "\n\n3. Say 'hoplock reload'. The key signs as soon as its record is seen in the DNS; an older one of "
                 "its kind\n"
                 "   signs until then. 'hoplock dkim check' says which signs, and when an older one may go.\n";
  return ok;
}

int dkim_list(const Call& call) {
  const auto keys = configured(call);
  if (!keys) return config_error;
  const Console& console = call.console;
  const auto& all = keys->ring->all();
  // what the daemon saw last stands for the DNS: a key that it does not remember never signed
  for (const auto& one : all) {
    const dkim::Past* past = dkim::past_of(keys->pasts, one);
    const bool signed_last = past != nullptr && !past->stopped;
    if (one.standing && !signed_last && !keys->pasts.empty()) one.standing->published = false;
  }
  const auto lives = keys->lives();
  json::array array;
  Table table(console.out, console.width, {{"DOMAIN"}, {"SELECTOR"}, {"ALGORITHM"}, {"STATE"}, {"KEY"}});
  const auto add = [&](json::object one, const KeyLife& life, const std::string& key) {
    const std::string algorithm = one["algorithm"].is_string() ? std::string(one["algorithm"].as_string()) : "-";
    const std::string under = life.role == dkim::Role::signs ? "" : sentence(life, console.now);
    table.add({std::string(one["domain"].as_string()), std::string(one["selector"].as_string()), algorithm,
               std::string(words_of(life, console.now)), key},
              under);
    one["key"] = key.empty() ? json::value(nullptr) : json::value(clean(key));
    array.push_back(with_life(std::move(one), life, console.now));
  };
  for (std::size_t i = 0; i < all.size(); ++i) add(identity_to_json(all[i]), lives[i], keys->entries[i].key);
  for (const auto& one : keys->barred) add(barred_to_json(one), keys->life_of(one, console.now), one.key);
  const auto gone = keys->gone();
  for (const auto& past : gone) add(gone_to_json(past), keys->life_of(past, console.now), "");
  if (call.arguments.json) {
    console.out << to_line(array) << '\n';
    return ok;
  }
  table.finish();
  if (array.empty()) console.out << "no keys; 'hoplock dkim new DOMAIN' makes one\n";
  return ok;
}

int dkim_record(const Call& call) {
  const auto domain = domain_of(call);
  if (!domain) return usage;
  const std::string& selector = call.arguments.words[1];
  const auto keys = configured(call);
  if (!keys) return config_error;
  const auto& all = keys->ring->all();
  const auto wanted = std::find_if(all.begin(), all.end(), [&](const dkim::Identity& one) {
    return one.domain == *domain && one.selector == selector;
  });
  for (const auto& one : keys->barred) {
    if (one.domain == *domain && one.selector == selector)
      return complain(call.console, no,
                      "you may not read '" + one.key + "', which the record is made from; as root: " +
                          "hoplock dkim record " + domain->text() + " " + selector);
  }
  dkim::Identity identity;
  if (wanted != all.end()) {
    identity = *wanted;
  } else {  // one that was made and is not configured yet
    const auto path = directory_of_keys(call) / (domain->text() + "-" + selector + ".pem");
    auto key = read_signing_key(path.string());
    if (!key)
      return complain(call.console, no,
                      "no key of " + domain->text() + " with selector '" + selector +
                          "' is configured, nor is one in '" + path.string() + "'");
    identity = {*domain, selector, std::make_shared<const dkim::Key>(std::move(*key))};
  }
  if (call.arguments.json) {
    call.console.out << to_line(identity_to_json(identity)) << '\n';
  } else {
    print_record(call, identity);
  }
  return ok;
}

int dkim_check(const Call& call) {
  const Console& console = call.console;
  const auto keys = configured(call);
  if (!keys) return config_error;
  const auto& all = keys->ring->all();
  const auto gone = keys->gone();
  if (all.empty() && gone.empty() && keys->barred.empty()) {
    if (call.arguments.json) console.out << "[]\n";
    return complain(console, no, "no keys are configured; 'hoplock dkim new DOMAIN' makes one");
  }
  const auto network = Network::open(call.loaded.config, console, OwnHosts::refused);
  if (!network) return complain(console, config_error, network.error().detail);
  auto task = look_at_records(keys->ring, report_domain(call.loaded.config), (*network)->tools().resolver);
  auto states = (*network)->run(std::move(task));
  if (!states) return complain(console, software, broke_off);
  const auto lives = keys->lives();
  bool good = true;
  json::array array;
  Table table(console.out, console.width, {{"RECORD"}, {"STATE"}});
  const auto add = [&](json::object one, const KeyLife& life, std::vector<std::string> complaints) {
    if (life.is_over(console.now)) complaints.clear();  // whether it is there does not matter
    std::string under;
    json::array words;
    for (const auto& complaint : complaints) {
      under += (under.empty() ? "" : "; ") + complaint;
      words.emplace_back(clean(complaint));
    }
    const std::string published = complaints.empty() && life.role == dkim::Role::signs ? "published, " : "";
    table.add({std::string(one["name"].as_string()), published + sentence(life, console.now)}, under);
    good = good && complaints.empty();
    one["good"] = complaints.empty();
    one["complaints"] = std::move(words);
    array.push_back(with_life(std::move(one), life, console.now));
  };
  for (std::size_t i = 0; i < all.size(); ++i) add(identity_to_json(all[i]), lives[i], (*states)[i].complaints);
  for (const auto& past : gone) add(gone_to_json(past), keys->life_of(past, console.now), {});
  for (const auto& one : keys->barred) {
    json::object row = barred_to_json(one);
    table.add({std::string(row["name"].as_string()), sentence(keys->life_of(one, console.now), console.now)},
              not_compared(one));
    row["good"] = nullptr;
    row["complaints"] = json::array{json::string(clean(not_compared(one)))};
    array.push_back(with_life(std::move(row), keys->life_of(one, console.now), console.now));
  }
  if (call.arguments.json)
    console.out << to_line(array) << '\n';
  else
    table.finish();
  return good ? ok : no;
}

}  // namespace hoplock::daemon::tool
