// SPDX-License-Identifier: Apache-2.0
// What is read of the store beside the daemon that writes it, by the operator's tool and the status page: in short reads that keep nobody
// from writing, with or without a running daemon. They change nothing and wait for nobody else; leases are the daemon's: they are given the
// list of active recipients, or none. What a store of an older version lacks is not there. One thread at a time for each reader.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "partners/entry.h"
#include "statistics/found.h"
#include "statistics/series.h"
#include "store/ledger.h"
#include "store/looks.h"
#include "store/policies.h"
#include "store/views.h"

namespace hoplock::store {

class MailReader {
 public:
  virtual ~MailReader() = default;

  // Oldest first, one call a message.
  virtual Result<> list(const Filter& filter, const std::function<Go(const MessageView&)>& call) = 0;
  virtual Result<std::optional<MessageView>> show(Id id, const std::vector<Lease>& active) = 0;
  // Messages whose id begins so, in the queue or its history, at most `most` of them.
  virtual Result<std::vector<Id>> beginning_with(std::string_view prefix, std::size_t most) = 0;
  // Chunk by chunk, checksums verified.
  virtual Result<> body(Id id, const std::function<Go(std::string_view)>& call) = 0;
  // Oldest first, one call a message.
  virtual Result<> trace(const TraceQuery& query, const std::function<Go(const Traced&)>& call) = 0;
  // What happened to messages that were accepted since then, the latest message first, one call an event's text; in short reads.
  virtual Result<> history(Time since, const std::function<Go(Time accepted, std::string_view text)>& call) = 0;
  virtual Result<Stats> stats(const std::vector<Lease>& active) = 0;
  // Messages that are held because their body proved damaged, oldest first.
  virtual Result<std::vector<Id>> damaged(std::size_t most) = 0;

  // --- looks.h: bounded, whatever waits

  // Of these counts the first next hops, with what their domains wait for.
  virtual Result<std::vector<Wait>> waits(const Stats& stats, std::size_t most) = 0;
  // Nothing: no mail waits for that domain. Counts to 100,000.
  virtual Result<std::optional<DomainWait>> wait_of(const std::string& domain) = 0;
  virtual Result<Recent> recent(const PartyQuery& query) = 0;
  // No event: nothing is known of the message.
  virtual Result<Tail> tail(Id id, std::size_t most) = 0;
};

class PolicyReader {
 public:
  virtual ~PolicyReader() = default;
  virtual Result<> list(const std::function<void(const PolicyRow&)>& call) = 0;  // by domain, one call a row
  virtual Result<std::optional<PolicyRow>> find(const dns::Name& domain) = 0;
  virtual Result<PolicySummary> summary(Time now) = 0;
};

class PartnerReader {
 public:
  virtual ~PartnerReader() = default;
  virtual Result<> list(const std::function<void(const partners::Entry&)>& call) = 0;  // by domain, one call an entry
  // Those that may count for mail to the domain: its own, and those for the subdomains of a domain above it.
  virtual Result<std::vector<partners::Entry>> find(const dns::Name& domain) = 0;
  virtual Result<std::vector<partners::Entry>> find(const dns::Pattern& pattern) = 0;  // exactly those
};

class LedgerReader {
 public:
  virtual ~LedgerReader() = default;
  // By day and domain, one call an account, whatever selection.after and limit say.
  virtual Result<> list(ReportSelection selection, const std::function<void(const LedgerRow&)>& call) = 0;
  // The report as it was sent or will be, in the octets of its JSON; of a day that is not built yet, as it would be now. Nothing: no
  // such account.
  virtual Result<std::optional<std::string>> show(const ReportKey& key, const tlsrpt::Submitter& submitter) = 0;
  virtual Result<LedgerSummary> summary(tlsrpt::Day day) = 0;
};

class StatisticsReader {
 public:
  virtual ~StatisticsReader() = default;
  virtual Result<statistics::Found> read(const statistics::Range& range) = 0;
  virtual Result<statistics::Series> series(statistics::Span span, Time now) = 0;
};

// Opens them, from any thread. Error no_such_file_or_directory: there is no store yet.
class Readers {
 public:
  virtual ~Readers() = default;
  // Several nodes share the store, so that rows may say which of them has them.
  virtual bool is_shared() const { return false; }
  virtual Result<std::unique_ptr<MailReader>> mail() const = 0;
  virtual Result<std::unique_ptr<PolicyReader>> policies() const = 0;
  virtual Result<std::unique_ptr<PartnerReader>> partners() const = 0;
  virtual Result<std::unique_ptr<LedgerReader>> ledger() const = 0;
  virtual Result<std::unique_ptr<StatisticsReader>> statistics() const = 0;
};
using ReadersPtr = std::shared_ptr<const Readers>;

}  // namespace hoplock::store
