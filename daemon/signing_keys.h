// The keys of `dkim:`: read from their files, and held against what the DNS publishes of them, so that an operator learns at the start
// what would else only show in other people's spam folders (DKIM-06).
#pragma once
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>

#include "base/log.h"
#include "config/reader.h"
#include "dkim/signer.h"
#include "resolver/resolver.h"

namespace hoplock::daemon {

// Null when a key or a selector is bad: complaints in `loaded` say which. A key that others can read is a warning.
std::shared_ptr<const dkim::Keyring> load_keyring(config::Loaded& loaded);

// Reads each key's record and logs what keeps others from verifying what it signs. `reports`: the domain of the TLS reports; nothing:
// none are sent. REQUIRES: resolver and log outlive it.
boost::asio::awaitable<void> check_records(std::shared_ptr<const dkim::Keyring> keyring,
                                           std::optional<dns::Name> reports, resolver::Resolver& resolver, Log& log);

}  // namespace hoplock::daemon
