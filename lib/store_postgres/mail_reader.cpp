// SPDX-License-Identifier: Apache-2.0
#include "store_postgres/mail_reader.h"

#include <algorithm>

#include "store/stored.h"
#include "store_postgres/text.h"

namespace hoplock::store_postgres {

using postgres::statement;

namespace {

constexpr std::size_t listed_at_once = 500;

bool is_active(const std::vector<Lease>& active, Id id, std::uint32_t seq) {
  return std::binary_search(active.begin(), active.end(), Lease{id, seq});
}

constexpr std::string_view select_messages =
    "SELECT id, received, size, chunks, flags, sender, client, envid FROM message WHERE id = ANY($1) ORDER BY id";

MessageView message_of(const postgres::Row& row) {
  MessageView message;
  message.id = Id{row.integer(0)};
  message.received = row.time(1);
  message.size = static_cast<std::uint64_t>(row.integer(2));
  message.chunks = static_cast<std::uint32_t>(row.integer(3));
  message.envelope = with_flags(Envelope{}, row.integer(4));
  message.envelope.sender = row.text(5);
  message.envelope.client = row.text(6);
  message.envelope.envid = row.text(7);
  return message;
}

constexpr std::string_view select_recipients =
    "SELECT r.message, r.seq, r.address, r.domain, r.destination, r.state, r.attempts,"
    " greatest(r.due, coalesce(h.until, 0)), r.last, r.status, r.reply, r.reason, r.host,"
    " h.until > r.due AND h.failures > 0, h.status, h.reply, h.reason, h.host, n.name"
    " FROM recipient r LEFT JOIN hold h ON h.destination = r.destination"
    " LEFT JOIN node n ON n.incarnation = r.owner AND n.state = 0"
    " WHERE r.message = ANY($1) ORDER BY r.message, r.seq";

RecipientView recipient_of(const postgres::Row& row, const std::vector<Lease>& active) {
  RecipientView r;
  r.seq = static_cast<std::uint32_t>(row.integer(1));
  r.address = row.text(2);
  r.domain = row.text(3);
  r.destination = row.text(4);
  r.state = static_cast<State>(row.integer(5));
  r.active = is_active(active, Id{row.integer(0)}, r.seq);
  r.attempts = static_cast<std::uint32_t>(row.integer(6));
  if (r.state <= State::deferred) r.next = row.time(7);
  if (!row.null(8)) r.last = row.time(8);
  r.status = row.text(9);
  r.reply = row.text(10);
  r.reason = row.text(11);
  r.host = row.text(12);
  if (r.state <= State::deferred && row.boolean(13))
    r.hop = {std::string(row.text(14)), std::string(row.text(15)), std::string(row.text(16)),
             std::string(row.text(17))};
  r.node = row.text(18);
  return r;
}

bool matches(const MessageView& message, const Filter& filter) {
  if (message.recipients.empty()) return false;
  if (filter.sender && message.envelope.sender != *filter.sender) return false;
  const auto fits = [&](const RecipientView& r) {
    return (!filter.domain || r.domain == filter.domain->text()) && (filter.state.empty() || r.word() == filter.state);
  };
  return std::any_of(message.recipients.begin(), message.recipients.end(), fits);
}

}  // namespace

Result<PostgresMailReader::Page> PostgresMailReader::page(const Filter& filter, std::int64_t after) {
  Page page;
  if (filter.state == "active") {
    for (const Lease& lease : filter.active) {
      const auto id = lease.id.value;
      if (id <= after || (!page.ids.empty() && page.ids.back() == id)) continue;
      if (page.ids.size() == listed_at_once) break;
      page.ids.push_back(id);
    }
    if (page.ids.size() == listed_at_once) page.next = page.ids.back();
    return page;
  }
  // By sender the same number of rows is looked at, whoever sent them.
  const auto rows =
      filter.domain
          ? connection_.run(statement("SELECT DISTINCT message, true FROM recipient WHERE domain = $1 AND message > $2"
                                      " ORDER BY message LIMIT $3",
                                      filter.domain->text(), after, listed_at_once))
          : connection_.run(statement("SELECT id, $3 OR sender = $4 FROM message WHERE id > $1 ORDER BY id LIMIT $2",
                                      after, listed_at_once, !filter.sender, text_of(filter.sender.value_or(""))));
  if (!rows) return rows.error();
  for (const postgres::Row row : *rows) {
    if (row.boolean(1)) page.ids.push_back(row.integer(0));
    page.next = row.integer(0);
  }
  if (rows->size() < listed_at_once) page.next.reset();
  return page;
}

Result<std::vector<MessageView>> PostgresMailReader::messages(const std::vector<std::int64_t>& ids,
                                                              const std::vector<Lease>& active) {
  std::vector<MessageView> found;
  if (ids.empty()) return found;
  postgres::Batch batch;
  batch.push_back(statement(std::string(select_messages), ids));
  batch.push_back(statement(std::string(select_recipients), ids));
  const auto answer = connection_.run(batch);
  if (!answer) return answer.error();
  for (const postgres::Row row : answer->at(0)) found.push_back(message_of(row));
  auto at = found.begin();
  for (const postgres::Row row : answer->at(1)) {
    const Id id{row.integer(0)};
    while (at != found.end() && at->id < id) ++at;
    if (at == found.end()) break;
    if (at->id != id) continue;
    RecipientView recipient = recipient_of(row, active);
    if (recipient.state != State::removed || recipient.active) at->recipients.push_back(std::move(recipient));
  }
  return found;
}

Result<> PostgresMailReader::list(const Filter& filter, const std::function<Go(const MessageView&)>& call) {
  std::optional<std::int64_t> after = 0;
  while (after) {
    const auto some = page(filter, *after);
    if (!some) return some.error();
    const auto found = messages(some->ids, filter.active);
    if (!found) return found.error();
    for (const MessageView& message : *found)
      if (matches(message, filter) && call(message) == Go::stop) return {};
    after = some->next;
  }
  return {};
}

Result<std::optional<MessageView>> PostgresMailReader::show(Id id, const std::vector<Lease>& active) {
  auto found = messages({id.value}, active);
  if (!found) return found.error();
  if (found->empty()) return std::optional<MessageView>();
  return std::optional(std::move(found->front()));
}

Result<> PostgresMailReader::body(Id id, const std::function<Go(std::string_view)>& call) {
  const auto message = connection_.run(statement("SELECT chunks FROM message WHERE id = $1", id.value));
  if (!message) return message.error();
  if (message->empty()) return fail(errc::no_message, id.text() + ": not in the queue");
  const auto chunks = (*message)[0].integer(0);
  for (std::int64_t n = 0; n < chunks; ++n) {
    const auto rows =
        connection_.run(statement("SELECT sum, data FROM chunk WHERE message = $1 AND n = $2", id.value, n));
    if (!rows) return rows.error();
    if (rows->empty()) return fail(errc::no_message, id.text() + ": no longer in the queue");
    const std::string_view octets = (*rows)[0].bytea(1);
    if ((*rows)[0].integer(0) != checksum(octets))
      return fail(errc::bad_message, id.text() + ": chunk " + std::to_string(n) + " is damaged");
    if (call(octets) == Go::stop) return {};
  }
  return {};
}

Result<std::vector<Id>> PostgresMailReader::damaged(std::size_t most) {
  const auto rows = connection_.run(
      statement("SELECT DISTINCT message FROM recipient WHERE state = 2 AND reply = $1 ORDER BY message LIMIT $2",
                damaged_reply, most));
  if (!rows) return rows.error();
  std::vector<Id> found;
  for (const postgres::Row row : *rows) found.push_back(Id{row.integer(0)});
  return found;
}

}  // namespace hoplock::store_postgres
