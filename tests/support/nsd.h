// SPDX-License-Identifier: Apache-2.0
// A real name server (NSD) with freshly signed and freshly spoilt zones, on a port of 127.0.0.1 above 1023. Made once by the
// test binary, gone with it.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>

#include "tests/support/temp_directory.h"

namespace hoplock::support {

class Nsd {
 public:
  Nsd();
  ~Nsd();
  Nsd(const Nsd&) = delete;
  Nsd& operator=(const Nsd&) = delete;

  // A file of tests/resolver/zones.sh: "root.key", "stubs.conf".
  std::string file(const std::string& name) const { return directory_.file(name); }
  // A new file beside them.
  std::string write(const std::string& name, const std::string& content) const {
    return directory_.write(name, content);
  }

 private:
  TempDirectory directory_;
  pid_t pid_ = -1;
};

// A port of 127.0.0.1 that is free for UDP and TCP now.
std::uint16_t free_port();

}  // namespace hoplock::support
