// SPDX-License-Identifier: Apache-2.0
// What of a message is on disk in the same way whatever keeps it: the numbers for its flags, the checksum of a chunk, the keys by which
// the history finds who sent and who received it, and the lines of that history. None ever changes its meaning (DUR-06).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/admin.h"
#include "store/draft.h"
#include "store/message.h"

namespace hoplock::store {

// message.flags
inline constexpr std::int64_t tls_not_required = 16;
std::int64_t flags_of(const Envelope& envelope);
Envelope with_flags(Envelope envelope, std::int64_t flags);

inline constexpr std::uint8_t told_of_delay = 16;  // of recipient.notify: beside the bits of RFC 3461
inline constexpr std::string_view damaged_reply = "the stored message is damaged";

std::uint32_t checksum(std::string_view octets);

// Of a recipient, after that end of a lease.
State state_after(Verdict verdict);

// "user@example.org" in any case: two hashes, of the domain, and below it of the local part.
std::int64_t party_key(std::string_view address);
// The first and last key of a domain's addresses.
struct PartyRange {
  std::int64_t first = 0;
  std::int64_t last = 0;
};
PartyRange party_range(std::string_view domain);
// Of who sent and who receives it; each once.
std::vector<std::int64_t> party_keys(const Draft& draft);

// JSON objects, one a line.
std::string accepted_line(const Draft& draft);
std::string notice_line(const RoutedNotice& placed);
std::string action_line(const AdminBatch& act);

}  // namespace hoplock::store
