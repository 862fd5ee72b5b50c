// SPDX-License-Identifier: Apache-2.0
#include "daemon/signing_keys.h"

#include <sys/stat.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fstream>
#include <iterator>

#include "base/ascii.h"
#include "config/item.h"

namespace hoplock::daemon {

namespace {

bool is_open_to_all(const std::string& path) {
  struct stat about {};
  return stat(path.c_str(), &about) == 0 && (about.st_mode & (S_IROTH | S_IWOTH)) != 0;
}

std::vector<std::string> complaints_of(const dns::Answer& answer, const dkim::Identity& identity, dkim::Use use) {
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

Result<dkim::Key> read_signing_key(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string pem{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (in.bad() || pem.empty()) return bad_input("the file is empty or cannot be read");
  return dkim::Key::parse(pem);
}

std::shared_ptr<const dkim::Keyring> load_keyring(config::Loaded& loaded) {
  std::vector<dkim::Identity> identities;
  const auto& entries = loaded.config.dkim;
  bool good = true;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    auto key = read_signing_key(entries[i].key.path);
    if (!key) {
      loaded.complain(config::item("dkim", i, "key"),
                      "'" + entries[i].key.path + "': " + key.error().detail +
                          "; allowed: an RSA key of at least 2048 bits, or Ed25519, in PEM");
      good = false;
      continue;
    }
    if (is_open_to_all(entries[i].key.path))
      loaded.warn(config::item("dkim", i, "key"),
                  "every user of this machine can read or change '" + entries[i].key.path + "'");
    dkim::Identity identity;
    identity.domain = entries[i].domain;
    identity.selector = entries[i].selector;
    identity.key = std::make_shared<const dkim::Key>(std::move(*key));
    // until the DNS was asked it signs: a signature that cannot be verified yet does no harm, one that is missing may
    if (entries[i].sign == config::DkimSign::when_published) identity.may_sign = std::make_shared<bool>(true);
    auto with_it = identities;
    with_it.push_back(identity);
    if (const auto ring = dkim::Keyring::make(std::move(with_it)); !ring) {
      loaded.complain(config::item("dkim", i, "selector"), ring.error().detail);
      good = false;
      continue;
    }
    identities.push_back(std::move(identity));
  }
  if (!good) return nullptr;
  return std::make_shared<const dkim::Keyring>(dkim::Keyring::make(std::move(identities)).value());
}

namespace {

// Whether the DNS holds the public half of the key; nothing: it could not be asked.
std::optional<bool> is_published(const dns::Answer& answer, const dkim::Identity& identity) {
  if (answer.failed()) return std::nullopt;
  const auto texts = answer.all<std::string>();
  return std::any_of(texts.begin(), texts.end(), [&](const std::string& text) {
    const auto record = dkim::parse_record(text);
    return record && record->public_key == identity.key->public_key();
  });
}

// By identity: its complaints as one text, "" for none.
using Known = std::vector<std::string>;

boost::asio::awaitable<void> look_at_records(std::shared_ptr<const dkim::Keyring> keyring,
                                             std::optional<dns::Name> reports, RecordTools tools, Known& known) {
  known.resize(keyring->all().size());
  for (std::size_t i = 0; i < keyring->all().size(); ++i) {
    const dkim::Identity& identity = keyring->all()[i];
    const RecordState found = co_await look_at_record(identity, reports, tools.resolver);
    const bool signs = found.published.value_or(!identity.may_sign || *identity.may_sign);
    if (identity.may_sign) *identity.may_sign = signs;
    std::string all;
    for (const std::string& complaint : found.complaints) all += complaint + "\n";
    if (all == known[i]) continue;
    const bool mended = all.empty();
    known[i] = std::move(all);
    Event event(mended ? Level::info : Level::warn, "dkim-record");
    event.add("domain", identity.domain.text()).add("selector", identity.selector);
    if (mended) tools.log.write(event.add("action", "published"));
    for (const std::string& complaint : found.complaints) {
      Event one = event;
      one.add("error", record_name(identity) + ": " + complaint);
      if (identity.may_sign && !signs) one.add("action", "unsigned");
      tools.log.write(one);
    }
  }
}

}  // namespace

std::string record_name(const dkim::Identity& identity) {
  return identity.selector + "._domainkey." + identity.domain.text();
}

boost::asio::awaitable<RecordState> look_at_record(dkim::Identity identity, std::optional<dns::Name> reports,
                                                   resolver::Resolver& resolver) {
  RecordState state;
  auto where = dns::Name::parse(record_name(identity));
  if (!where) {  // Keyring::make has looked at the selector
    state.complaints = {"its record cannot be looked up: the selector makes no name"};
    co_return state;
  }
  const auto answer = co_await resolver.find(std::move(*where), dns::Type::txt);
  const auto use = reports && identity.domain == *reports ? dkim::Use::mail_and_reports : dkim::Use::mail;
  state.published = is_published(answer, identity);
  state.complaints = complaints_of(answer, identity, use);
  co_return state;
}

boost::asio::awaitable<void> check_records(std::shared_ptr<const dkim::Keyring> keyring,
                                           std::optional<dns::Name> reports, RecordTools tools) {
  Known known;
  co_await look_at_records(std::move(keyring), std::move(reports), tools, known);
}

boost::asio::awaitable<void> watch_records(std::weak_ptr<const dkim::Keyring> watched, std::optional<dns::Name> reports,
                                           RecordTools tools) {
  constexpr std::chrono::hours usually{1};
  constexpr std::chrono::minutes while_unpublished{1};
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
  for (Known known;;) {
    bool all_sign = true;
    if (auto keyring = watched.lock()) {
      co_await look_at_records(keyring, reports, tools, known);
      for (const auto& one : keyring->all()) all_sign = all_sign && (!one.may_sign || *one.may_sign);
    } else {
      co_return;  // a reload brought other keys
    }
    timer.expires_after(all_sign ? std::chrono::minutes(usually) : while_unpublished);
    co_await timer.async_wait(boost::asio::use_awaitable);
  }
}

}  // namespace hoplock::daemon
