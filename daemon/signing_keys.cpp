// SPDX-License-Identifier: Apache-2.0
#include "daemon/signing_keys.h"

#include <sys/stat.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>

#include "config/files.h"
#include "config/item.h"
#include "net/clock.h"

namespace hoplock::daemon {

namespace {

constexpr std::chrono::hours forgotten_after{30 * 24};  // once a record may be removed

void give_out(const dkim::Keyring& keyring, const std::vector<dkim::Role>& roles) {
  for (std::size_t i = 0; i < roles.size(); ++i) {
    if (const auto& standing = keyring.all()[i].standing) standing->signs = roles[i] == dkim::Role::signs;
  }
}

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
  const auto pem = config::read_file(path, config::most_of_certificates);
  if (!pem) return fail(pem.error().code, "the file is empty or cannot be read: " + pem.error().detail);
  if (pem->empty()) return bad_input("the file is empty or cannot be read");
  return dkim::Key::parse(*pem);
}

std::shared_ptr<const dkim::Keyring> load_keyring(config::Loaded& loaded) {
  std::vector<dkim::Identity> identities;
  const auto& entries = loaded.config.dkim;
  bool good = true;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    auto key = read_signing_key(entries[i].key);
    if (!key) {
      loaded.complain(config::item("dkim", i, "key"),
                      "'" + entries[i].key + "': " + key.error().detail +
                          "; allowed: an RSA key of at least 2048 bits, or Ed25519, in PEM");
      good = false;
      continue;
    }
    if (is_open_to_all(entries[i].key))
      loaded.warn(config::item("dkim", i, "key"),
                  "every user of this machine can read or change '" + entries[i].key + "'");
    dkim::Identity identity;
    identity.domain = entries[i].domain;
    identity.selector = entries[i].selector;
    identity.key = std::make_shared<const dkim::Key>(std::move(*key));
    // until the DNS was asked it signs: a signature that cannot be verified yet does no harm, one that is missing may
    if (entries[i].sign == config::DkimSign::when_published) identity.standing = std::make_shared<dkim::Standing>();
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
  auto ring = std::make_shared<const dkim::Keyring>(dkim::Keyring::make(std::move(identities)).value());
  give_out(*ring, dkim::roles(*ring, read_signing_past(signing_past_path(loaded.config))));
  return ring;
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

// What was told already.
struct Known {
  std::vector<std::string> complaints;  // by identity, as one text, "" for none
  std::set<std::string> removable;      // names of records
};

// A line for what keeps others from verifying what the key signs, or for its end.
void tell_record(const dkim::Identity& identity, const KeyLife& life, const RecordState& found, Log& log) {
  const bool mended = found.complaints.empty();
  Event event(mended ? Level::info : Level::warn, "dkim-record");
  event.add("domain", identity.domain.text()).add("selector", identity.selector);
  if (mended) return log.write(event.add("action", "published"));
  for (const std::string& complaint : found.complaints) {
    Event one = event;
    one.add("error", record_name(identity) + ": " + complaint);
    if (life.role == dkim::Role::waits) one.add("action", life.another_signs ? "waiting" : "unsigned");
    if (life.role == dkim::Role::retires) one.add("action", "retiring").add("until", to_rfc3339(*life.until));
    log.write(one);
  }
}

// The keys that sign no more from now on, and what signs in their place.
void tell_changes(const dkim::Keyring& keyring, const dkim::Pasts& before, const std::vector<KeyLife>& lives,
                  Log& log) {
  for (std::size_t i = 0; i < lives.size(); ++i) {
    const dkim::Identity& identity = keyring.all()[i];
    const dkim::Past* past = dkim::past_of(before, identity);
    bool replaces = false;
    for (std::size_t other = 0; other < lives.size(); ++other)
      replaces = replaces || (lives[other].role == dkim::Role::retires && are_siblings(identity, keyring.all()[other]));
    Event event(Level::info, "dkim-record");
    event.add("domain", identity.domain.text()).add("selector", identity.selector);
    if (lives[i].role == dkim::Role::retires && (past == nullptr || !past->stopped))
      log.write(event.add("action", "retiring").add("until", to_rfc3339(*lives[i].until)));
    if (lives[i].role == dkim::Role::signs && replaces && (past == nullptr || past->stopped))
      log.write(event.add("action", "signs"));
  }
}

void tell_removable(const dkim::Pasts& pasts, Milliseconds longest, Known& known, Log& log) {
  for (const dkim::Past& past : pasts) {
    if (!past.stopped || *past.stopped + longest > net::now()) continue;
    if (!known.removable.insert(past.selector + " " + past.domain.text()).second) continue;
    Event event(Level::info, "dkim-record");
    event.add("domain", past.domain.text()).add("selector", past.selector).add("action", "removable");
    log.write(event);
  }
}

struct Settled {
  dkim::Pasts pasts;
  std::vector<KeyLife> lives;  // by the keyring's order
};
// Who signs from now on, told and remembered.
Settled settle(const dkim::Keyring& keyring, const RecordTools& tools) {
  const dkim::Pasts before = read_signing_past(tools.past);
  const auto roles = dkim::roles(keyring, before);
  give_out(keyring, roles);
  const auto longest = dkim::longest_on_the_way(tools.expire);
  Settled settled{dkim::advance(before, keyring, roles, {net::now(), longest + forgotten_after}), {}};
  settled.lives = lives_of(keyring, settled.pasts, tools.expire);
  tell_changes(keyring, before, settled.lives, tools.log);
  if (settled.pasts == before || tools.past.empty()) return settled;
  if (const auto kept = keep_signing_past(tools.past, settled.pasts); !kept) {
    Event event(Level::warn, "dkim-record");
    tools.log.write(event.add("error", kept.error().detail));
  }
  return settled;
}

// Whether a key waits for its record.
boost::asio::awaitable<bool> look_and_tell(std::shared_ptr<const dkim::Keyring> keyring,
                                           std::optional<dns::Name> reports, RecordTools tools, Known& known) {
  const auto& all = keyring->all();
  known.complaints.resize(all.size());
  auto states = co_await look_at_records(keyring, std::move(reports), tools.resolver);
  const auto [pasts, lives] = settle(*keyring, tools);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (lives[i].is_over(net::now())) states[i].complaints.clear();  // its record may go
    std::string text;
    for (const std::string& complaint : states[i].complaints) text += complaint + "\n";
    if (text == known.complaints[i]) continue;
    known.complaints[i] = std::move(text);
    if (!lives[i].is_over(net::now())) tell_record(all[i], lives[i], states[i], tools.log);
  }
  tell_removable(pasts, dkim::longest_on_the_way(tools.expire), known, tools.log);
  co_return std::ranges::any_of(lives, [](const KeyLife& life) { return life.role == dkim::Role::waits; });
}

}  // namespace

