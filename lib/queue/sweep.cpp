// SPDX-License-Identifier: Apache-2.0
// The sweep in the background: every stored chunk is read from time to time and held against its checksum, and so are the rows that
// find mail, as far as SQLite can tell (inspect.h). Where the bodies' own pages are damaged or cannot be read, it goes on behind them.
#include "disk/guarded.h"
#include "queue/core.h"
#include "queue/slice.h"

namespace hoplock::queue {

using disk::Durability;

namespace {

struct Looked {
  std::vector<Id> damaged;
  std::optional<std::int64_t> last;  // nothing: the end
  std::size_t octets = 0;
  std::optional<Error> unread;  // what could not be read, and was passed over
};

void look_along(disk::Tx& tx, std::size_t bytes, Looked& looked) {
  auto row = tx.prepare("SELECT id, sum, data FROM chunk WHERE id > ?1 ORDER BY id");
  row.bind(*looked.last);
  const Slice slice;
  while (row.step()) {
    const auto octets = row.blob(2);
    looked.last = row.integer(0);
    if (checksum(octets) != row.integer(1)) {
      const Id id = id_of_key(row.integer(0));
      if (looked.damaged.empty() || looked.damaged.back() != id) looked.damaged.push_back(id);
    }
    looked.octets += octets.size();
    if (looked.octets >= bytes || slice.over()) return;
  }
  looked.last.reset();
}

// Where the chunks cannot be walked: those of the next message, each by its key.
void look_at_next(disk::Tx& tx, Looked& looked) {
  constexpr std::size_t seek = 4096;
  looked.octets += seek;
  const std::int64_t from = *looked.last + 1;
  Id id;
  std::uint32_t chunks = 0;
  {
    auto row = tx.prepare("SELECT id, chunks FROM message WHERE id >= ?1 ORDER BY id LIMIT 1");
    if (!row.bind(id_of_key(from).value).step()) return looked.last.reset();
    id = Id{row.integer(0)};
    chunks = static_cast<std::uint32_t>(row.integer(1));
  }
  looked.last = last_key(id);
  for (std::uint32_t n = id == id_of_key(from) ? number_of_key(from) : 0; n < chunks; ++n) {
    const auto octets = disk::guarded([&] { return load_chunk(tx, id, n); });
    if (octets && *octets) {
      looked.octets += (*octets)->size();
      continue;
    }
    looked.octets += chunk_bytes;  // a disk that is away is not asked for all of it
    if (octets || octets.error().code == errc::bad_message)
      looked.damaged.push_back(id);
    else
      looked.unread = octets.error();
    return;
  }
}

Looked look(disk::Tx& tx, std::int64_t after, std::size_t bytes) {
  Looked looked;
  looked.last = after;
  try {
    look_along(tx, bytes, looked);
  } catch (const disk::Failure& failure) {
    const auto& error = failure.error();
    if (error.code != errc::bad_message && error.code != errc::io_error) throw;
    look_at_next(tx, looked);
  }
  return looked;
}

Result<std::vector<Id>> list_drafts(disk::Tx& tx) {
  std::vector<Id> drafts;
  for (auto row = tx.prepare("SELECT id FROM draft"); row.step();) drafts.push_back(Id{row.integer(0)});
  return drafts;
}

// bad_message is kept for the rows that find mail: without a body, the others are well.
Error about_bodies(Id id, const Error& error) {
  if (error.code != errc::bad_message) return error;
  return fail(errc::io_error,
              "what is left of " + id.text() + " cannot be removed, its pages are damaged: " + error.detail);
}

}  // namespace

// Chunks whose session died while the store could not be written. What became a message meanwhile is none any more.
asio::awaitable<Result<>> Queue::Core::drop_orphans() {
  // Not as a read: when the sweep is done, the holds that it asked for are stored.
  const auto found = co_await disk.run(Durability::relaxed, list_drafts);
  if (!found) co_return found.error();
  Result<> all;
  for (const Id id : *found) {
    if (drafts.contains(id)) continue;
    const auto dropped = co_await drop_draft(id, Deadline::max());
    if (!dropped) all = about_bodies(id, dropped.error());
  }
  co_return all;
}

asio::awaitable<Result<Queue::Swept>> Queue::sweep(std::size_t bytes) {
  Core& core = *core_;
  Swept swept;
  const auto note = [&swept](const Result<>& done) {
    if (!done) swept.unread = done.error();
  };
  const auto sound = co_await core.inspect_some();
  if (!sound && sound.error().code == errc::bad_message) co_return sound.error();
  note(sound);
  if (auto left = std::exchange(core.left, std::nullopt)) swept.unread = std::move(left);
  swept.rows = core.inspected_once;
  for (std::size_t read = 0; read < bytes && !swept.end;) {
    auto job = [after = core.swept, left = bytes - read](disk::Tx& tx) -> Result<Looked> {
      return look(tx, after, left);
    };
    auto looked = co_await core.disk.run(Durability::read, std::move(job));
    if (!looked) co_return looked.error();
    core.swept = looked->last.value_or(0);
    core.report_damage(looked->damaged);
    swept.damaged.insert(swept.damaged.end(), looked->damaged.begin(), looked->damaged.end());
    if (looked->unread) swept.unread = std::move(looked->unread);
    swept.end = !looked->last;
    read += looked->octets;
  }
  if (swept.end) note(co_await core.drop_orphans());
  co_return swept;
}

}  // namespace hoplock::queue
