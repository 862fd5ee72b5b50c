// SPDX-License-Identifier: Apache-2.0
#include "disk/bus.h"

#include <poll.h>
#include <signal.h>
#include <sysexits.h>
#include <unistd.h>

#include <array>
#include <string>

namespace hoplock::disk {
namespace {

std::array<char, 4096> last_words{};
std::size_t last_words_length = 0;

// Nothing here but what a signal handler may do.
void on_bus_error(int number, siginfo_t* what, void*) {
  if (what->si_code != BUS_ADRERR) {
    ::signal(number, SIG_DFL);                // not of a file: the instruction comes again
    if (what->si_code <= 0) ::raise(number);  // sent by a process: it does not
    return;
  }
  // a pipe that nobody reads must not keep it: less than PIPE_BUF goes in whole or not
  pollfd out{STDERR_FILENO, POLLOUT, 0};
  if (::poll(&out, 1, 0) == 1) {
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, last_words.data(), last_words_length);
  }
  ::_exit(EX_IOERR);
}

}  // namespace

void end_when_cut(const std::filesystem::path& index) {
  const std::string text = "hoplockd: a file that is in use was cut, most likely " + index.string() +
                           "; what was acknowledged is safe, the next start recovers it\n";
  last_words_length = text.copy(last_words.data(), last_words.size());
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace hoplock::disk
