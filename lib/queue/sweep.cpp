// The sweep in the background: every stored chunk is read from time to time and held against its checksum.
#include "queue/core.h"

namespace hoplock::queue {

using disk::Durability;

namespace {

struct Looked {
  std::vector<Id> damaged;
  std::optional<std::int64_t> last;  // nothing: the end
};

Looked look(disk::Tx& tx, std::int64_t after, std::size_t bytes) {
  Looked looked;
  auto row = tx.prepare("SELECT id, sum, data FROM chunk WHERE id > ?1 ORDER BY id");
  row.bind(after);
  for (std::size_t read = 0; row.step();) {
    const auto octets = row.blob(2);
    looked.last = row.integer(0);
    if (checksum(octets) != row.integer(1)) {
      const Id id = id_of_key(row.integer(0));
      if (looked.damaged.empty() || looked.damaged.back() != id) looked.damaged.push_back(id);
    }
    read += octets.size();
    if (read >= bytes) return looked;
  }
  looked.last.reset();
  return looked;
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
  auto read = [after = core.swept, bytes](disk::Tx& tx) -> Result<Looked> { return look(tx, after, bytes); };
  auto looked = co_await core.disk.run(Durability::read, std::move(read));
  if (!looked) co_return looked.error();
  core.swept = looked->last.value_or(0);
  core.report_damage(looked->damaged);
  if (!looked->last) {
    std::vector<Id> alive(core.drafts.begin(), core.drafts.end());
    auto drop = [alive = std::move(alive)](disk::Tx& tx) -> Result<> {
      drop_orphans(tx, alive);
      return {};
    };
    auto dropped = co_await core.disk.run(Durability::relaxed, std::move(drop));
    if (!dropped) co_return dropped.error();
  }
  Swept swept;
  swept.damaged = std::move(looked->damaged);
  swept.end = !looked->last;
  co_return swept;
}

}  // namespace hoplock::queue
