// SPDX-License-Identifier: Apache-2.0
// Standard output at a terminal: what fits on the screen is printed, what does not is handed to a pager, as it comes. Who leaves the pager
// early has seen enough: the rest is dropped, and that is no fault.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <streambuf>
#include <string>
#include <string_view>

namespace hoplock::daemon::tool {

struct Screen {
  std::size_t rows = 24;
  std::size_t columns = 80;
};

// The command that pages, as the environment has it: PAGER, without it less; nothing: none is wanted ("cat", or empty). `pager`: the value
// of PAGER, null where it is not set.
std::optional<std::string> pager_command(const char* pager);
// Whether words may be coloured: a terminal that can, nobody who asked for none (no-color.org), and a pager that lets colours through.
// Each: the variable's value, null where it is not set.
bool is_coloured(const char* no_color, const char* term, const char* pager);

class PagedOutput final : public std::streambuf {
 public:
  // Writes to `descriptor`.
  PagedOutput(int descriptor, Screen screen, std::string command);
  ~PagedOutput() override;
  PagedOutput(const PagedOutput&) = delete;
  PagedOutput& operator=(const PagedOutput&) = delete;

  // Prints what is left, or waits until the pager is left. Without it nothing may be shown.
  void finish();

 protected:
  int_type overflow(int_type c) override;
  std::streamsize xsputn(const char* text, std::streamsize length) override;
  int sync() override;  // for whoever waits for an answer: from then on nothing is paged

 private:
  enum class State : std::uint8_t { gathers, prints, pages, gone };
  void take(std::string_view text);
  bool fits() const;
  bool start();
  void put(std::string_view text);
  void forget();
  int descriptor_;
  Screen screen_;
  std::string command_;
  State state_ = State::gathers;
  bool failed_ = false;
  std::string gathered_;
  int pipe_ = -1;
  pid_t pager_ = -1;
};

}  // namespace hoplock::daemon::tool
