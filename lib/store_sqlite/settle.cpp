// SPDX-License-Identifier: Apache-2.0
// The end of a lease in the tables: what was delivered goes, what was not keeps its fate.
#include "store_sqlite/rows.h"

namespace hoplock::store_sqlite {
namespace {

bool all_delivered(const Settled& settled) {
  for (const auto& recipient : settled.recipients)
    if (recipient.verdict != Verdict::delivered) return false;
  return !settled.recipients.empty();
}

// The usual end: every recipient of the message is in this lease and was delivered.
bool remove_delivered(disk::Tx& tx, const Settled& settled, Bodies bodies) {
  std::int64_t chunks = 0;
  {
    auto row = tx.prepare("SELECT recipients, chunks FROM message WHERE id = ?1");
    if (!row.bind(settled.id.value).step()) return true;  // removed meanwhile
    if (row.integer(0) != static_cast<std::int64_t>(settled.recipients.size())) return false;
    chunks = row.integer(1);
  }
  if (settled.recipients.size() > 1 || chunks > 1 || bodies == Bodies::apart) {
    remove_message(tx, settled.id, bodies);
    return true;
  }
  tx.prepare("DELETE FROM recipient WHERE id = ?1").bind(first_key(settled.id)).run();
  tx.prepare("DELETE FROM chunk WHERE id = ?1").bind(first_key(settled.id)).run();
  tx.prepare("DELETE FROM message WHERE id = ?1").bind(settled.id.value).run();
  return true;
}

void settle_recipient(disk::Tx& tx, Places& places, std::int64_t key, const RecipientResult& result) {
  std::int64_t domain = 0;
  State state = State::queued;
  {
    auto row = tx.prepare("SELECT state, domain FROM recipient WHERE id = ?1");
    if (!row.bind(key).step()) return;
    state = static_cast<State>(row.integer(0));
    domain = row.integer(1);
  }
  if (state == State::removed) {
    tx.prepare("DELETE FROM recipient WHERE id = ?1").bind(key).run();
    return;
  }
  if (state > State::held) return;
  const State after = state_after(result.verdict);
  // Held while it was under way: it stays held unless the attempt ended it.
  const State stored = state == State::held && after == State::deferred ? State::held : after;
  tx.prepare("UPDATE recipient SET state = ?2, due = iif(?3 = 1, ?4, due), interval = ?5 WHERE id = ?1")
      .bind(key, stored, after, to_millis(result.due), result.interval.count())
      .run();
  if (stored == State::deferred) places.lower(tx, domain, to_millis(result.due));
}

}  // namespace

void settle(disk::Tx& tx, Places& places, const Ended& ended, Time now) {
  const Settled& settled = ended.settled;
  if (all_delivered(settled) && remove_delivered(tx, settled, ended.bodies)) return;
  for (const auto& result : settled.recipients) {
    const auto key = first_key(settled.id) | result.seq;
    tx.prepare(
          "UPDATE recipient SET attempts = attempts + 1, last = ?2, status = ?3, reply = ?4, reason = ?5, host = ?6 "
          "WHERE id = ?1")
        .bind(key, to_millis(now), result.status, result.reply, result.reason, result.host)
        .run();
    settle_recipient(tx, places, key, result);
  }
  // Of the others some may have been removed by an operator.
  for (const auto seq : ended.unnamed)
    tx.prepare("DELETE FROM recipient WHERE id = ?1 AND state = 6").bind(first_key(settled.id) | seq).run();
  remove_if_done(tx, places, settled.id, ended.bodies);
}

}  // namespace hoplock::store_sqlite
