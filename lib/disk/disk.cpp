#include "disk/disk.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <fcntl.h>

#include <boost/asio/post.hpp>
#include <chrono>
#include <system_error>

#include "disk/core.h"

namespace hoplock::disk {
namespace {

constexpr std::chrono::milliseconds free_age{5};  // a fast client fills a small disk in a fraction of a second

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

// A new file is durable only when its directory is.
void sync_directory(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

// Made under another name and moved into place whole: a start that is cut short leaves no half database.
Result<> make_new(const std::filesystem::path& path, const std::vector<Migration>& migrations) {
  const std::filesystem::path unfinished = path.string() + ".new";
  std::error_code ec;
  for (const char* rest : {"", "-journal", "-wal", "-shm"}) {
    std::filesystem::remove(unfinished.string() + rest, ec);
    if (*rest) std::filesystem::remove(path.string() + rest, ec);  // of a file that examine() found to be nothing
  }
  {
    auto db = Database::open(unfinished, Access::read_write);
    if (!db) return db.error();
    if (const auto migrated = migrate(*db, migrations); !migrated)
      return fail(migrated.error().code, unfinished.string() + ": " + migrated.error().detail);
  }
  std::filesystem::rename(unfinished, path, ec);
  if (ec) return directory_error(path, ec);
  sync_directory(path.parent_path());
  return {};
}

}  // namespace

Result<std::unique_ptr<Disk>> Disk::open(asio::any_io_executor loop, Options options) {
  if (const auto made = make_directory(options.directory); !made) return made.error();
  auto lock = Lock::take(options.directory / "lock");
  if (!lock) return lock.error();
  const auto path = options.directory / "queue.db";
  const auto found = examine(path, options.migrations);
  if (!found) return found.error();
  if (*found == Found::nothing)
    if (const auto made = make_new(path, options.migrations); !made) return made.error();
  Database::Settings settings;
  settings.cache_bytes = options.cache_bytes;
  auto db = Database::open(path, Access::read_write, settings);
  if (!db) return db.error();
  if (const auto migrated = migrate(*db, options.migrations); !migrated)
    return fail(migrated.error().code, path.string() + ": " + migrated.error().detail);
  return std::unique_ptr<Disk>(
      new Disk(std::make_unique<Core>(std::move(loop), std::move(options), std::move(*lock), std::move(*db))));
}

Disk::Disk(std::unique_ptr<Core> core) : core_(std::move(core)) { core_->start(); }
Disk::~Disk() = default;

void Disk::submit(std::unique_ptr<Job> job) { core_->submit(std::move(job)); }
asio::any_io_executor Disk::loop() const { return core_->loop; }
void Disk::on_rollback(std::function<void()> call) { core_->rolled_back = std::move(call); }
std::filesystem::path Disk::path() const { return core_->path(); }
Result<> Disk::health() const { return core_->health(); }
Histogram Disk::commits() const { return core_->commits(); }

std::uint64_t Disk::free_bytes() {
  const auto now = std::chrono::steady_clock::now();
  if (core_->free_known == std::chrono::steady_clock::time_point{} || now - core_->free_known >= free_age) {
    struct statvfs system {};
    if (::statvfs(core_->options.directory.c_str(), &system) == 0)
      core_->file_system_free = static_cast<std::uint64_t>(system.f_bavail) * system.f_frsize;
    core_->free_known = now;
  }
  return core_->file_system_free + core_->database_free.load(std::memory_order_relaxed);
}

}  // namespace hoplock::disk
