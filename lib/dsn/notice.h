// SPDX-License-Identifier: Apache-2.0
// Notices about the fate of a message (RFC 3464 in the frame of RFC 6522): a failure, a delay, or a handover to a server that will not
// tell more. Composes the text around what is returned of the message and never holds that message itself: the caller copies it
// between head and tail. Decides nothing about who is to be told (RFC 3461 is the caller's), sends nothing.
//
// Everything that a server or a client said is foreign here: it goes in as one printable line, and never into a header field of the
// notice's own.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "hop/names.h"
#include "smtp/dsn.h"

namespace hoplock::dsn {

enum class Action : std::uint8_t { failed, delayed, relayed };  // RFC 3464 section 2.3.3
std::string_view to_text(Action action);

// One recipient that the notice tells of.
struct Recipient {
  std::string address;
  std::string orcpt;   // as received (RFC 3461), or ""
  std::string status;  // "5.1.1"
  std::string reply;   // the peer's words when `by` is peer, else ours: "450 4.7.323 tlsa-invalid: mx…"
  std::optional<hop::Reason> reason;
  std::optional<hop::Policy> policy;                      // that governed the hop
  std::string host;                                       // "mx1.example.org[192.0.2.1]", or ""
  enum class By : std::uint8_t { peer, us } by = By::us;  // who decided
  std::optional<Time> last_attempt;
};

// utf8: the notice is about SMTPUTF8 mail: its parts are those of RFC 6533, with addresses as they are, for a way back that knows
// SMTPUTF8; for one that does not there is dsn::to_plain (plain.h).
enum class Script : std::uint8_t { ascii, utf8 };

struct Notice {
  Action action = Action::failed;
  Script script = Script::ascii;
  std::string hostname;    // ours
  std::string from;        // an address of ours that a person reads
  std::string to;          // the sender of the message it is about
  std::string message_id;  // of the notice, without brackets
  std::string boundary;    // a token that the returned message cannot know
  Time date;
  Time arrival;                       // of the message
  std::string id;                     // of the message, in our log
  std::string envid;                  // as received (RFC 3461), or ""
  std::optional<Time> retry_until;    // delayed
  std::vector<Recipient> recipients;  // at least one; all of one transaction of the sender's (DSN-15)
};

// What goes back of the message.
enum class Return : std::uint8_t {
  nothing,  // it asked for a protection that the way back does not have (RFC 8689 section 5)
  headers,
  message,
};

struct Content {
  Return what = Return::headers;
  enum class Octets : std::uint8_t { seven_bit, eight_bit } octets = Octets::seven_bit;  // of the whole message
  std::string_view beginning;  // of the message, enough to hold its header
};

// The notice is `head`, then the message itself when `message` says so, then `tail`.
struct Text {
  std::string head;
  std::string tail;
  enum class Between : std::uint8_t { nothing, message } between = Between::nothing;
  Content::Octets octets = Content::Octets::seven_bit;  // eight_bit: it must leave with BODY=8BITMIME
  Script script = Script::ascii;                        // utf8: it must leave with SMTPUTF8
};
Text compose(const Notice& notice, const Content& content);

// A notice as composed with Return::headers, as it would have been with Return::nothing. Nothing: it is none.
std::optional<std::string> redacted(std::string_view notice);

inline constexpr std::size_t most_header = 32U << 10U;  // octets of a returned header

}  // namespace hoplock::dsn
