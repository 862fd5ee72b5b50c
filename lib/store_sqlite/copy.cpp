// SPDX-License-Identifier: Apache-2.0
#include "store_sqlite/copy.h"

#include <random>
#include <utility>

#include "disk/guarded.h"
#include "store/stored.h"
#include "store_sqlite/rows.h"

namespace hoplock::store_sqlite {

namespace {

constexpr std::int64_t page_messages = 500;
constexpr std::size_t page_octets = 16U << 20U;
constexpr std::int64_t is_removed = 6;  // State::removed, while it was under way

std::optional<std::string> copied_text(disk::Statement& row, int column) {
  if (row.null(column)) return std::nullopt;
  return std::string(row.text(column));
}
std::optional<std::int64_t> copied_number(disk::Statement& row, int column) {
  if (row.null(column)) return std::nullopt;
  return row.integer(column);
}

class SqliteCopySource final : public CopySource {
 public:
  explicit SqliteCopySource(disk::Database db) : db_(std::move(db)) {}

  Result<std::int64_t> number() override {
    return disk::guarded([this]() -> Result<std::int64_t> {
      auto kept = db_.prepare("SELECT value FROM mark WHERE name = 'copy'");
      if (kept.step()) return kept.integer(0);
      std::random_device random;
      const auto made = static_cast<std::int64_t>((std::uint64_t{random()} << 31U) ^ random());
      db_.prepare("INSERT INTO mark (name, value) VALUES ('copy', ?1)").bind(made).run();
      return made;
    });
  }
  Result<CopiedTotals> totals() override {
    return disk::guarded([this]() -> Result<CopiedTotals> {
      CopiedTotals found;
      found.messages = db_.integer("SELECT count(*) FROM message");
      found.recipients =
          db_.integer("SELECT count(*) FROM recipient WHERE state <> 6 AND id >> 15 IN (SELECT id FROM message)");
      auto chunks = db_.prepare(
          "SELECT count(*), coalesce(sum(length(data)), 0), coalesce(sum(sum), 0) FROM chunk WHERE id >> 15 IN (SELECT "
          "id FROM message)");
      if (chunks.step()) {
        found.chunks = chunks.integer(0);
        found.octets = chunks.integer(1);
        found.sums = chunks.integer(2);
      }
      found.history = db_.integer("SELECT count(*) FROM history");
      return found;
    });
  }
  Result<std::vector<CopiedMessage>> mail(Id after) override {
    return disk::guarded([&]() -> Result<std::vector<CopiedMessage>> {
      std::vector<CopiedMessage> page;
      std::size_t octets = 0;
      auto rows = db_.prepare(
          "SELECT id, received, size, chunks, recipients, flags, sender, client, envid FROM message WHERE id > ?1 "
          "ORDER BY id "
          "LIMIT ?2");
      for (rows.bind(after.value, page_messages); octets < page_octets && rows.step();) {
        page.push_back(message_of(rows));
        octets += static_cast<std::size_t>(page.back().size);
      }
      return page;
    });
  }
  Result<std::vector<CopiedHistory>> history(Id after) override {
    return disk::guarded([&]() -> Result<std::vector<CopiedHistory>> {
      std::vector<CopiedHistory> page;
      auto rows = db_.prepare("SELECT id, at, data FROM history WHERE id > ?1 ORDER BY id");
      auto waits = db_.prepare("SELECT 1 FROM message WHERE id = ?1");
      for (rows.bind(last_key(after)); rows.step();) {
        const Id id = id_of_key(rows.integer(0));
        if (page.empty() || page.back().id != id) {
          if (page.size() == static_cast<std::size_t>(page_messages)) break;
          page.push_back({id, {}, {}, waits.bind(id.value).step()});
        }
        page.back().entries.push_back({rows.integer(1), std::string(rows.text(2))});
      }
      if (page.empty()) return page;
      auto parties =
          db_.prepare("SELECT message, key FROM party WHERE message > ?1 AND message <= ?2 ORDER BY message");
      auto at = page.begin();
      for (parties.bind(after.value, page.back().id.value); parties.step();) {
        while (at != page.end() && at->id.value < parties.integer(0)) ++at;
        if (at != page.end() && at->id.value == parties.integer(0)) at->parties.push_back(parties.integer(1));
      }
      return page;
    });
  }
  Result<std::vector<CopiedHold>> holds() override {
    return disk::guarded([this]() -> Result<std::vector<CopiedHold>> {
      std::vector<CopiedHold> all;
      auto rows = db_.prepare(
          "SELECT name, hold, failures, interval, last, status, reply, reason, host FROM destination WHERE failures > "
          "0");
      while (rows.step())
        all.push_back({std::string(rows.text(0)), rows.integer(1), rows.integer(2), rows.integer(3), rows.integer(4),
                       std::string(rows.text(5)), std::string(rows.text(6)), std::string(rows.text(7)),
                       std::string(rows.text(8))});
      return all;
    });
  }
  Result<std::vector<CopiedPolicy>> policies() override {
    return disk::guarded([this]() -> Result<std::vector<CopiedPolicy>> {
      std::vector<CopiedPolicy> all;
      auto rows = db_.prepare(
          "SELECT p.domain, due, checked, failures, failed, failed_record, reason, error, record, fetched, max_age, "
          "p.policy, r.policy "
          "FROM sts_policy p LEFT JOIN sts_refused r ON r.domain = p.domain");
      while (rows.step()) {
        CopiedPolicy one;
        one.domain = rows.text(0);
        one.due = rows.integer(1);
        one.checked = rows.integer(2);
        one.failures = rows.integer(3);
        one.failed = rows.integer(4);
        one.failed_record = rows.text(5);
        one.reason = rows.text(6);
        one.error = rows.text(7);
        one.record = copied_text(rows, 8);
        one.fetched = copied_number(rows, 9);
        one.max_age = copied_number(rows, 10);
        one.policy = copied_text(rows, 11);
        one.refused = copied_text(rows, 12);
        all.push_back(std::move(one));
      }
      return all;
    });
  }
  Result<std::vector<CopiedPartner>> partners() override {
    return disk::guarded([this]() -> Result<std::vector<CopiedPartner>> {
      std::vector<CopiedPartner> all;
      auto rows = db_.prepare(
          "SELECT domain, rule, level, since, until, note, who FROM partner AS p WHERE NOT gone AND batch = (SELECT "
          "max(batch) FROM "
          "partner AS q WHERE q.domain = p.domain AND q.rule = p.rule AND q.batch <= (SELECT committed FROM "
          "partner_batch))");
      while (rows.step())
        all.push_back({std::string(rows.text(0)), rows.integer(1), rows.integer(2), rows.integer(3),
                       copied_number(rows, 4), std::string(rows.text(5)), std::string(rows.text(6))});
      return all;
    });
  }
  Result<Id> last_id() override {
    return disk::guarded([this]() -> Result<Id> {
      return Id{db_.integer(
          "SELECT max(coalesce((SELECT max(id) FROM message), 0), coalesce((SELECT value FROM mark WHERE name = "
          "'id'), 0))")};
    });
  }
  Result<> mark_moving(const std::string& to, const std::string& database) override {
    return disk::guarded([&]() -> Result<> {
      auto into = db_.prepare("SELECT value FROM mark WHERE name = 'moving-into'");
      if (into.step() && into.text(0) != database) {
        auto where = db_.prepare("SELECT value FROM mark WHERE name = 'moving'");
        return fail(errc::invalid_argument, "its mail is being copied into another database, that of " +
                                                std::string(where.step() ? where.text(0) : "another URL"));
      }
      db_.prepare("INSERT OR REPLACE INTO mark (name, value) VALUES ('moving', ?1), ('moving-into', ?2)")
          .bind(to, database)
          .run();
      return {};
    });
  }
  Result<> mark_moved(const std::string& to) override {
    return disk::guarded([&]() -> Result<> {
      db_.prepare("INSERT OR REPLACE INTO mark (name, value) VALUES ('moved', ?1)").bind(to).run();
      return {};
    });
  }

