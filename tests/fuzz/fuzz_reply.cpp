// SPDX-License-Identifier: Apache-2.0
// A server's replies: the same in every split, bounded, printable in logs, and the same again when rendered.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "smtp/reply.h"

using namespace hoplock::smtp;

namespace {

struct Seen {
  std::vector<Reply> replies;
  bool malformed = false;
  bool operator==(const Seen&) const = default;
};

Seen parse(std::string_view octets, std::size_t step) {
  ReplyParser parser;
  Seen seen;
  while (!octets.empty()) {
    parser.feed(octets.substr(0, step));
    octets.remove_prefix(std::min(step, octets.size()));
    for (;;) {
      auto reply = parser.next();
      if (!reply) {
        seen.malformed = true;
        return seen;
      }
      if (!*reply) break;
      seen.replies.push_back(**reply);
    }
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view octets(reinterpret_cast<const char*>(data), size);
  const Seen whole = parse(octets, 4096);
  if (whole != parse(octets, 1) || whole != parse(octets, 7)) std::abort();
  for (const Reply& reply : whole.replies) {
    if (reply.code < 200 || reply.code > 599 || reply.text.size() > ReplyParser::max_total) std::abort();
    if (reply.status && reply.status->category != reply.code / 100) std::abort();
    for (const char c : reply.one_line()) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) std::abort();
    }
    if (reply.one_line().size() > 500) std::abort();
    const Seen again = parse(reply.to_wire(), 4096);
    if (!again.malformed && (again.replies.size() != 1 || again.replies[0].code != reply.code)) std::abort();
  }
  return 0;
}
