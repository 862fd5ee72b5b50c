// SPDX-License-Identifier: Apache-2.0
// A small real file system of a test's own: `body` runs in a child, in a mount namespace where `path` is one. The code that it gives; 77:
// there can be none here.
#pragma once
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <fstream>
#include <string>

#include "tests/support/temp_directory.h"

namespace hoplock::support {

template <class Body>
int on_small_disk(const char* size, Body body) {
  TempDirectory dir;
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string how = std::string("size=") + size;
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", dir.path().c_str(), "tmpfs", 0, how.c_str()) != 0)
      ::_exit(77);
    int code = 99;
    try {
      code = body(dir.path());
    } catch (const std::exception& error) {
      std::fprintf(stderr, "on the small disk: %s\n", error.what());
    }
    ::_exit(code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

// What somebody else's program does: to the last page.
inline void fill_up(const std::filesystem::path& directory) {
  std::ofstream file(directory / "foreign", std::ios::binary | std::ios::app);
  const std::string page(4096, 'x');
  while (file.write(page.data(), static_cast<std::streamsize>(page.size())).flush()) {
  }
}

}  // namespace hoplock::support
