// SPDX-License-Identifier: Apache-2.0
#include "store_postgres/mail_notices.h"

#include <unordered_map>
#include <utility>

#include "store_postgres/text.h"

namespace hoplock::store_postgres {

using postgres::Parameter;
using postgres::statement;

namespace {

struct About {
  std::uint32_t chunks = 0;
  std::uint64_t size = 0;
  bool readable = false;
  std::string beginning;
};

std::unordered_map<std::int64_t, About> abouts_of(const postgres::Rows& rows) {
  std::unordered_map<std::int64_t, About> all;
  for (const auto row : rows) {
    About about;
    about.chunks = static_cast<std::uint32_t>(row.integer(1));
    about.size = static_cast<std::uint64_t>(row.integer(2));
    const std::string_view octets = row.bytea(4);
    about.readable = !row.null(4) && row.integer(3) == checksum(octets);
    if (about.readable) about.beginning = octets;
    all[row.integer(0)] = std::move(about);
  }
  return all;
}

void fill(MadeNotice& made, const About& about) {
  Draft& draft = *made.draft;
  NoticeText text = made.routed->notice.compose(about.beginning);
  draft.envelope.body = text.body;
  if (text.octets == NoticeText::Octets::utf8) {
    draft.envelope.smtputf8 = true;
    draft.envelope.kind = Kind::notice;
  }
  draft.size = text.head.size() + text.tail.size();
  draft.chunks = 1;
  const bool between = text.between == NoticeText::Between::message && about.readable;
  if (between && about.chunks > 1 && about.chunks + 2 <= max_chunks) {
    made.head = std::move(text.head);
    draft.last_chunk = std::move(text.tail);
    draft.chunks = about.chunks + 2;
    draft.size += about.size;
    return;
  }
  if (between) {
    text.head += about.beginning;
    draft.size += about.beginning.size();
  }
  draft.last_chunk = std::move(text.head) + text.tail;
}

}  // namespace

postgres::Statement about_notices(const std::vector<RoutedNotice>& notices) {
  std::vector<std::int64_t> ids;
  for (const RoutedNotice& one : notices) ids.push_back(one.notice.about.value);
  return statement(
      "SELECT m.id, m.chunks, m.size, c.sum, c.data FROM message m LEFT JOIN chunk c ON c.message = m.id AND c.n = 0"
      " WHERE m.id = ANY($1)",
      ids);
}

std::vector<MadeNotice> make_notices(const std::vector<RoutedNotice>& notices, const postgres::Rows& about, Time now) {
  const auto abouts = abouts_of(about);
  std::vector<MadeNotice> all;
  for (const RoutedNotice& routed : notices) {
    const auto found = abouts.find(routed.notice.about.value);
    if (found == abouts.end()) continue;
    MadeNotice made;
    made.routed = &routed;
    made.draft = std::make_shared<Draft>();
    made.draft->id = routed.id;
    made.draft->received = now;
    made.draft->envelope = routed.notice.envelope;
    made.draft->recipients = {routed.notice.recipient};
    made.draft->destinations = {routed.destination};
    fill(made, found->second);
    all.push_back(std::move(made));
  }
  return all;
}

Adding adding_of(const std::vector<MadeNotice>& notices, Recording recording) {
  Adding adding;
  adding.which = Write::notices;
  adding.recording = recording;
  for (const MadeNotice& one : notices) {
    adding.drafts.push_back(one.draft.get());
    adding.about.push_back(&one.routed->notice);
  }
  return adding;
}

void add_copies(postgres::Batch& batch, const std::vector<MadeNotice>& notices) {
  std::vector<std::int64_t> ids, abouts, sums;
  std::vector<postgres::Octets> heads;
  for (const MadeNotice& one : notices) {
    if (!one.head) continue;
    ids.push_back(one.draft->id.value);
    abouts.push_back(one.routed->notice.about.value);
    sums.push_back(checksum(*one.head));
    heads.push_back(postgres::Octets{*one.head});
  }
  if (ids.empty()) return;
  // with their checksums, so that damage stays visible
  batch.push_back(
      statement("INSERT INTO chunk (message, n, sum, data) SELECT t.id, 0, t.sum, t.head FROM unnest($1, $2, $3) AS "
                "t(id, sum, head)"
                " JOIN message m ON m.id = t.id",
                ids, sums, heads));
  batch.push_back(
      statement("INSERT INTO chunk (message, n, sum, data) SELECT t.id, c.n + 1, c.sum, c.data FROM unnest($1, $2) AS "
                "t(id, about)"
                " JOIN message m ON m.id = t.id JOIN chunk c ON c.message = t.about",
                ids, abouts));
}

void record_notices(postgres::Batch& batch, const std::vector<MadeNotice>& notices, Time now) {
  std::vector<std::int64_t> ids, abouts;
  std::vector<std::string> lines;
  for (const MadeNotice& one : notices) {
    ids.push_back(one.draft->id.value);
    abouts.push_back(one.routed->notice.about.value);
    lines.push_back(text_of(notice_line(*one.routed)));
  }
  batch.push_back(
      statement("INSERT INTO history (message, at, slot, data) SELECT t.about, $4, $5, t.line"
                " FROM unnest($1, $2, $3) WITH ORDINALITY AS t(id, about, line, n)"
                " WHERE EXISTS (SELECT 1 FROM message m WHERE m.id = t.id) ORDER BY t.n",
                ids, abouts, lines, now, Parameter::slot()));
}

}  // namespace hoplock::store_postgres
