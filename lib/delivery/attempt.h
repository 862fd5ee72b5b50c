// SPDX-License-Identifier: Apache-2.0
// One attempt to deliver one job, told as a value: which hosts were tried under which policy, what they said, and what became of each
// recipient. Queue rows, log lines, history, metrics, notices and TLS reports are each made from it; it refers to nothing.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "hop/outcome.h"
#include "route/router.h"
#include "smtp/settle.h"
#include "smtpclient/transcript.h"
#include "store/ledger.h"
#include "store/message.h"

namespace hoplock::delivery {

// One host (at one address, where it came to that) that was tried, refused or relaxed.
struct Hop {
  enum class Action : std::uint8_t {
    none,       // took the mail, or was the last that was tried
    next_host,  // refused, and another was tried after it
    plaintext,  // its TLS failed and nothing binds it: tried again in clear
    audit,      // likewise, but a rule binds it that the operator only watches
  };
  std::string mx;          // "mx1.example.org", or "[192.0.2.1]" for a literal
  std::optional<Ip> ip;    // nothing: refused before connecting
  std::optional<Ip> from;  // what it was to leave from; nothing: the system chooses
  std::optional<Ip> src;   // our end of the connection, or where it was to begin
  hop::Policy policy = hop::Policy::opportunistic;
  hop::Auth auth = hop::Auth::none;
  dns::Security mx_security = dns::Security::insecure;
  std::optional<hop::TlsSession> tls;
  std::optional<dns::Tlsa> matched;
  std::optional<hop::Refusal> refusal;  // why it took no mail, or not all of it
  std::optional<hop::Refusal> waived;   // under audit: the rule that failed, while mail may go over it all the same
  std::optional<hop::Observation> observed;  // what a rule that did not decide made of it
  bool definite = false;                     // refused for good: it has no usable address (MX-06)
  bool no_mail = false;                      // it takes none at all, it says: 521 (RFC 7504)
  // Refused under a policy that was replaced while the attempt went on (STS-25), or a demand that was given up (RTLS-10): decides no more.
  bool outdated = false;
  std::optional<hop::Policy> underlying;  // under REQUIRETLS: the rule that governs other mail there
  std::string sts_id;                     // of the MTA-STS policy that governs it, or is watched; "": none
  Action action = Action::none;
  bool dsn = false;                   // it tells of deliveries itself (RFC 3461)
  smtpclient::Transcript transcript;  // with it, of the last transaction
  std::string where() const;          // "mx1.example.org[192.0.2.1]"
  // It was tried again, in clear or under a newer policy: this one is not the last word.
  bool was_tried_again() const { return outdated || action == Action::plaintext || action == Action::audit; }
};
// What was said at one address of a host is the host's word, also where another one of its addresses did not answer.
bool speaks_for(const Hop& said, const Hop& silent);

enum class Fate : std::uint8_t { delivered, deferred, bounced };

// Why no other host may hear of a recipient in this attempt, though it stays deferred.
struct StopReason {
  std::optional<hop::Reason> reason;  // nothing: a trouble of our own
  std::string text;
  // smtp_reply: as of a hop::Refusal, for `text` stands in place of a reply
  std::string status{};
  hop::Words words = hop::Words::ours;
};

// Why a host without some extension can take nothing for somebody.
struct MissingExtensions {
  std::vector<std::size_t> hops;  // such hosts, as indices
  std::string status;             // "5.6.7"
  std::string text;
};

// What the attempt saw of one recipient.
struct RecipientStatus {
  store::Due due;
  Fate fate = Fate::deferred;
  std::optional<std::size_t> hop;    // index of the last hop that was told of it
  std::optional<smtp::Reply> reply;  // that hop's own words, when they decided
  std::optional<StopReason> stop;    // it ended at that hop
  MissingExtensions missing;
  bool untouched = false;  // a transaction broke at somebody else before this one was judged: it goes back as it was
};

// What became of one recipient (outcome.h).
struct RecipientOutcome {
  Fate fate = Fate::deferred;
  std::optional<std::size_t> hop;       // index of the one that decided
  std::optional<hop::Reason> reason;    // nothing: it has no word of the contract
  std::string status;                   // "4.7.323"
  std::string reply;                    // the text for people
  hop::Words words = hop::Words::ours;  // whose it is
  bool operator==(const RecipientOutcome&) const = default;
};

// Nothing was tried, for lack of a place: the job goes back.
enum class TurnedAway : std::uint8_t { no, by_site, by_host };

// A route of the operator, or what he agreed on with a partner, that asks less of a destination than its own domain may.
struct Exception {
  std::string rules;                           // "dane=off mta_sts=audit"
  std::optional<std::chrono::sys_days> until;  // the last day
  std::string note;
};

struct Attempt {
  store::Id id;
  std::string destination;
  store::Envelope envelope;
  std::uint64_t size = 0;
  std::string sender;
  dns::Name domain;    // of its first recipient
  dns::Name hostname;  // said in EHLO, last
  Time received;
  Time ended;
  std::vector<Hop> hops;
  std::vector<RecipientStatus> recipients;
  std::vector<RecipientOutcome> outcomes;  // one for each recipient, in order; concluded() fills it in
  std::optional<route::NoHosts> no_hosts;  // the whole destination takes no mail
  std::optional<hop::Refusal>
      overlooked;  // why no MTA-STS policy was looked for any longer, though there may be one (STS-06)
  // The routes no longer give this next hop to somebody of it: those whose fate was not decided before are left out of `recipients`, and
  // go back to be placed anew (MX-20).
  bool displaced = false;
  std::string broken;           // a bug or a fault of ours ended it; what was decided before stands
  bool reached = false;         // some host was ready for mail: what went wrong after that is the message's (MX-21)
  bool hosts_left = false;      // some were not asked: that no other one is left is said of nobody
  bool ours = false;            // no host was reached, for lack of something at this machine
  bool by_rule = false;         // it leaves from what a rule of `sources` names
  bool at_mail = false;         // the last transaction was put off or refused before any recipient was named
  bool cut_at_rcpt = false;     // the last transaction's session was ended where a recipient was named
  bool cut_at_look_up = false;  // it gave way to other mail while it waited for DNS or a policy
  bool at_login = false;        // not reached, and the last host would have had it but for the route's login
  bool rest_back = false;       // recipients of the job that are not here were not judged: they go back as they were
  std::optional<std::string>
      put_off;  // reached, and the message as a whole was told to come later: in these words ("": none)
  TurnedAway turned_away = TurnedAway::no;
  std::optional<Ip> full;       // by_host: which one
  std::optional<Ip> full_from;  // and from what address of ours
  bool redacted = false;        // a notice that went without REQUIRETLS, and so without what it returned
  std::string note;             // of the route and of what was agreed on with the partner
  std::optional<Exception> exception;
  std::vector<Exception> agreed;  // those with the partner
  store::LedgerCounts counts;     // its sessions, for TLS reports
};

}  // namespace hoplock::delivery
