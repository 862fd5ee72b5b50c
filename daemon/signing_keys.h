// SPDX-License-Identifier: Apache-2.0
// The keys of `dkim:`: read from their files, and held against what the DNS publishes of them, so that an operator learns at the start
// what would else only show in other people's spam folders (DKIM-06).
#pragma once
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>

#include "base/log.h"
#include "config/reader.h"
#include "dkim/record.h"
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
// `reports`: the domain of the TLS reports; nothing: none are sent. REQUIRES: `resolver` outlives it.
boost::asio::awaitable<RecordState> look_at_record(dkim::Identity identity, std::optional<dns::Name> reports,
                                                   resolver::Resolver& resolver);

// Both outlive whoever is given them.
struct RecordTools {
  resolver::Resolver& resolver;
  Log& log;
};
// Reads each key's record once and logs what keeps others from verifying what it signs; a key that signs `when-published` signs from
// then on only when the DNS holds its public half. A look-up that fails changes nothing. `reports`: the domain of the TLS reports;
// nothing: none are sent.
boost::asio::awaitable<void> check_records(std::shared_ptr<const dkim::Keyring> keyring,
                                           std::optional<dns::Name> reports, RecordTools tools);
// The same hourly, every minute while a key waits for its record, until nobody has the keys any more. What did not change is not logged again.
boost::asio::awaitable<void> watch_records(std::weak_ptr<const dkim::Keyring> watched, std::optional<dns::Name> reports,
                                           RecordTools tools);

}  // namespace hoplock::daemon