 private:
  CopiedMessage message_of(disk::Statement& row) {
    CopiedMessage one;
    one.id = Id{row.integer(0)};
    one.received = row.integer(1);
    one.size = row.integer(2);
    one.chunks = row.integer(3);
    one.recipients_were = row.integer(4);
    one.flags = row.integer(5);
    one.sender = row.text(6);
    one.client = row.text(7);
    one.envid = copied_text(row, 8);
    add_recipients(one);
    auto chunks = db_.prepare("SELECT id, sum, data FROM chunk WHERE id BETWEEN ?1 AND ?2 ORDER BY id");
    for (chunks.bind(first_key(one.id), last_key(one.id)); chunks.step();)
      one.bodies.push_back({number_of_key(chunks.integer(0)), chunks.integer(1), std::string(chunks.blob(2))});
    return one;
  }
  void add_recipients(CopiedMessage& to) {
    auto rows = db_.prepare(
        "SELECT r.id, d.name, e.name, r.state, r.due, r.attempts, r.interval, r.address, r.notify, r.orcpt, r.last, "
        "r.status, r.reply, "
        "r.reason, r.host FROM recipient r JOIN domain d ON d.id = r.domain JOIN destination e ON e.id = d.destination "
        "WHERE r.id "
        "BETWEEN ?1 AND ?2 ORDER BY r.id");
    for (rows.bind(first_key(to.id), last_key(to.id)); rows.step();) {
      if (rows.integer(3) == is_removed) continue;
      CopiedRecipient one;
      one.seq = number_of_key(rows.integer(0));
      one.domain = rows.text(1);
      one.destination = rows.text(2);
      one.state = rows.integer(3);
      one.due = rows.integer(4);
      one.attempts = rows.integer(5);
      one.interval = rows.integer(6);
      one.address = rows.text(7);
      one.notify = rows.integer(8);
      one.orcpt = copied_text(rows, 9);
      one.last = copied_number(rows, 10);
      one.status = copied_text(rows, 11);
      one.reply = copied_text(rows, 12);
      one.reason = copied_text(rows, 13);
      one.host = copied_text(rows, 14);
      to.recipients.push_back(std::move(one));
    }
  }

