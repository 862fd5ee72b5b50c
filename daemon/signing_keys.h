// SPDX-License-Identifier: Apache-2.0
// The keys of `dkim:`: read from their files, and held against what the DNS publishes of them, so that an operator learns at the start
// what would else only show in other people's spam folders (DKIM-06). Of several keys that follow one another it settles which signs,
// and keeps in a file of data_dir which signed until when: a small text, that nothing but advice rests on once it is lost.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>

#include "base/log.h"
#include "config/reader.h"
#include "dkim/record.h"
#include "dkim/rotation.h"
#include "dkim/signer.h"
#include "resolver/resolver.h"

namespace hoplock::daemon {

// Null when a key or a selector is bad: complaints in `loaded` say which. A key that others can read is a warning.
std::shared_ptr<const dkim::Keyring> load_keyring(config::Loaded& loaded);

// What stands in the file of a key; the error says what is wrong with it.
Result<dkim::Key> read_signing_key(const std::string& path);

// "relay1._domainkey.example.net": where the key's record is (RFC 6376 section 3.6.2.1).
std::string record_name(const dkim::Identity& identity);

// What the DNS says of a key.
struct RecordState {
  std::optional<bool> published;        // whether it holds the public half; nothing: it could not be asked
  std::vector<std::string> complaints;  // what keeps others from verifying what the key signs; none: all is well
};
// By the keyring's order; whether a key is published is noted in its standing, where that could be asked. `reports`: the domain of the
// TLS reports; nothing: none are sent. REQUIRES: `resolver` outlives it.
boost::asio::awaitable<std::vector<RecordState>> look_at_records(std::shared_ptr<const dkim::Keyring> keyring,
                                                                 std::optional<dns::Name> reports,
                                                                 resolver::Resolver& resolver);

// Where the daemon keeps which keys signed until when, and what stands there; nothing: none, or it cannot be read.
std::string signing_past_path(const config::Config& config);
dkim::Pasts read_signing_past(const std::string& path);
Result<> keep_signing_past(const std::string& path, const dkim::Pasts& pasts);

// What a key does now.
struct KeyLife {
  dkim::Role role = dkim::Role::waits;
  std::optional<Time> until;   // its record must stay so long, though it signs no more
  bool another_signs = false;  // of the same domain and algorithm
  bool is_over(Time now) const { return role == dkim::Role::retires && until && *until <= now; }
};
// By the keyring's order. `expire`: delivery.expire.
std::vector<KeyLife> lives_of(const dkim::Keyring& keyring, const dkim::Pasts& pasts, Milliseconds expire);

// The first two outlive whoever is given them.
struct RecordTools {
  resolver::Resolver& resolver;
  Log& log;
  std::string past{};  // the file; "": nothing is kept
  Milliseconds expire{std::chrono::hours{5 * 24}};
};
// Reads each key's record once and logs what keeps others from verifying what it signs; a key that signs `when-published` signs from
// then on only when the DNS holds its public half, and no newer one of its domain and algorithm is published. A look-up that fails
// changes nothing. `reports`: the domain of the TLS reports; nothing: none are sent.
boost::asio::awaitable<void> check_records(std::shared_ptr<const dkim::Keyring> keyring,
                                           std::optional<dns::Name> reports, RecordTools tools);
// The same hourly, every minute while a key waits for its record, until nobody has the keys any more. What did not change is not logged again.
boost::asio::awaitable<void> watch_records(std::weak_ptr<const dkim::Keyring> watched, std::optional<dns::Name> reports,
                                           RecordTools tools);

}  // namespace hoplock::daemon
