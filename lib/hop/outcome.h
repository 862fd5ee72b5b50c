// SPDX-License-Identifier: Apache-2.0
// What happened when a plan was carried out up to the end of its TLS step, and what follows from it. The connection's owner
// fills an Outcome with facts; `after` judges. An Outcome never chooses.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "hop/plan.h"

namespace hoplock::hop {

// The peer's key and what was negotiated; present once a handshake completed.
struct TlsSession {
  std::string version;  // "TLSv1.3"
  std::string cipher;   // "TLS_AES_256_GCM_SHA384"
  std::string key;      // SHA-256 of the peer's SubjectPublicKeyInfo, lower-case hex
  std::string sni;      // as sent; empty: none
};

// Verdict of the DANE check: the record that matched, or all defects (tlsa_invalid first, then not_trusted, host_mismatch, expired).
struct DaneVerdict {
  std::optional<dns::Tlsa> matched;
  std::vector<Refusal> defects;  // empty exactly when matched
};

// Verdict of the PKIX check: all defects in that same order; empty: passed.
struct PkixVerdict {
  std::vector<Refusal> defects;
};

// What the checks of Connect::observed found.
struct ObservedVerdict {
  std::optional<DaneVerdict> dane;
  std::optional<PkixVerdict> pkix;
};

// A reply of the server that ended the attempt to get a session.
struct PeerReply {
  int code = 0;
  std::string text;  // one printable line, with its codes
};

// How far the session got.
enum class Stage : std::uint8_t { connect, greeting, ehlo, starttls, handshake, ready };

struct Outcome {
  Stage stage = Stage::connect;
  // What stopped it at `stage`; nothing exactly when stage == ready. connect_*/connection_lost/smtp_reply at any stage;
  // starttls_not_supported for a keyword not offered or refused; validation_failure for a broken handshake (stage handshake) or
  // cleartext injected after the 220 (stage starttls, TLS-09). A session that ended inside TLS before the reply to the second EHLO is a broken
  // handshake too: in TLS 1.3 a server tells only then that it wants a client certificate (TLS-14). EHLO refused: stage ehlo, smtp_reply; `tls` tells whether inside TLS.
  // With Tls::if_offered a server that does not offer STARTTLS is no failure: the session is ready, in clear.
  std::optional<Refusal> failure;
  std::optional<PeerReply> reply;
  std::string helo;                 // what the server called itself in its greeting, as it came; empty: not heard
  std::optional<TlsSession> tls;    // ready without it: in clear
  std::optional<DaneVerdict> dane;  // present when the plan had the check and the handshake completed
  std::optional<PkixVerdict> pkix;
  std::optional<ObservedVerdict> observed;  // likewise
  std::optional<PkixVerdict>
      name;  // likewise, of Connect::required: whether the certificate carries such a name, no matter who issued it
  bool offers_requiretls = false;  // the reply to the EHLO inside TLS lists it; what was said before TLS proves nothing
};

// What became of a rule that was only observed.
struct Observation {
  Policy policy = Policy::sts;    // the rule's word
  std::optional<Refusal> defect;  // what it would have refused the host for; nothing: it was satisfied
  bool operator==(const Observation&) const = default;
};

// Mail may go over this session.
struct Proceed {
  Policy policy = Policy::opportunistic;
  Auth auth = Auth::none;
  std::optional<Refusal> waived;  // under audit: the rule that failed (then auth == none)
  std::optional<Observation> observed;
};
// One more connection to the same address, in clear, in this attempt; logged as `hop … action=plaintext`.
struct RetryInClear {
  Refusal why;
  OnFailure rule = OnFailure::plaintext;  // plaintext or audit
};
// This connection may not carry mail.
struct NextHost {
  Refusal why;
};
using Next = std::variant<Proceed, RetryInClear, NextHost>;

// Whether clear text may follow when nothing binds a host whose TLS failed (TLS-14): not for a message that is new, for TLS may work in some
// minutes; never beside a login. What an operator only watches (OnFailure::audit) was to go in clear at once.
enum class Fallback : std::uint8_t { now, not_yet, never };
Fallback fallback_after(Milliseconds waited, Milliseconds interval);

// Several defects of one certificate: tlsa-invalid, then not-trusted, host-mismatch, expired (CONTRACT).
Next after(const Connect& plan, const Outcome& outcome, Fallback fallback = Fallback::now);

// What the observed rule would have said of this connection, whatever follows from it. Nothing: the plan observes nothing, or the
// connection ended before TLS came into it.
std::optional<Observation> observe(const Connect& plan, const Outcome& outcome);

// The plan of the second connection that a RetryInClear asks for: no TLS, no checks, under the same policy; under audit it
// carries what was waived. A rule that is observed failed on the first one.
Connect in_clear(const Connect& plan, const RetryInClear& retry);

// The refusal as the deferral or bounce text: "450 4.7.323 tlsa-invalid: mx1.example.org[192.0.2.1]: no TLSA record matches the certificate".
// `where` is "host[ip]" or "host". Kept::no gives class 5 and 550. A reason without a code of its own gets x.0.0 (for smtp_reply
// the server's own reply should be told instead).
enum class Kept : std::uint8_t { yes, no };
std::string refusal_text(const Refusal& refusal, const std::string& where, Kept kept);

}  // namespace hoplock::hop