  disk::Database db_;
};

}  // namespace

std::optional<std::string> moved_to(const std::filesystem::path& database) {
  std::error_code gone;
  if (!std::filesystem::exists(database, gone)) return std::nullopt;
  auto db = disk::open_read_only(database);
  if (!db) return std::nullopt;  // whoever opens it says why
  try {
    auto row = db->prepare("SELECT value FROM mark WHERE name = 'moved'");
    return row.step() ? std::optional(std::string(row.text(0))) : std::nullopt;
  } catch (const disk::Failure&) {
    return std::nullopt;
  }
}

std::optional<std::string> moved_to(disk::Tx& tx) {
  auto row = tx.prepare("SELECT value FROM mark WHERE name = 'moved'");
  return row.step() ? std::optional(std::string(row.text(0))) : std::nullopt;
}

std::optional<std::string> moving_to(disk::Tx& tx) {
  auto row = tx.prepare("SELECT value FROM mark WHERE name = 'moving'");
  return row.step() ? std::optional(std::string(row.text(0))) : std::nullopt;
}

Result<std::unique_ptr<store::CopySource>> copy_source(const std::filesystem::path& database) {
  auto db = disk::Database::open(database, disk::Access::existing);
  if (!db) return db.error();
  return std::make_unique<SqliteCopySource>(std::move(*db));
}

}  // namespace hoplock::store_sqlite
