// SPDX-License-Identifier: Apache-2.0
// What all attempts have in common: the services and settings that they go by, and what they remember of hosts and messages. For this
// module's own sources.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "delivery/families.h"
#include "delivery/look_ups.h"
#include "delivery/options.h"
#include "delivery/rotation.h"
#include "delivery/services.h"
#include "delivery/tlsrpt_sessions.h"
#include "dkim/signer.h"
#include "net/tls_client.h"
#include "smtpclient/credentials.h"

namespace hoplock::delivery {

struct Common {
  // REQUIRES: all outlive it.
  explicit Common(const Services& services)
      : router(services.router),
        queue(services.queue),
        clock(services.clock),
        look_ups(services.executor, services.log),
        interests(services.router, services.executor, services.log) {}
  route::Router& router;
  queue::Queue& queue;
  net::Clock clock;
  Options options;
  std::uint64_t generation = 0;  // of the options
  std::shared_ptr<const net::ClientTls> tls;
  std::shared_ptr<const dkim::Keyring> keyring;                          // null: nothing is signed
  std::function<boost::asio::awaitable<bool>(std::int64_t term)> leave;  // Content::leave, of a job of that term
  LookUps look_ups;
  ReportInterests interests;
  Rotation rotation;                        // by destination
  Rotation heard;                           // by message, destination and source: who told it to come later
  std::map<std::uint64_t, unsigned> apart;  // by message: how often in a row it broke at somebody, and nobody was taken
  smtpclient::CredentialStore credentials;
  Families families;
  store::LedgerCounts cut_off;  // of attempts that were cut off before they could tell of their sessions
};

}  // namespace hoplock::delivery
