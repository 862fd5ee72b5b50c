// SPDX-License-Identifier: Apache-2.0
#include "postgres/migrations.h"

#include <chrono>

#include "postgres/connection.h"
#include "postgres/errors.h"

namespace hoplock::postgres {
namespace {

constexpr std::chrono::seconds patience{60};  // another node migrates

// Two that make it at once: one fails with 23505 or 42P07, and finds it made when it asks again.
Batch make_meta() {
  Batch batch;
  batch.push_back(statement(
      "CREATE TABLE IF NOT EXISTS hoplock_meta (one boolean PRIMARY KEY DEFAULT true CHECK (one), version int NOT NULL "
      "DEFAULT 0,"
      " readable_from int NOT NULL DEFAULT 0, installation uuid NOT NULL DEFAULT gen_random_uuid(), moved_to text)"));
  batch.push_back(statement("INSERT INTO hoplock_meta DEFAULT VALUES ON CONFLICT DO NOTHING"));
  return batch;
}

Statement select_meta(std::string_view behind) {
  return statement("SELECT version, readable_from, installation, moved_to FROM hoplock_meta" + std::string(behind));
}

Batch find_meta() {
  Batch batch;
  batch.push_back(select_meta(""));
  return batch;
}

Batch lock_meta() {
  Batch batch;
  batch.push_back(statement("BEGIN"));
  batch.push_back(statement("SET LOCAL lock_timeout = '60s'"));
  batch.push_back(statement("SET LOCAL synchronous_commit = on"));
  batch.push_back(select_meta(" FOR UPDATE"));
  return batch;
}

Batch apply(int from, const std::vector<Migration>& migrations) {
  Batch batch;
  int readable_from = 0;
  for (std::size_t i = 0; i < migrations.size(); ++i) {
    readable_from = std::max(readable_from, migrations[i].readable_from);
    if (static_cast<int>(i) < from) continue;
    for (const std::string_view sql : migrations[i].statements) batch.push_back(statement(std::string(sql)));
  }
  batch.push_back(
      statement("UPDATE hoplock_meta SET version = $1, readable_from = $2 RETURNING version, readable_from, "
                "installation, moved_to",
                migrations.size(), readable_from));
  batch.push_back(statement("COMMIT"));
  return batch;
}

Batch give_up() {
  Batch batch;
  batch.push_back(statement("ROLLBACK"));
  return batch;
}

Result<Meta> meta_of(const Rows& rows) {
  if (rows.empty()) return fail(errc::bad_message, "hoplock_meta has no row");
  const Row row = rows[0];
  return Meta{static_cast<int>(row.integer(0)), static_cast<int>(row.integer(1)), row.uuid(2), row.maybe_text(3)};
}

bool is_missing(const Error& error) { return has_sqlstate(error, "42P01"); }
bool is_made_by_another(const Error& error) { return has_sqlstate(error, "23505") || has_sqlstate(error, "42P07"); }

// The version that is to be begun from; nothing: there is nothing to do.
Result<bool> is_to_be_migrated(const Meta& meta, const std::vector<Migration>& migrations) {
  const int ours = static_cast<int>(migrations.size());
  if (meta.version > ours && meta.readable_from > ours)
    return fail(errc::not_supported, "the database is of version " + std::to_string(meta.version) +
                                         ", and this program reads version " + std::to_string(ours) +
                                         ": it is too old");
  return meta.version < ours;
}

// The steps are the same with both kinds of connections; what differs is how one is run. `migrated`: the answer to apply().
Result<Meta> migrated(const Result<Answer>& answer, const std::vector<Migration>& migrations) {
  if (answer) return meta_of((*answer)[answer->size() - 2]);
  Error error = answer.error();
  error.detail = "cannot bring the database to version " + std::to_string(migrations.size()) + ": " + error.detail;
  return error;
}

}  // namespace

Result<Meta> examine(BlockingConnection& connection) {
  const auto answer = connection.run(find_meta());
  if (!answer && is_missing(answer.error())) return Meta{};
  if (!answer) return answer.error();
  return meta_of(answer->front());
}

Result<Meta> migrate(BlockingConnection& connection, const std::vector<Migration>& migrations) {
  auto found = connection.run(find_meta());
  if (!found && is_missing(found.error())) {
    auto made = connection.run(make_meta());
    if (!made && is_made_by_another(made.error())) made = connection.run(make_meta());
    if (!made) return made.error();
    found = connection.run(find_meta());
  }
  if (!found) return found.error();
  auto meta = meta_of(found->front());
  auto needed = meta ? is_to_be_migrated(*meta, migrations) : Result<bool>(meta.error());
  if (!needed) return needed.error();
  if (!*needed) return meta;
  auto locked = connection.run(lock_meta(), patience);
  meta = locked ? meta_of(locked->back()) : Result<Meta>(locked.error());
  needed = meta ? is_to_be_migrated(*meta, migrations) : Result<bool>(meta.error());
  if (needed && *needed) meta = migrated(connection.run(apply(meta->version, migrations), patience), migrations);
  if (!needed || !*needed || !meta) static_cast<void>(connection.run(give_up()));
  if (!needed) return needed.error();
  return meta;
}

asio::awaitable<Result<Meta>> migrate(Connection& connection, const std::vector<Migration>& migrations) {
  const auto until = std::chrono::steady_clock::now() + patience;
  auto found = co_await connection.run(find_meta(), until);
  if (!found && is_missing(found.error())) {
    auto made = co_await connection.run(make_meta(), until);
    const bool again = !made && is_made_by_another(made.error());
    if (again) made = co_await connection.run(make_meta(), until);
    if (!made) co_return made.error();
    found = co_await connection.run(find_meta(), until);
  }
  if (!found) co_return found.error();
  auto meta = meta_of(found->front());
  auto needed = meta ? is_to_be_migrated(*meta, migrations) : Result<bool>(meta.error());
  if (!needed) co_return needed.error();
  if (!*needed) co_return meta;
  auto locked = co_await connection.run(lock_meta(), until);
  meta = locked ? meta_of(locked->back()) : Result<Meta>(locked.error());
  needed = meta ? is_to_be_migrated(*meta, migrations) : Result<bool>(meta.error());
  if (needed && *needed) {
    const auto answer = co_await connection.run(apply(meta->version, migrations), until);
    meta = migrated(answer, migrations);
  }
  if (!needed || !*needed || !meta) co_await connection.run(give_up(), until);
  if (!needed) co_return needed.error();
  co_return meta;
}

}  // namespace hoplock::postgres
