// SPDX-License-Identifier: Apache-2.0
#include "daemon/tool/pager.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <utility>

#include "base/ascii.h"
#include "daemon/tool/text.h"

namespace hoplock::daemon::tool {

std::optional<std::string> pager_command(const char* pager) {
  if (pager == nullptr) return "less";
  const std::string command(trim(pager));
  if (command.empty() || command == "cat") return std::nullopt;
  return command;
}

bool is_coloured(const char* no_color, const char* term, const char* pager) {
  if (no_color != nullptr && *no_color != '\0') return false;
  if (term == nullptr || *term == '\0' || std::string_view(term) == "dumb") return false;
  const auto command = pager_command(pager);
  return !command || command->starts_with("less");
}

PagedOutput::PagedOutput(int descriptor, Screen screen, std::string command)
    : descriptor_(descriptor), screen_(screen), command_(std::move(command)) {}

PagedOutput::~PagedOutput() { forget(); }

PagedOutput::int_type PagedOutput::overflow(int_type c) {
  if (traits_type::eq_int_type(c, traits_type::eof())) return traits_type::not_eof(c);
  const char one = traits_type::to_char_type(c);
  take({&one, 1});
  return failed_ ? traits_type::eof() : c;
}

std::streamsize PagedOutput::xsputn(const char* text, std::streamsize length) {
  take({text, static_cast<std::size_t>(length)});
  return failed_ ? 0 : length;
}

int PagedOutput::sync() {
  if (state_ == State::gathers) {
    state_ = State::prints;
    put(std::exchange(gathered_, {}));
  }
  return failed_ ? -1 : 0;
}

void PagedOutput::take(std::string_view text) {
  if (state_ != State::gathers) return put(text);
  gathered_ += text;
  if (fits()) return;
  state_ = start() ? State::pages : State::prints;
  put(std::exchange(gathered_, {}));
}

// With one row for the prompt that comes after it.
bool PagedOutput::fits() const {
  std::size_t rows = 1;
  for (const std::string_view line : split(gathered_, '\n'))
    rows += line.size() <= screen_.columns ? 1 : (columns(printable(line)) + screen_.columns - 1) / screen_.columns;
  return rows <= screen_.rows + 1;
}

bool PagedOutput::start() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return false;
  // what less does with less than a screen, colours and the screen's content, unless the environment says otherwise
  setenv("LESS", "FRX", 0);
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGPIPE, SIG_DFL);
    dup2(ends[0], STDIN_FILENO);
    const char* const usual = "command -v less >/dev/null && exec less; exec cat";
    execl("/bin/sh", "sh", "-c", command_ == "less" ? usual : command_.c_str(), static_cast<char*>(nullptr));
    _exit(127);
  }
  close(ends[0]);
  if (child < 0) {
    close(ends[1]);
    return false;
  }
  std::signal(SIGINT, SIG_IGN);  // the pager's affair now
  pager_ = child;
  pipe_ = ends[1];
  return true;
}

void PagedOutput::put(std::string_view text) {
  if (state_ == State::gone) return;
  const int to = state_ == State::pages ? pipe_ : descriptor_;
  while (!text.empty()) {
    const ssize_t done = ::write(to, text.data(), text.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) {
      failed_ = state_ != State::pages;
      state_ = State::gone;
      return;
    }
    text.remove_prefix(static_cast<std::size_t>(done));
  }
}

void PagedOutput::finish() {
  sync();
  forget();
}

void PagedOutput::forget() {
  if (pipe_ >= 0) close(std::exchange(pipe_, -1));
  if (pager_ < 0) return;
  while (waitpid(pager_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pager_ = -1;
}

}  // namespace hoplock::daemon::tool
