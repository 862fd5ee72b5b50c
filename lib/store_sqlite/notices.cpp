// SPDX-License-Identifier: Apache-2.0
// Notices as messages: the returned message is copied chunk row by chunk row, so that none is ever held whole.
#include "store_sqlite/rows.h"

namespace hoplock::store_sqlite {
namespace {

// Whether somebody is left to tell of; a delay that was told is marked.
enum class Left : std::uint8_t { nobody, somebody };
Left take_recipients(disk::Tx& tx, const Notice& notice) {
  Left left = Left::nobody;
  for (const auto seq : notice.seqs) {
    const auto key = first_key(notice.about) | seq;
    {
      auto row = tx.prepare("SELECT state, notify FROM recipient WHERE id = ?1");
      if (!row.bind(key).step() || static_cast<State>(row.integer(0)) == State::removed) continue;
      if (notice.kind == Notice::Kind::delay && (row.integer(1) & told_of_delay) != 0) continue;
    }
    left = Left::somebody;
    if (notice.kind == Notice::Kind::delay)
      tx.prepare("UPDATE recipient SET notify = notify | ?2 WHERE id = ?1").bind(key, told_of_delay).run();
  }
  return left;
}

struct About {
  std::uint32_t chunks = 0;
  std::uint64_t size = 0;
};
std::optional<About> find(disk::Tx& tx, Id id) {
  auto row = tx.prepare("SELECT chunks, size FROM message WHERE id = ?1");
  if (!row.bind(id.value).step()) return {};
  return About{static_cast<std::uint32_t>(row.integer(0)), static_cast<std::uint64_t>(row.integer(1))};
}

// Head, the chunks of the message, tail: each rows of their own. Their checksums are copied too, so that damage stays visible.
void copy_between(disk::Tx& tx, Draft& draft, Id about, const About& original) {
  insert_chunk(tx, draft.id, 0, *draft.last_chunk);
  tx.prepare(
        "INSERT INTO chunk (id, sum, data) SELECT id - ?1 + ?2 + 1, sum, data FROM chunk WHERE id BETWEEN ?1 AND ?3")
      .bind(first_key(about), first_key(draft.id), last_key(about))
      .run();
  draft.chunks = original.chunks + 2;
  draft.size += original.size;
}

// What stands in a damaged page is not read again here: the transaction would be given up.
std::string beginning_of(disk::Tx& tx, const NoticeRow& row) {
  if (row.original == NoticeRow::Original::damaged) return {};
  auto beginning = load_chunk(tx, row.routed.notice.about, 0);
  return beginning && *beginning ? std::move(**beginning) : std::string();
}

void fill(disk::Tx& tx, Draft& draft, const NoticeRow& row, const About& original) {
  const Notice& notice = row.routed.notice;
  const std::string octets = beginning_of(tx, row);
  NoticeText text = notice.compose(octets);
  draft.envelope.body = text.body;
  if (text.octets == NoticeText::Octets::utf8) {
    draft.envelope.smtputf8 = true;
    draft.envelope.kind = Kind::notice;
  }
  draft.size = text.head.size() + text.tail.size();
  draft.chunks = 1;
  const bool between = text.between == NoticeText::Between::message && row.original == NoticeRow::Original::readable;
  if (between && original.chunks > 1 && original.chunks + 2 <= max_chunks) {
    draft.last_chunk = std::move(text.head);
    copy_between(tx, draft, notice.about, original);
    draft.last_chunk = std::move(text.tail);
    return;
  }
  if (between) {
    text.head += octets;
    draft.size += octets.size();
  }
  draft.last_chunk = std::move(text.head) + text.tail;
}

}  // namespace

std::optional<EnqueuedNotice> insert_notice(disk::Tx& tx, Places& places, const NoticeRow& row, Time now) {
  const Notice& notice = row.routed.notice;
  const auto original = find(tx, notice.about);
  if (!original || take_recipients(tx, notice) == Left::nobody) return {};
  EnqueuedNotice made;
  made.draft = std::make_shared<Draft>();
  Draft& draft = *made.draft;
  draft.id = row.routed.id;
  draft.received = now;
  draft.envelope = notice.envelope;
  fill(tx, draft, row, *original);
  draft.recipients = {notice.recipient};
  draft.destinations = {row.routed.destination};
  made.enqueued = insert_message(tx, places, draft);
  return made;
}

}  // namespace hoplock::store_sqlite
