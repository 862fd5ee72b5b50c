// SPDX-License-Identifier: Apache-2.0
// What the store keeps of a message, as values: the envelope as it was accepted, the recipients with their fate, and
// the job that delivery leases. Addresses are plain text, without brackets; the empty sender is "".
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "dns/name.h"
#include "smtp/dsn.h"
#include "store/id.h"
#include "store/state.h"

namespace hoplock::store {

inline constexpr std::size_t chunk_bytes = 64 << 10;
inline constexpr std::uint32_t max_recipients = 32767;  // of one message
inline constexpr std::uint32_t max_chunks = 32767;

enum class Body : std::uint8_t { seven_bit, eight_bit, binary };
using smtp::Ret;  // RFC 3461

// What made the message. A report carries an account of TLS to its domain: it goes whatever TLS does there, is counted in no report
// itself, and nobody is told when it fails (RFC 8460 section 3; RPT-38 to RPT-40). A notice is one of our own about other mail; in UTF-8,
// dsn has a plain form of it too (DSN-14). Never taken from a client or a header.
enum class Kind : std::uint8_t { ordinary, report, notice };

struct Envelope {
  std::string sender;
  Body body = Body::seven_bit;
  bool smtputf8 = false;
  bool requiretls = false;       // RFC 8689
  bool tls_required_no = false;  // the header `TLS-Required: No`, where it is honoured
  Ret ret = Ret::unset;
  std::string envid;
  std::string client;  // who handed it in, for people: "192.0.2.1"
  std::string msgid;   // for the history only
  Kind kind = Kind::ordinary;
};

struct NewRecipient {
  std::string address;
  dns::Name domain;
  std::string orcpt;
  std::uint8_t notify = 0;  // RFC 3461: bits of smtp/dsn.h
};

// One recipient of a job.
struct Due {
  std::uint32_t seq = 0;
  std::string address;
  dns::Name domain;
  std::uint32_t attempts = 0;  // so far
  Milliseconds interval{0};    // the last delay, 0 before the first
  std::optional<Time> last;    // the last attempt
  std::string orcpt;
  std::uint8_t notify = 0;
  bool told_delay = false;  // a notice of delay was sent
  std::string reply;        // of the last attempt; only in jobs that Queue::pick gave
};

// The due recipients of one message at one destination: one transaction on the wire. (id, destination) names the lease.
struct Job {
  Id id;
  std::string destination;
  Envelope envelope;
  Time received;
  std::uint64_t size = 0;
  std::uint32_t chunks = 0;
  std::int64_t term = 0;  // Queue::lease_term() when it was leased
  std::string body;       // the whole message when chunks == 1; else empty, to be read by Queue::read_chunk
  std::vector<Due> recipients;
};

// The end of an attempt for one recipient.
enum class Verdict : std::uint8_t { delivered, deferred, bounced, expired };
struct RecipientResult {
  std::uint32_t seq = 0;
  Verdict verdict = Verdict::deferred;
  Time due;                  // deferred: when again
  Milliseconds interval{0};  // deferred: the delay that led to `due`, without jitter
  std::string status;        // "4.7.323"
  std::string reply;         // the text for people
  std::string reason;        // a word of CONTRACT, or ""
  std::string host;          // "mx1.example.org[192.0.2.1]"
};

// The end of a lease. Recipients of the job that are not named go back as they were, due at once.
struct Settled {
  Id id;
  std::string destination;
  std::vector<RecipientResult> recipients;
  std::string history_entry;  // for the history: JSON objects, one a line
};

// A destination that is down as a whole.
struct Backoff {
  Time until;
  std::uint32_t failures = 0;
  Milliseconds interval{0};
  Time last;  // the last failed attempt
  std::string status;
  std::string reply;
  std::string reason;
  std::string host;
};
struct DestinationChange {
  std::string destination;
  std::optional<Backoff> backoff;  // nothing: it works again
};

// Recipients deferred for one of these reasons, words of CONTRACT, come due before their time: something of the destination changed.
struct Wake {
  std::vector<std::string> reasons;
  Time now;
};

}  // namespace hoplock::store
