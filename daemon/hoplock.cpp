// SPDX-License-Identifier: Apache-2.0
// hoplock: the operator's tool. Everything but the terminal is in daemon/tool.
#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>

#include "daemon/system.h"
#include "daemon/tool/tool.h"

namespace {

// Of the terminal that standard output is; nothing when it is none.
std::optional<std::size_t> terminal_width() {
  if (isatty(STDOUT_FILENO) == 0) return std::nullopt;
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace hoplock;
  std::signal(SIGPIPE, SIG_IGN);  // a reader of our output or a server that leaves is an error of that write alone
  std::ios::sync_with_stdio(false);
  try {
    const auto now = std::chrono::time_point_cast<Milliseconds>(std::chrono::system_clock::now());
    daemon::tool::Console console{std::cout, std::cerr, terminal_width(), now};
    if (console.width && isatty(STDIN_FILENO) != 0) console.in = &std::cin;
    return daemon::tool::run(std::vector<std::string>(argv + 1, argv + argc), console);
  } catch (const std::exception& error) {
    std::cerr << "hoplock: " << error.what() << "\n";
    return daemon::software;
  }
}
