// SPDX-License-Identifier: Apache-2.0
#include "control/peer.h"

#include <pwd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>

namespace hoplock::control {

namespace {
Error system_error(const char* what) {
  const error_code code(errno, boost::system::system_category());
  return fail(code, std::string(what) + ": " + code.message());
}
}  // namespace

Result<Peer> peer_of(int descriptor) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return system_error("SO_PEERCRED");
  Peer peer;
  peer.uid = credentials.uid;
  std::vector<gid_t> more(64);
  size = static_cast<socklen_t>(more.size() * sizeof(gid_t));
  if (getsockopt(descriptor, SOL_SOCKET, SO_PEERGROUPS, more.data(), &size) != 0) {
    if (errno != ERANGE) return system_error("SO_PEERGROUPS");
    more.resize(size / sizeof(gid_t));  // the kernel said how many there are
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERGROUPS, more.data(), &size) != 0)
      return system_error("SO_PEERGROUPS");
  }
  more.resize(size / sizeof(gid_t));
  peer.groups.push_back(credentials.gid);
  peer.groups.insert(peer.groups.end(), more.begin(), more.end());
  return peer;
}

bool may_control(const Peer& peer, uid_t own, gid_t group) {
  return peer.uid == 0 || peer.uid == own ||
         std::find(peer.groups.begin(), peer.groups.end(), group) != peer.groups.end();
}

std::string user_name(uid_t uid) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen("/etc/passwd", "re"), std::fclose);
  while (file) {
    const passwd* entry = fgetpwent(file.get());
    if (entry == nullptr) break;
    if (entry->pw_uid == uid) return entry->pw_name;
  }
  return std::to_string(uid);
}

}  // namespace hoplock::control
