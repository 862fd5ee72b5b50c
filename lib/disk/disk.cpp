// SPDX-License-Identifier: Apache-2.0
#include "disk/disk.h"

#include <unistd.h>

#include <fcntl.h>

#include <boost/asio/post.hpp>
#include <chrono>
#include <system_error>

#include "disk/backup.h"
#include "disk/bus.h"
#include "disk/core.h"
#include "disk/files.h"
#include "disk/log_file.h"

namespace hoplock::disk {
namespace {

constexpr std::uint64_t start_needs = 1U << 20U;  // of room: the log and its index are made anew

Error directory_error(const std::filesystem::path& path, const std::error_code& ec) {
  return fail(error_code(ec.value(), boost::system::generic_category()), path.string() + ": " + ec.message());
}

Result<> make_directory(const std::filesystem::path& path) {
  std::error_code ec;
  if (std::filesystem::is_directory(path, ec)) return {};
  std::filesystem::create_directories(path, ec);
  if (ec) return directory_error(path, ec);
  std::filesystem::permissions(path, std::filesystem::perms(0750), ec);
  return {};
}

Result<> write_new(const std::filesystem::path& path, const std::vector<Migration>& migrations) {
  Database::Settings settings;
  settings.journal = Journal::rollback;  // what the last commit gave is in the file, or it failed
  auto db = Database::open(path, Access::read_write, settings);
  if (!db) return db.error();
  if (const auto migrated = migrate(*db, migrations); !migrated)
    return fail(migrated.error().code, path.string() + ": " + migrated.error().detail);
  try {
    db->keep(Journal::log);  // before it has its name: nothing is left to be done to it there
  } catch (const Failure& failure) {
    return fail(failure.error().code, path.string() + ": " + failure.error().detail);
  }
  return {};
}

// A store that was put back gets its log at its first start. Where that was cut short, the rollback journal that it left is played
// back here: a reader, as examine() is one, may not, and would call the store unreadable.
void finish_rollback(const std::filesystem::path& path) {
  std::error_code ec;
  if (!std::filesystem::exists(path.string() + "-journal", ec)) return;
  Database::Settings settings;
  settings.journal = Journal::rollback;
  auto db = Database::open(path, Access::existing, settings);
  try {
    if (db) db->integer("SELECT count(*) FROM sqlite_master");
  } catch (const Failure&) {
    return;  // examine() says why
  }
}

// Made under another name and moved into place whole: a start that is cut short, or has no room, leaves nothing.
Result<> make_new(const std::filesystem::path& path, const std::vector<Migration>& migrations) {
  const std::filesystem::path unfinished = path.string() + ".new";
  const auto clear = [&unfinished] {
    std::error_code ec;
    for (const char* rest : {"", "-journal", "-wal", "-shm"}) std::filesystem::remove(unfinished.string() + rest, ec);
  };
  std::error_code ec;
  clear();
  for (const char* rest : {"-journal", "-wal", "-shm", "-synced"})
    std::filesystem::remove(path.string() + rest, ec);  // of a file that examine() found to be nothing
  auto made = write_new(unfinished, migrations);
  if (made) {
    std::filesystem::rename(unfinished, path, ec);
    made = ec ? Result<>(directory_error(path, ec)) : sync_directory(path.parent_path());
  }
  if (!made) clear();
  return made;
}

// What the last process saved when its files were taken away under it, in place of what has their names now.
Result<bool> take_up_rescue(const std::filesystem::path& path) {
  const auto rescue = path.parent_path() / rescue_name;
  std::error_code ec;
  if (!std::filesystem::exists(rescue, ec)) return false;
  for (int n = 1; n < 1000; ++n) {
    const std::string aside = path.string() + ".aside-" + std::to_string(n);
    if (std::filesystem::exists(aside, ec) || std::filesystem::exists(aside + "-wal", ec)) continue;
    for (const char* rest : {"-wal", "-shm", "-synced", ""})
      if (std::filesystem::exists(path.string() + rest, ec)) {
        std::filesystem::rename(path.string() + rest, aside + rest, ec);
        if (ec) return directory_error(path.string() + rest, ec);
      }
    break;
  }
  std::filesystem::rename(rescue, path, ec);
  if (ec) return directory_error(rescue, ec);
  if (auto synced = sync_directory(path.parent_path()); !synced) return synced.error();
  return true;
}

// A database that an older version made cannot give space back. While little is in it, it is made over in a moment; where there is no
// room for that, it stays as it is.
void let_it_shrink(Database& db) {
  constexpr std::int64_t little = 4096;  // pages
  try {
    if (db.integer("PRAGMA auto_vacuum") != 0) return;
    if (db.integer("PRAGMA page_count") - db.integer("PRAGMA freelist_count") > little) return;
    db.execute("PRAGMA auto_vacuum=INCREMENTAL; VACUUM");
  } catch (const Failure&) {
    return;  // a failed sync has frozen it: the next write says so
  }
}

Error about(const std::filesystem::path& path, const Error& error) {
  return fail(error.code, path.string() + ": " + error.detail);
}

}  // namespace

Result<std::unique_ptr<Disk>> Disk::open(asio::any_io_executor loop, Options options) {
  if (const auto made = make_directory(options.directory); !made) return made.error();
  auto lock = Lock::take(options.directory);
  if (!lock) return lock.error();
  Ballast ballast(options.directory, options.ballast_bytes);
  if (const auto free = free_in(options.directory); free && *free < start_needs) ballast.give(Ballast::Part::all);
  if (!has_names_left(options.directory)) ballast.give_name();
  const auto path = options.directory / "queue.db";
  const auto rescued = take_up_rescue(path);
  if (!rescued) return rescued.error();
  finish_rollback(path);
  const auto found = examine(path, options.migrations);
  if (!found) return found.error();
  if (*found == Found::nothing)
    if (const auto made = make_new(path, options.migrations); !made) return made.error();
  Database::Settings settings;
  settings.cache_bytes = options.cache_bytes;
  auto db = Database::open(path, Access::existing, settings);
  if (!db) return db.error();
  db->leave_log();  // of a start that fails all is as it was
  {
    const CountingSteps start(*db);
    if (const auto renewed = renew_log(*db); !renewed) return about(path, renewed.error());
    if (const auto migrated = migrate(*db, options.migrations); !migrated) return about(path, migrated.error());
    let_it_shrink(*db);
  }
  auto copier = Database::open(path, Access::existing);
  if (!copier) return copier.error();
  copier->leave_log();
  for (Database* one : {&*db, &*copier}) one->keep_log();  // where no names are left, the next start needs theirs
  end_when_cut(path.string() + "-shm");
  try {
    Core::Opened opened{std::move(*lock), std::move(ballast), std::move(*db), std::move(*copier)};
    return std::unique_ptr<Disk>(
        new Disk(std::make_unique<Core>(std::move(loop), std::move(options), std::move(opened))));
  } catch (const Failure& failure) {
    return about(path, failure.error());
  }
}

Disk::Disk(std::unique_ptr<Core> core) : core_(std::move(core)) { core_->start(); }
Disk::~Disk() = default;

void Disk::submit(std::unique_ptr<Job> job) { core_->submit(std::move(job)); }
asio::any_io_executor Disk::loop() const { return core_->loop; }
void Disk::on_rollback(std::function<void()> call) { core_->rolled_back = std::move(call); }
std::filesystem::path Disk::path() const { return core_->path(); }
void Disk::on_news(std::function<void(const News&)> call) { core_->on_news(std::move(call)); }
Result<> Disk::writable() const { return core_->writable(); }
bool Disk::broken() const { return core_->is_broken(); }
std::vector<News> Disk::close() { return core_->close(); }

asio::awaitable<Result<std::uint64_t>> Disk::compact() {
  auto slice = [](Tx& tx) -> Result<std::uint64_t> {
    auto mode = tx.prepare("PRAGMA auto_vacuum");
    if (!mode.step() || mode.integer(0) != 2)
      return fail(errc::not_supported,
                  "an older version made this database: it gives space back only when started nearly empty");
    tx.prepare("PRAGMA incremental_vacuum(256)").run();
    auto free = tx.prepare("PRAGMA freelist_count");
    free.step();
    return static_cast<std::uint64_t>(free.integer(0));
  };
  co_return co_await run(Durability::relaxed, std::move(slice));
}

Sizes Disk::sizes() const { return core_->sizes(); }
Result<> Disk::health() const { return core_->health(); }
Histogram Disk::commits() const { return core_->commits(); }
std::uint64_t Disk::free_bytes() { return core_->free_bytes(); }

}  // namespace hoplock::disk
