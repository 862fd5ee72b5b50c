// SPDX-License-Identifier: Apache-2.0
// What the table of commands says to people: help on a terminal, and the man page.
#include <algorithm>

#include "base/ascii.h"
#include "daemon/tool/arguments.h"
#include "daemon/tool/text.h"

namespace hoplock::daemon::tool {

namespace {

struct Exit {
  std::string_view code, meaning;
};
constexpr Exit exits[] = {{"0", "good"},
                          {"1", "the answer is no, or nothing was found"},
                          {"64", "the command line is wrong"},
                          {"69", "the daemon is not reachable"},
                          {"73", "a file cannot be made"},
                          {"74", "the queue or a file cannot be read or written"},
                          {"78", "the configuration is wrong"}};

std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

std::string entry(std::string_view name, std::string_view parameters, std::string_view text) {
  std::string out = ".TP\n.B " + roff(name) + "\n";
  if (!parameters.empty()) out.insert(out.size() - 1, " \\fR" + roff(parameters) + "\\fP");
  return out + roff(text) + ".\n";
}

}  // namespace

std::string help(std::string_view about, std::size_t width) {
  std::string found;
  for (const Syntax& one : commands()) {
    if (one.name != about && !about.empty() && !one.name.starts_with(std::string(about) + " ")) continue;
    found += wrapped(std::string(one.name) + (one.synopsis.empty() ? "" : " ") + std::string(one.synopsis), 2, width);
    found += wrapped(one.summary, 6, width);
  }
  if (found.empty()) return found;
  std::string text = std::string(usage_begin) + "COMMAND …\n\n" + found + "\n";
  constexpr std::size_t column = 18;  // where what an option does begins, also on its second line
  for (const Global& one : globals) {
    const std::string name = "  " + std::string(one.option);
    text += name + std::string(column - name.size(), ' ') + wrapped(one.summary, column, width).substr(column);
  }
  text += "\nExit codes:\n";
  for (const Exit& one : exits) text += wrapped(std::string(one.code) + "  " + std::string(one.meaning), 2, width);
  return text;
}

std::string manual() {
  std::string text =
      ".\\\" Made by scripts/manual from the tool's table of commands (daemon/tool/arguments.cpp): change it there.\n"
      ".TH HOPLOCK 1 \"\" \"hoplock\" \"User commands\"\n"
      ".SH NAME\nhoplock \\- operate the mail relay hoplockd\n"
      ".SH SYNOPSIS\n.B hoplock\n[\\-\\-config FILE] [\\-\\-json] COMMAND ...\n"
      ".SH DESCRIPTION\n"
      "Reads the queue, the history, the policies and the reports straight from the store, with or without a running "
      "daemon;\n"
      "acts on them through the daemon's control socket.\n"
      "root, the user hoplock and members of the group hoplock may use it.\n"
      "A unique prefix of a message's ID stands for the ID.\n"
      ".SH COMMANDS\n";
  for (const Syntax& one : commands()) text += entry(one.name, one.synopsis, one.summary);
  text += ".SH OPTIONS\n";
  for (const Global& one : globals) text += entry(one.option, "", one.summary);
  text += ".SH EXIT STATUS\n";
  for (const Exit& one : exits) text += entry(one.code, "", one.meaning);
  return text +
         ".SH ENVIRONMENT\n.TP\n.B PAGER\nShows at a terminal what is longer than the screen; without it less; cat, or "
         "an empty "
         "one: nothing does.\n.TP\n.B NO_COLOR\nSet to anything: no colour at a terminal. In pipes there is none.\n"
         ".SH FILES\n.TP\n.I /etc/hoplock/hoplock.yaml\nThe configuration.\n"
         ".SH SEE ALSO\n.BR hoplockd (8),\n.BR hoplock.yaml (5),\n.BR hoplock\\-log (5)\n";
}

}  // namespace hoplock::daemon::tool
