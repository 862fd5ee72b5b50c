// SPDX-License-Identifier: Apache-2.0
// `hoplock dkim …`: keys that sign, and the records that others verify them by (RFC 6376 section 3.6, RFC 8463).
#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

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

json::object identity_to_json(const dkim::Identity& identity) {
  json::object to;
  to["domain"] = clean(identity.domain.text());
  to["selector"] = clean(identity.selector);
  to["algorithm"] = to_text(identity.key->algorithm());
  to["name"] = clean(record_name(identity));
  to["record"] = clean(identity.key->record());
  return to;
}

// Those of the configuration, or what is wrong with them, already told.
std::optional<std::vector<dkim::Identity>> configured(const Call& call) {
  config::Loaded loaded = call.loaded;
  const auto keyring = load_keyring(loaded);
  if (keyring) return keyring->all();
  for (const std::string& error : loaded.errors) call.console.err << printable(error) << '\n';
  return std::nullopt;
}

// "relay202611": a new month, a new name, so that keys can be changed without a gap.
std::string usual_selector(Time now) {
  const std::string day = moment(now);
  return "relay" + day.substr(0, 4) + day.substr(5, 2);
}

boost::asio::awaitable<std::vector<RecordState>> look_up(std::vector<dkim::Identity> identities,
                                                         std::optional<dns::Name> reports,
                                                         resolver::Resolver& resolver) {
  std::vector<RecordState> states;
  for (const auto& identity : identities) states.push_back(co_await look_at_record(identity, reports, resolver));
  co_return states;
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
  console.out << "\n2. Add it to the configuration:\n\ndkim:\n  - domain: " << domain->text()
              << "\n    selector: " << selector << "\n    key: " << printable(path.string())
              << "\n\n3. When 'hoplock dkim check' finds the record, say 'hoplock reload'.\n";
  return ok;
}

int dkim_list(const Call& call) {
  const auto identities = configured(call);
  if (!identities) return config_error;
  const Console& console = call.console;
  const auto& entries = call.loaded.config.dkim;
  if (call.arguments.json) {
    json::array all;
    for (std::size_t i = 0; i < identities->size(); ++i) {
      json::object one = identity_to_json((*identities)[i]);
      one["key"] = clean(entries[i].key.path);
      all.push_back(std::move(one));
    }
    console.out << to_line(all) << '\n';
    return ok;
  }
  Table table(console.out, console.width, {{"DOMAIN"}, {"SELECTOR"}, {"ALGORITHM"}, {"KEY"}});
  for (std::size_t i = 0; i < identities->size(); ++i) {
    const auto& one = (*identities)[i];
    table.add({one.domain.text(), one.selector, std::string(to_text(one.key->algorithm())), entries[i].key.path});
  }
  table.finish();
  if (identities->empty()) console.out << "no keys; 'hoplock dkim new DOMAIN' makes one\n";
  return ok;
}

int dkim_record(const Call& call) {
  const auto domain = domain_of(call);
  if (!domain) return usage;
  const std::string& selector = call.arguments.words[1];
  auto identities = configured(call);
  if (!identities) return config_error;
  const auto wanted = std::find_if(identities->begin(), identities->end(), [&](const dkim::Identity& one) {
    return one.domain == *domain && one.selector == selector;
  });
  dkim::Identity identity;
  if (wanted != identities->end()) {
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
  const auto identities = configured(call);
  if (!identities) return config_error;
  if (identities->empty()) return complain(console, no, "no keys are configured; 'hoplock dkim new DOMAIN' makes one");
  const auto network = Network::open(call.loaded.config, console, Whose::ours);
  if (!network) return complain(console, config_error, network.error().detail);
  auto task = look_up(*identities, report_domain(call.loaded.config), (*network)->tools().resolver);
  const auto states = (*network)->run(std::move(task));
  if (!states) return complain(console, software, broke_off);
  bool good = true;
  json::array all;
  Table table(console.out, console.width, {{"RECORD"}, {"STATE"}});
  for (std::size_t i = 0; i < identities->size(); ++i) {
    const auto& one = (*identities)[i];
    const auto& complaints = (*states)[i].complaints;
    good = good && complaints.empty();
    json::object object = identity_to_json(one);
    object["good"] = complaints.empty();
    json::array words;
    for (const auto& complaint : complaints) {
      words.emplace_back(clean(complaint));
      table.add({record_name(one), complaint});
    }
    object["complaints"] = std::move(words);
    all.push_back(std::move(object));
    if (complaints.empty()) table.add({record_name(one), "published"});
  }
  if (call.arguments.json)
    console.out << to_line(all) << '\n';
  else
    table.finish();
  return good ? ok : no;
}

}  // namespace hoplock::daemon::tool
