// SPDX-License-Identifier: Apache-2.0
// What the daemon asks of the machine it runs on: its name, its interfaces, its service manager. No DNS look-up is made here.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "dns/name.h"

namespace hoplock::daemon {

// The system's fully qualified name: gethostname(2) when it has a dot, else what /etc/hosts makes of it, else NAME.localdomain.
dns::Name system_hostname();
// The same choice from given texts, for system_hostname and its test.
dns::Name qualified_hostname(std::string_view short_name, std::string_view hosts_file);

// Addresses of all interfaces that are up, loopback included.
std::vector<Ip> interface_addresses();

// The address that the system would send from to `target`; nothing: there is no way to it. Nothing is sent.
std::optional<Ip> address_towards(const Ip& target);

// Exit codes of sysexits(3).
enum ExitCode : int {
  ok = 0,
  no = 1,
  usage = 64,
  unavailable = 69,
  software = 70,
  cannot_create = 73,
  io_error = 74,
  config_error = 78
};

}  // namespace hoplock::daemon
