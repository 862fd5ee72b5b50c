// SPDX-License-Identifier: Apache-2.0
// hoplock: the operator's tool. Everything but the terminal is in daemon/tool.
#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>

#include "daemon/system.h"
#include "daemon/tool/pager.h"
#include "daemon/tool/tool.h"

namespace {

using hoplock::daemon::tool::Screen;

// Of the terminal that standard output is; nothing when it is none.
std::optional<Screen> terminal() {
  if (isatty(STDOUT_FILENO) == 0) return std::nullopt;
  Screen screen;
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return screen;
  if (size.ws_col != 0) screen.columns = size.ws_col;
  if (size.ws_row != 0) screen.rows = size.ws_row;
  return screen;
}

int run(std::vector<std::string> words) {
  using namespace hoplock::daemon;
  const auto now = std::chrono::time_point_cast<hoplock::Milliseconds>(std::chrono::system_clock::now());
  const auto screen = terminal();
  const bool has_person = screen && isatty(STDIN_FILENO) != 0;
  const char* const pager = std::getenv("PAGER");
  const auto command = has_person ? tool::pager_command(pager) : std::nullopt;
  std::optional<tool::PagedOutput> paged;
  std::ostream out(std::cout.rdbuf());
  if (command) {
    paged.emplace(STDOUT_FILENO, *screen, *command);
    out.rdbuf(&*paged);
  }
  tool::Console console{out, std::cerr, screen ? std::optional(screen->columns) : std::nullopt, now};
  if (has_person) console.in = &std::cin;
  if (screen && tool::is_coloured(std::getenv("NO_COLOR"), std::getenv("TERM"), pager))
    console.colour = tool::Console::Colour::ansi;
  const int code = tool::run(std::move(words), console);
  if (paged) paged->finish();
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader of our output or a server that leaves is an error of that write alone
  std::ios::sync_with_stdio(false);
  try {
    return run(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& error) {
    std::cerr << "hoplock: " << error.what() << "\n";
    return hoplock::daemon::software;
  }
}
