// SPDX-License-Identifier: Apache-2.0
// Whether the user that hoplockd runs as could read and write what the configuration names. root, who may read everything, is no judge of
// that: a child process gives up its rights for that user's and tries, so that owners, modes and access lists all count. What the unit
// takes from the service's sight besides is read in the unit.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/reader.h"
#include "daemon/unit_mounts.h"

namespace hoplock::daemon {

struct ServiceUser {
  enum class Start : std::uint8_t {
    by_unit,
    otherwise
  };  // by_unit: systemd makes StateDirectory= and LogsDirectory= for it
  std::string name;
  std::string group;  // its first one
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  Start start = Start::otherwise;
  UnitMounts mounts{};
};

// The error says that there is no such user.
Result<ServiceUser> find_user(const std::string& name);
// Whom a unit with this text, its drop-ins after it (systemd.syntax(7)), runs as with this configuration file; nothing: the unit does not
// have it. The last User= counts, of the ExecStart= the configuration.
std::optional<std::string> user_in_unit(std::string_view text, const std::string& config_file);

// Complaints about what this user cannot have: the configuration, the files that it names, data_dir with the store in it, the file of the
// log. A warning where it could not be tried. REQUIRES: root, else only a warning is added.
void check_as(config::Loaded& loaded, const ServiceUser& user);
// check_as for the user of the unit hoplockd.service, as it is installed here, and for what that unit lets it see, where there is one for
// this configuration and root asks; else nothing.
void check_for_service(config::Loaded& loaded);

}  // namespace hoplock::daemon
