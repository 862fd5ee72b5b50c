// SPDX-License-Identifier: Apache-2.0
// Keys that follow one another (RFC 6376 section 3.1): which of a domain's keys of one algorithm signs, which waits for its record, and
// which signs no more but must stay published, since mail that it signed may still be on its way. Also what is remembered of that, as
// text. Pure: the daemon asks the DNS, keeps the text, and says what time it is.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "dkim/signer.h"

namespace hoplock::dkim {

// Whether they follow one another: keys of one domain and one algorithm.
bool are_siblings(const Identity& a, const Identity& b);

// A key as it is listed: the newest last.
struct Candidate {
  Standing standing;
  bool always = false;       // signs whatever the DNS holds
  bool signed_last = false;  // it signed when the DNS was looked at before
};
enum class Role : std::uint8_t { signs, waits, retires };

// Of the keys of one domain and one algorithm. The newest that is known to be published signs; those before it retire, those behind it
// wait. Where none is known to be, the one that signed last goes on unless its record is known to be gone, else the first of which
// nothing is known: a look-up that fails stops no signature. One that signs `always` signs beside them.
std::vector<Role> roles(const std::vector<Candidate>& keys);

// What is remembered of a key that ever signed.
struct Past {
  dns::Name domain;
  std::string selector;
  std::optional<Time> stopped;  // when it signed for the last time; nothing: it signs
  bool operator==(const Past&) const = default;
};
using Pasts = std::vector<Past>;

// By the keyring's order. `always` as in Candidate is a key without a Standing.
std::vector<Role> roles(const Keyring& keyring, const Pasts& pasts);
// What is to be remembered once these roles hold. A key that retires and of which nothing is known may have signed until `now`, as may
// one that signed and is not in the keyring any more. What stopped longer ago than `keep` and is not in the keyring is forgotten.
struct Moment {
  Time now;
  Milliseconds keep;
};
Pasts advance(const Pasts& pasts, const Keyring& keyring, const std::vector<Role>& roles, Moment moment);

// The past of a key; null: it never signed.
const Past* past_of(const Pasts& pasts, const Identity& identity);

// How long the record must stay once its key stopped: as long as a message of this relay may be tried, plus what the next system may
// keep it for before somebody verifies it. `expire`: this relay's delivery.expire.
Milliseconds longest_on_the_way(Milliseconds expire);

// A line a key; the inverse takes what it cannot read for nothing.
std::string to_text(const Pasts& pasts);
Pasts parse_pasts(std::string_view text);

}  // namespace hoplock::dkim
