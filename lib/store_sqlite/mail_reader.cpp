// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/mail_reader.h"

#include <algorithm>

#include "disk/guarded.h"
#include "store_sqlite/rows.h"
#include "store_sqlite/select.h"

namespace hoplock::store_sqlite {
namespace {

constexpr std::size_t listed_at_once = 500;

bool is_active(const std::vector<Lease>& active, Id id, std::uint32_t seq) {
  return std::binary_search(active.begin(), active.end(), Lease{id, seq});
}

std::vector<RecipientView> recipients_of(disk::Tx& tx, Id id, const std::vector<Lease>& active) {
  std::vector<RecipientView> all;
  auto row = tx.prepare(
      "SELECT r.id, r.address, d.name, t.name, r.state, r.attempts, max(r.due, t.hold), r.last, r.status, r.reply, "
      "r.reason, r.host, t.hold > r.due AND t.failures > 0, t.status, t.reply, t.reason, t.host"
      " FROM recipient r LEFT JOIN domain d ON d.id = r.domain LEFT JOIN destination t ON t.id = d.destination"
      " WHERE r.id BETWEEN ?1 AND ?2 ORDER BY r.id");
  for (row.bind(first_key(id), last_key(id)); row.step();) {
    RecipientView r;
    r.seq = number_of_key(row.integer(0));
    r.address = row.text(1);
    r.domain = row.text(2);
    r.destination = row.text(3);
    r.state = static_cast<State>(row.integer(4));
    r.active = is_active(active, id, r.seq);
    r.attempts = static_cast<std::uint32_t>(row.integer(5));
    if (r.state <= State::deferred) r.next = from_millis(row.integer(6));
    if (!row.null(7)) r.last = from_millis(row.integer(7));
    r.status = row.text(8);
    r.reply = row.text(9);
    r.reason = row.text(10);
    r.host = row.text(11);
    if (r.state <= State::deferred && row.integer(12) != 0)
      r.hop = {std::string(row.text(13)), std::string(row.text(14)), std::string(row.text(15)),
               std::string(row.text(16))};
    if (r.state != State::removed || r.active) all.push_back(std::move(r));
  }
  return all;
}

std::optional<MessageView> message_of(disk::Tx& tx, Id id, const std::vector<Lease>& active) {
  auto row = tx.prepare("SELECT received, size, chunks, flags, sender, client, envid FROM message WHERE id = ?1");
  if (!row.bind(id.value).step()) return {};
  MessageView message;
  read_message_columns(row, id, message);
  message.recipients = recipients_of(tx, id, active);
  return message;
}

bool matches(const MessageView& message, const Filter& filter) {
  if (message.recipients.empty()) return false;
  if (filter.sender && message.envelope.sender != *filter.sender) return false;
  const auto fits = [&](const RecipientView& r) {
    return (!filter.domain || r.domain == filter.domain->text()) && (filter.state.empty() || r.word() == filter.state);
  };
  return std::any_of(message.recipients.begin(), message.recipients.end(), fits);
}

// All ids of a selection, sorted.
std::vector<Id> ids_of(disk::Tx& tx, const Selection& selection) {
  std::vector<Id> ids;
  for (std::optional<SelectionCursor> next = SelectionCursor{}; next;) {
    auto page = select_page(tx, selection, *next, 10'000);
    ids.insert(ids.end(), page.ids.begin(), page.ids.end());
    next = page.next;
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace

Result<SqliteMailReader> SqliteMailReader::open(const std::filesystem::path& database) {
  auto db = disk::open_read_only(database);
  if (!db) return db.error();
  return SqliteMailReader(std::move(*db));
}

Result<> SqliteMailReader::list(const Filter& filter, const std::function<Go(const MessageView&)>& call) {
  return disk::guarded([&]() -> Result<> {
    disk::Tx tx(db_);
    Selection selection;
    selection.by = Selection::By::all;
    if (filter.sender) {
      selection.by = Selection::By::sender;
      selection.sender = *filter.sender;
    }
    std::optional<std::vector<Id>> known;
    if (filter.state == "active") {
      known.emplace();
      for (const auto& lease : filter.active)
        if (known->empty() || known->back() != lease.id) known->push_back(lease.id);
    } else if (filter.domain) {
      Selection by_domain;
      by_domain.by = Selection::By::domain;
      by_domain.domain = *filter.domain;
      known = ids_of(tx, by_domain);
    }
    std::optional<SelectionCursor> next = SelectionCursor{};
    while (next) {
      SelectionPage page;
      if (known)
        page.ids = std::move(*known);
      else
        page = select_page(tx, selection, *next, listed_at_once);
      next = page.next;
      for (const Id id : page.ids) {
        const auto message = message_of(tx, id, filter.active);
        if (message && matches(*message, filter) && call(*message) == Go::stop) return {};
      }
    }
    return {};
  });
}

Result<std::optional<MessageView>> SqliteMailReader::show(Id id, const std::vector<Lease>& active) {
  return disk::guarded([&]() -> Result<std::optional<MessageView>> {
    disk::Tx tx(db_);
    return message_of(tx, id, active);
  });
}

Result<> SqliteMailReader::body(Id id, const std::function<Go(std::string_view)>& call) {
  return disk::guarded([&]() -> Result<> {
    disk::Tx tx(db_);
    std::int64_t chunks = 0;
    {
      auto row = tx.prepare("SELECT chunks FROM message WHERE id = ?1");
      if (!row.bind(id.value).step()) return fail(errc::no_message, id.text() + ": not in the queue");
      chunks = row.integer(0);
    }
    for (std::uint32_t n = 0; n < chunks; ++n) {
      const auto octets = load_chunk(tx, id, n);
      if (!octets) return octets.error();
      if (!*octets) return fail(errc::no_message, id.text() + ": no longer in the queue");
      if (call(**octets) == Go::stop) return {};
    }
    return {};
  });
}

}  // namespace hoplock::store_sqlite
