// SPDX-License-Identifier: Apache-2.0
// Who is at the other end of a Unix socket, as the kernel says it (SO_PEERCRED, SO_PEERGROUPS of unix(7)).
#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace hoplock::control {

struct Peer {
  uid_t uid = 0;
  std::vector<gid_t> groups;  // its group first, then the supplementary ones
};
Result<Peer> peer_of(int descriptor);
// Root, the user `own`, or a member of `group`.
bool may_control(const Peer& peer, uid_t own, gid_t group);
// The name that /etc/passwd has for the user, else the number; no name service is asked, so it never waits.
std::string user_name(uid_t uid);

}  // namespace hoplock::control
