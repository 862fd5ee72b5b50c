// SPDX-License-Identifier: Apache-2.0
// How far one attempt has come: what its parts share and add to. For this module's own sources.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "delivery/access.h"
#include "delivery/attempt.h"
#include "delivery/common.h"
#include "delivery/open_session.h"

namespace hoplock::delivery {

struct Progress {
  // `session`: of the caller's frame, which waits. `access`: null: no limits.
  Progress(Common& common, std::shared_ptr<const store::Job> job, std::optional<OpenSession>& session, Access* access);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  Time now() const { return common.clock(); }
  Source default_source() const;
  // Where its mail to that domain leaves from, as `sources` is now.
  Source source_of(const dns::Name& recipient) const;
  // One more hop; the one before it is known not to have been the last.
  void add_hop(Hop hop);
  boost::asio::awaitable<void> leave_session();

  Common& common;
  std::shared_ptr<const store::Job> job;
  std::optional<OpenSession>& session;
  Access* access;
  MessageClass message_class;
  Attempt attempt;                // what was seen so far
  std::vector<std::size_t> open;  // recipients for whom hosts are still tried, as indices
  route::Hosts hosts;             // of the destination
  std::optional<Source> source;   // of the mail that has its turn; nothing: none had yet
  bool has_v4 = false;            // the host whose turn it is
  bool cut_short = false;         // hosts are left for the next attempt
  bool passed_over = false;       // an address that was tried lately
};

// "mx1.example.org", or "[192.0.2.1]" for a literal.
std::string host_text(const route::Host& host);
// With its port.
std::string host_key(const route::Host& host);
Hop hop_of(const route::Host& host, hop::Policy policy, dns::Security mx_security);

}  // namespace hoplock::delivery
