// SPDX-License-Identifier: Apache-2.0
// What all sessions of one listener share; never changes, a reload makes a new one.
#pragma once
#include <memory>
#include <variant>

#include "listener/options.h"
#include "listener/server.h"
#include "listener/users.h"
#include "net/tls_server.h"

namespace hoplock::listener {

struct Profile {
  Address address;
  Limits limits;
  dns::Name hostname;
  smtp::Mailbox postmaster;
  smtp::Mailbox report_sender;
  std::shared_ptr<const net::ServerTls> tls;  // null: none
  std::shared_ptr<const Users> users;         // null: no logins
};

// Reads the files that options.addresses[index] names.
std::variant<std::shared_ptr<const Profile>, ListenError> make_profile(const Options& options, std::size_t index);

// By its address, whatever else it may prove.
bool may_relay(const Profile& profile, const Ip& client);

}  // namespace hoplock::listener
