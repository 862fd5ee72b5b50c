#include "daemon/signing_keys.h"

#include <sys/stat.h>

#include <fstream>
#include <iterator>

#include "base/ascii.h"
#include "dkim/record.h"

namespace hoplock::daemon {

namespace {

std::string key_item(std::size_t index, const char* key) { return "dkim[" + std::to_string(index) + "]." + key; }

Result<dkim::Key> read_key(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string pem{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (in.bad() || pem.empty()) return bad_input("the file is empty or cannot be read");
  return dkim::Key::parse(pem);
}

bool is_open_to_all(const std::string& path) {
  struct stat about {};
  return stat(path.c_str(), &about) == 0 && (about.st_mode & (S_IROTH | S_IWOTH)) != 0;
}

std::vector<std::string> judge(const dns::Answer& answer, const dkim::Identity& identity, dkim::Use use) {
  const std::string publish = "; publish there: \"" + identity.key->record() + "\"";
  if (answer.failed()) return {"its record cannot be looked up: " + answer.why};
  const auto texts = answer.all<std::string>();
  if (texts.empty()) return {"there is no record" + publish};
  if (texts.size() > 1) return {"there are " + std::to_string(texts.size()) + " records, one is needed" + publish};
  const auto record = dkim::parse_record(texts.front());
  if (!record) return {record.error().detail + publish};
  return dkim::complaints(*record, *identity.key, use);
}

}  // namespace

std::shared_ptr<const dkim::Keyring> load_keyring(config::Loaded& loaded) {
  std::vector<dkim::Identity> identities;
  const auto& entries = loaded.config.dkim;
  bool good = true;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    auto key = read_key(entries[i].key.path);
    if (!key) {
      loaded.complain(key_item(i, "key"), "'" + entries[i].key.path + "': " + key.error().detail +
                                              "; allowed: an RSA key of at least 2048 bits, or Ed25519, in PEM");
      good = false;
      continue;
    }
    if (is_open_to_all(entries[i].key.path))
      loaded.warn(key_item(i, "key"), "every user of this machine can read or change '" + entries[i].key.path + "'");
    dkim::Identity identity;
    identity.domain = entries[i].domain;
    identity.selector = entries[i].selector;
    identity.key = std::make_shared<const dkim::Key>(std::move(*key));
    auto with_it = identities;
    with_it.push_back(identity);
    if (const auto ring = dkim::Keyring::make(std::move(with_it)); !ring) {
      loaded.complain(key_item(i, "selector"), ring.error().detail);
      good = false;
      continue;
    }
    identities.push_back(std::move(identity));
  }
  if (!good) return nullptr;
  return std::make_shared<const dkim::Keyring>(dkim::Keyring::make(std::move(identities)).value());
}

boost::asio::awaitable<void> check_records(std::shared_ptr<const dkim::Keyring> keyring,
                                           std::optional<dns::Name> reports, resolver::Resolver& resolver, Log& log) {
  for (const dkim::Identity& identity : keyring->all()) {
    auto where = dns::Name::parse(identity.selector + "._domainkey." + identity.domain.text());
    if (!where) continue;  // nobody can ask for it either; Keyring::make has looked at the selector
    const std::string at = where->text();
    const auto answer = co_await resolver.find(std::move(*where), dns::Type::txt);
    const auto use = reports && identity.domain == *reports ? dkim::Use::mail_and_reports : dkim::Use::mail;
    for (const std::string& complaint : judge(answer, identity, use)) {
      log.write(Event(Level::warn, "dkim-record")
                    .add("domain", identity.domain.text())
                    .add("selector", identity.selector)
                    .add("error", at + ": " + complaint));
    }
  }
}

}  // namespace hoplock::daemon
