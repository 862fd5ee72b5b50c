// The sweep in the background: every stored chunk is read from time to time and held against its checksum, and so are the rows that
// find mail, as far as SQLite can tell (inspect.h).
#include "queue/core.h"
#include "queue/slice.h"

namespace hoplock::queue {

using disk::Durability;

namespace {

struct Looked {
  std::vector<Id> damaged;
  std::optional<std::int64_t> last;  // nothing: the end
  std::size_t octets = 0;
};

Looked look(disk::Tx& tx, std::int64_t after, std::size_t bytes) {
  Looked looked;
  auto row = tx.prepare("SELECT id, sum, data FROM chunk WHERE id > ?1 ORDER BY id");
  row.bind(after);
  const Slice slice;
  while (row.step()) {
    const auto octets = row.blob(2);
    looked.last = row.integer(0);
    if (checksum(octets) != row.integer(1)) {
      const Id id = id_of_key(row.integer(0));
      if (looked.damaged.empty() || looked.damaged.back() != id) looked.damaged.push_back(id);
    }
    looked.octets += octets.size();
    if (looked.octets >= bytes || slice.over()) return looked;
  }
  looked.last.reset();
  return looked;
}

// bad_message is kept for the rows that find mail: without a body, the others are well.
Error about_bodies(const Error& error) {
  return error.code == errc::bad_message ? fail(errc::io_error, error.detail) : error;
}

// Chunks whose session died while the store could not be written.
void drop_orphans(disk::Tx& tx, const std::vector<Id>& alive) {
  std::vector<Id> orphans;
  {
    auto row = tx.prepare("SELECT id FROM draft");
    while (row.step())
      if (const Id id{row.integer(0)}; std::find(alive.begin(), alive.end(), id) == alive.end()) orphans.push_back(id);
  }
  for (const Id id : orphans) drop_draft(tx, id);
}

}  // namespace

asio::awaitable<Result<Queue::Swept>> Queue::sweep(std::size_t bytes) {
  Core& core = *core_;
  if (auto sound = co_await core.inspect_some(); !sound) co_return sound.error();
  Swept swept;
  for (std::size_t read = 0; read < bytes && !swept.end;) {
    auto job = [after = core.swept, left = bytes - read](disk::Tx& tx) -> Result<Looked> {
      return look(tx, after, left);
    };
    auto looked = co_await core.disk.run(Durability::read, std::move(job));
    if (!looked) co_return about_bodies(looked.error());
    core.swept = looked->last.value_or(0);
    core.report_damage(looked->damaged);
    swept.damaged.insert(swept.damaged.end(), looked->damaged.begin(), looked->damaged.end());
    swept.end = !looked->last;
    read += looked->octets;
  }
  if (!swept.end) co_return swept;
  std::vector<Id> alive(core.drafts.begin(), core.drafts.end());
  auto drop = [alive = std::move(alive)](disk::Tx& tx) -> Result<> {
    drop_orphans(tx, alive);
    return {};
  };
  auto dropped = co_await core.disk.run(Durability::relaxed, std::move(drop));
  if (!dropped) co_return dropped.error();
  co_return swept;
}

}  // namespace hoplock::queue
