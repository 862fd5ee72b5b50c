// SPDX-License-Identifier: Apache-2.0
// What `hoplock store copy` takes from one store to another, as values: mail with its bodies as they are stored, the holds of destinations,
// the history, MTA-STS policies and partners. Numbers mean on disk the same in every store (stored.h).
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/id.h"

namespace hoplock::store {

struct CopiedRecipient {
  std::int64_t seq = 0;
  std::string domain, destination, address;
  std::int64_t state = 0, due = 0, attempts = 0, interval = 0, notify = 0;
  std::optional<std::int64_t> last;
  std::optional<std::string> orcpt, status, reply, reason, host;
};
struct CopiedChunk {
  std::int64_t n = 0, sum = 0;
  std::string octets;
};
struct CopiedMessage {
  Id id;
  std::int64_t received = 0, size = 0, chunks = 0, recipients_were = 0, flags = 0;
  std::string sender, client;
  std::optional<std::string> envid;
  std::vector<CopiedRecipient> recipients;
  std::vector<CopiedChunk> bodies;
};
struct CopiedHistory {
  Id id;
  struct Entry {
    std::int64_t at = 0;
    std::string text;
  };
  std::vector<Entry> entries;
  std::vector<std::int64_t> parties;
  bool waits = false;  // the source has the message, too
};
struct CopiedHold {
  std::string destination;
  std::int64_t until = 0, failures = 0, interval = 0, last = 0;
  std::string status, reply, reason, host;
};
struct CopiedPolicy {
  std::string domain;
  std::int64_t due = 0, checked = 0, failures = 0, failed = 0;
  std::string failed_record, reason, error;
  std::optional<std::string> record, policy, refused;
  std::optional<std::int64_t> fetched, max_age;
};
struct CopiedPartner {
  std::string domain;
  std::int64_t rule = 0, level = 0, since = 0;
  std::optional<std::int64_t> until;
  std::string note, who;
};
struct CopiedTotals {
  std::int64_t messages = 0, recipients = 0, chunks = 0, octets = 0, sums = 0, history = 0, damaged = 0;
};

// A store that nobody writes meanwhile. In the order of ids, a page at a time: those behind that one; none: that was all.
class CopySource {
 public:
  virtual ~CopySource() = default;
  // The number under which a target notes how far this source was copied; made when it is first asked for.
  virtual Result<std::int64_t> number() = 0;
  // From now on it is refused as a store until all of it was copied into the database of that name; `to` is where that is. Error
  // invalid_argument: it is being copied into another one.
  virtual Result<> mark_moving(const std::string& to, const std::string& database) = 0;
  virtual Result<CopiedTotals> totals() = 0;
  virtual Result<std::vector<CopiedMessage>> mail(Id after) = 0;
  virtual Result<std::vector<CopiedHistory>> history(Id after) = 0;
  virtual Result<std::vector<CopiedHold>> holds() = 0;
  virtual Result<std::vector<CopiedPolicy>> policies() = 0;
  virtual Result<std::vector<CopiedPartner>> partners() = 0;
  virtual Result<Id> last_id() = 0;
  // From now on it is refused as a store; `to` is where its mail is.
  virtual Result<> mark_moved(const std::string& to) = 0;
};

// Each call is one transaction on stable storage, and notes how far it came: what was put once is not put again, whatever became of it
// meanwhile. So an id that is there is another store's: mail that comes with it gets the next free one.
class CopyTarget {
 public:
  virtual ~CopyTarget() = default;
  virtual Result<Id> mail_done(std::int64_t source) = 0;
  virtual Result<Id> history_done(std::int64_t source) = 0;
  virtual Result<> put_mail(std::int64_t source, Id after, const std::vector<CopiedMessage>& page) = 0;
  virtual Result<> put_history(std::int64_t source, Id after, const std::vector<CopiedHistory>& page) = 0;
  // All that was put of that source, now and before; `damaged` is not known.
  virtual Result<CopiedTotals> totals(std::int64_t source) = 0;
  // What is there already stays.
  virtual Result<> put_rest(const std::vector<CopiedHold>& holds, const std::vector<CopiedPolicy>& policies,
                            const std::vector<CopiedPartner>& partners, Id last_id) = 0;
};

}  // namespace hoplock::store
