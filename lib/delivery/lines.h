// SPDX-License-Identifier: Apache-2.0
// What log, history and metrics tell of a hop and of a recipient: values in the words of the contract, and how each of the three writes
// them. The three share no key: the log's are CONTRACT's and the history's are on disk, and one may change without the other. Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/counted.h"
#include "base/log.h"
#include "delivery/attempt.h"
#include "delivery/outcome.h"
#include "store/message.h"

namespace hoplock::delivery {

// Who, under which policy, and what proved it. A text is empty where it does not apply.
struct HopWords {
  std::string mx, ip, src, policy, tls, cipher, auth, cert;
  std::string mx_dnssec, sni, tlsa, observed;
};
HopWords hop_words(const Hop& hop);

// One recipient's attempt, or its end without one.
struct RecipientLine {
  store::Verdict verdict = store::Verdict::deferred;
  store::Id id;
  std::string from, to;
  std::uint32_t attempt = 0;  // its number
  std::string domain;
  std::optional<HopWords> hop;
  std::string reason, status, reply;
  Seconds delay{0};          // since the message was accepted
  std::optional<Time> next;  // when it is tried again
  bool redacted = false;
  std::string note;
  std::string by;  // the operator who ended it
};

// A host that was refused or relaxed; with a count, so many of them.
struct HopLine {
  store::Id id;
  std::string domain;
  std::optional<HopWords> hop;
  std::size_t count = 0;
  std::string reason, status, reply, action, note;
};

// REQUIRES: the attempt is concluded, and `results` are its recipients'.
std::vector<RecipientLine> lines_of_recipients(const Attempt& attempt,
                                               const std::vector<store::RecipientResult>& results);
std::vector<HopLine> lines_of_hops(const Attempt& attempt);
// Why no policy was looked for any longer (STS-06), where so it was.
std::optional<std::string> overlooked_text(const Attempt& attempt);

// --- the log

Event to_event(const RecipientLine& line);
Event to_event(const HopLine& line);
Event overlooked_event(const Attempt& attempt, const std::string& text);

// --- metrics

counted::Attempt to_count(const RecipientLine& line);
counted::RefusedHop to_count(const HopLine& line);

std::string_view verdict_word(store::Verdict verdict);
std::string_view action_word(Hop::Action action);  // "" for none

}  // namespace hoplock::delivery