std::string signing_past_path(const config::Config& config) {
  return (std::filesystem::path(config.data_dir) / "dkim-keys").string();
}

dkim::Pasts read_signing_past(const std::string& path) {
  const auto text = config::read_file(path);
  return text ? dkim::parse_pasts(*text) : dkim::Pasts{};
}

Result<> keep_signing_past(const std::string& path, const dkim::Pasts& pasts) {
  const std::string draft = path + ".new";
  std::ofstream out(draft, std::ios::binary | std::ios::trunc);
  out << dkim::to_text(pasts);
  out.close();
  if (out && std::rename(draft.c_str(), path.c_str()) == 0) return {};
  const error_code why(errno, boost::system::system_category());
  return fail(why, "which DKIM keys signed cannot be kept in '" + path + "': " + why.message());
}

std::vector<KeyLife> lives_of(const dkim::Keyring& keyring, const dkim::Pasts& pasts, Milliseconds expire) {
  const auto roles = dkim::roles(keyring, pasts);
  const auto& all = keyring.all();
  std::vector<KeyLife> lives;
  for (std::size_t i = 0; i < all.size(); ++i) {
    KeyLife life{roles[i], std::nullopt, false};
    const dkim::Past* past = dkim::past_of(pasts, all[i]);
    if (past != nullptr && past->stopped) life.until = *past->stopped + dkim::longest_on_the_way(expire);
    if (life.role == dkim::Role::retires && !life.until) life.until = net::now() + dkim::longest_on_the_way(expire);
    for (std::size_t other = 0; other < all.size(); ++other) {
      if (other != i && roles[other] == dkim::Role::signs && are_siblings(all[other], all[i]))
        life.another_signs = true;
    }
    lives.push_back(life);
  }
  return lives;
}

std::string record_name(const dkim::Identity& identity) {
  return identity.selector + "._domainkey." + identity.domain.text();
}

boost::asio::awaitable<std::vector<RecordState>> look_at_records(std::shared_ptr<const dkim::Keyring> keyring,
                                                                 std::optional<dns::Name> reports,
                                                                 resolver::Resolver& resolver) {
  std::vector<RecordState> states;
  for (const dkim::Identity& identity : keyring->all()) {
    states.push_back(co_await look_at_record(identity, reports, resolver));
    if (identity.standing && states.back().published) identity.standing->published = states.back().published;
  }
  co_return states;
}

boost::asio::awaitable<void> check_records(std::shared_ptr<const dkim::Keyring> keyring,
                                           std::optional<dns::Name> reports, RecordTools tools) {
  Known known;
  co_await look_and_tell(std::move(keyring), std::move(reports), tools, known);
}

boost::asio::awaitable<void> watch_records(std::weak_ptr<const dkim::Keyring> watched, std::optional<dns::Name> reports,
                                           RecordTools tools) {
  constexpr std::chrono::hours usually{1};
  constexpr std::chrono::minutes while_unpublished{1};
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
  for (Known known;;) {
    bool one_waits = false;
    if (auto keyring = watched.lock()) {
      one_waits = co_await look_and_tell(keyring, reports, tools, known);
    } else {
      co_return;  // a reload brought other keys
    }
    timer.expires_after(one_waits ? while_unpublished : std::chrono::minutes(usually));
    co_await timer.async_wait(boost::asio::use_awaitable);
  }
}

}  // namespace hoplock::daemon
