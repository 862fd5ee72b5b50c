// SPDX-License-Identifier: Apache-2.0
// The parameters of RFC 3461, delivery status notifications: which fates of a message its sender wants to be told of, and the names
// under which he knows it. Taken strictly, kept and passed on as they were received (DSN-10), decoded only for notices.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hoplock::smtp {

enum class Ret : std::uint8_t { unset, full, headers };

// NOTIFY of a recipient, as bits; 0: not given. The queue keeps them on disk (DUR-06): none is ever renumbered.
inline constexpr std::uint8_t notify_never = 1, notify_success = 2, notify_failure = 4, notify_delay = 8;

// "NEVER", or a list without it. RFC 3461 section 4.1.
std::optional<std::uint8_t> parse_notify(std::string_view text);
std::string notify_text(std::uint8_t notify);
// "FULL" or "HDRS".
std::optional<Ret> parse_ret(std::string_view text);

// RFC 3461 section 4: what `text` stands for; nullopt when it is no xtext, or stands for a control character, which could only
// break a line of a notice.
std::optional<std::string> decode_xtext(std::string_view text);

// At most as long as RFC 3461 section 5.4 says that every server can take, so that they can be passed on to any.
inline constexpr std::size_t max_envid = 100, max_orcpt = 500;
bool is_envid(std::string_view text);

// "rfc822;user@example.org", decoded; of the type "utf-8" (RFC 6533) the text stays in its own notation.
struct OriginalRecipient {
  std::string type;
  std::string address;
};
std::optional<OriginalRecipient> parse_orcpt(std::string_view text);

}  // namespace hoplock::smtp
