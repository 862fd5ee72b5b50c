// SPDX-License-Identifier: Apache-2.0
// What the operator may set about listeners: `listeners:` and `limits:` of the configuration.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "dns/name.h"
#include "net/options.h"
#include "smtp/session.h"

namespace hoplock::listener {

struct Address {
  net::Endpoint at;
  smtp::TlsMode tls = smtp::TlsMode::starttls;
  net::CertificateFiles certificate;  // REQUIRES: named unless tls == none
  std::vector<Network> allow;         // clients that may relay
  std::string users_file;             // who may log in, inside TLS; "": nobody
  std::string client_ca;              // clients are asked for a certificate of these authorities; "": not asked
  std::vector<dns::Name>
      client_names;                // who may relay when such a certificate says so, "*.contoso.com" for one label there
  std::vector<dns::Name> senders;  // "*.contoso.com" for those below; empty: any
  smtp::BareNewline bare_newline = smtp::BareNewline::reject;
};

struct Limits {
  std::uint64_t message_size = 50U << 20U;
  std::size_t recipients = 1000;
  std::size_t connections = 1000;            // over all listeners
  std::size_t connections_per_client = 100;  // by address
  std::size_t messages_per_connection = 1000;
  std::chrono::milliseconds command_timeout{std::chrono::minutes{5}};  // for a whole command line
  std::chrono::milliseconds data_timeout{std::chrono::minutes{3}};     // without an octet
  std::size_t received_headers = 50;
  std::chrono::milliseconds failed_login{1000};  // how long the answer to one is held back, doubled with each
};

struct Rate {
  std::uint64_t amount = 0;
  std::chrono::seconds period{0};
};

// Of one envelope sender; nullopt: none.
struct SendersLimit {
  std::optional<Rate> messages;
  std::optional<Rate> recipients;
};

struct Options {
  std::vector<Address> addresses;
  Limits limits;
  dns::Name hostname;
  smtp::Mailbox postmaster;
  smtp::Mailbox report_sender;  // of TLS reports; null: none are sent
  SendersLimit senders_limit;
};

}  // namespace hoplock::listener
