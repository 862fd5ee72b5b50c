// SPDX-License-Identifier: Apache-2.0
// What a session and its last transaction said, line by line, for the history of attempts that fail: "C: " our commands, "S: " the
// server's replies, between them what happened to the connection. Never a message's octets and never a credential: whoever notes a line
// leaves them out. Bounded, for servers may be endless.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace hoplock::smtpclient {

class Transcript {
 public:
  // What we send: one line or several, each of them noted.
  void sent(std::string_view wire);
  void received(std::string_view reply);
  void note(std::string_view what);
  // Another transaction begins: what was before is over.
  void begin_anew() { *this = Transcript(); }
  const std::vector<std::string>& lines() const { return lines_; }

 private:
  void add(std::string_view who, std::string_view text);
  std::vector<std::string> lines_;
};

}  // namespace hoplock::smtpclient
