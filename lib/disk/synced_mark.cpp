// SPDX-License-Identifier: Apache-2.0
#include "disk/synced_mark.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string_view>
#include <utility>

#include "disk/files.h"
#include "disk/log_file.h"
#include "disk/vfs.h"

namespace hoplock::disk {
namespace {

constexpr std::size_t mark_octets = 128, old_mark_octets = 64;
constexpr std::string_view overwritten_word = "overwritten";
constexpr std::chrono::seconds keep_every{1};
constexpr std::size_t counter_at = 24;  // in a database's header

std::optional<Witness> stat_of(const std::string& database) {
  struct stat status {};
  if (::stat(database.c_str(), &status) != 0) return std::nullopt;
  Witness witness;
  witness.inode = status.st_ino;
  witness.changed_ns = changed_ns(status);
  return witness;
}

std::optional<Witness> witness_in_use(const std::string& database, Database& db) {
  auto witness = stat_of(database);
  sqlite3_file* const file = db.file();
  std::array<char, 4> octets{};
  if (!witness || !file || file->pMethods->xRead(file, octets.data(), octets.size(), counter_at) != SQLITE_OK)
    return std::nullopt;
  witness->counter = big(octets.data());
  return witness;
}

// FNV-1a.
std::uint32_t sum_of(std::string_view text) {
  std::uint32_t sum = 2166136261U;
  for (const char c : text) sum = (sum ^ static_cast<unsigned char>(c)) * 16777619U;
  return sum;
}

std::string text_of_mark(const std::filesystem::path& database) {
  const Descriptor file(::open((database.string() + "-synced").c_str(), O_RDONLY | O_CLOEXEC));
  std::string text(mark_octets, '\0');
  if (file.fd < 0) return "";
  const auto got = read_at(file.fd, text.data(), text.size(), 0);
  text.resize(got ? *got : 0);
  return text;
}

struct Seen {
  Witness witness;
  std::optional<std::uint32_t> sector;
};
// Nothing in what an older version wrote.
std::optional<Seen> seen_in(const std::string& text) {
  if (text.size() < mark_octets || text[old_mark_octets - 1] == '\n') return std::nullopt;
  Seen seen;
  unsigned long long inode = 0;
  long long changed = 0;
  std::uint32_t sum = 0, sector = 0;
  int length = 0;
  const int found = std::sscanf(text.c_str(), "synced %*8x %*8x %*u db %llu %lld %8x%n %8x %8x", &inode, &changed,
                                &seen.witness.counter, &length, &sum, &sector);
  if (found < 4 || sum != sum_of({text.data(), static_cast<std::size_t>(length)})) return std::nullopt;
  seen.witness.inode = inode;
  seen.witness.changed_ns = changed;
  if (found == 5) seen.sector = sector;
  return seen;
}

// Nothing where a part of the log was copied already: what is there is not on stable storage, and may be gone with the power.
std::optional<std::uint32_t> sector_in_use(Database& db) {
  sqlite3_file* const file = db.file();
  std::array<char, sector_octets> octets{};
  if (!file || file->pMethods->xRead(file, octets.data(), octets.size(), 0) != SQLITE_OK) return std::nullopt;
  const auto copying = copying_of(db);
  return copying && copying->begun == 0 && !db.has_failed() ? std::optional(sum_of_sector(octets.data()))
                                                            : std::nullopt;
}

}  // namespace

std::uint32_t sum_of_sector(const char* octets) { return sum_of({octets, sector_octets}); }

Result<Witness> witness_of(const std::filesystem::path& database) {
  const auto octets = first_octets(database, counter_at + 4);
  if (!octets) return octets.error();
  auto witness = stat_of(database.string());
  if (!witness) return errno_error("stat " + database.string());
  witness->counter = big(octets->data() + counter_at);
  return *witness;
}

SyncedMark::SyncedMark(const std::filesystem::path& database)
    : database_(database.string()), fd_(::open((database_ + "-synced").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640)) {
  if (fd_ < 0) return;
  if (const auto said = read(database)) {
    began_ = {*said, read_sector(database)};
    return;
  }
  static_cast<void>(clear());  // that a mark was kept must be known after a power cut, whatever it says
  static_cast<void>(sync_directory(database.parent_path()));
}
SyncedMark::~SyncedMark() {
  if (fd_ >= 0) ::close(fd_);
}

// In one sector, so that it is never torn. Where it cannot be written less is noticed later, nothing is wrong. An older version reads
// what it knows of it, and writes the shorter text.
Result<> SyncedMark::write(const Synced& synced, const std::optional<Witness>& seen) {
  const Witness witness = seen.value_or(Witness{});
  std::array<char, mark_octets> text{};
  text.fill(' ');
  const int length =
      std::snprintf(text.data(), text.size(), "synced %08x %08x %llu db %llu %lld %08x", synced.salt_1, synced.salt_2,
                    static_cast<unsigned long long>(synced.frames), static_cast<unsigned long long>(witness.inode),
                    static_cast<long long>(witness.changed_ns), witness.counter);
  const std::uint32_t sum = sum_of({text.data(), static_cast<std::size_t>(length)});
  int end = std::snprintf(text.data() + length, text.size() - static_cast<std::size_t>(length), " %08x", sum);
  if (began_ && began_->sector && began_->log.shares_log_with(synced))
    end += std::snprintf(text.data() + length + end, text.size() - static_cast<std::size_t>(length + end), " %08x",
                         *began_->sector);
  text[static_cast<std::size_t>(length + end)] = ' ';
  text.back() = '\n';
  if (::pwrite(fd_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size())) return {};
  kept_.reset();
  return fail(errc::no_space_on_device, "write " + database_ + "-synced failed");
}

Result<> SyncedMark::keep(const Synced& synced) {
  const bool done = ::fdatasync(fd_) == 0;
  note_call_done();
  if (!done) {
    kept_.reset();  // and it is tried again
    return errno_error("sync " + database_ + "-synced");
  }
  kept_ = synced;
  kept_at_ = std::chrono::steady_clock::now();
  return {};
}

// Somebody removed it: the next start would know nothing.
void SyncedMark::make_again() {
  struct stat status {};
  if (::fstat(fd_, &status) != 0 || status.st_nlink > 0) return;
  const int made = ::open((database_ + "-synced").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (made < 0) return;
  ::close(std::exchange(fd_, made));
  kept_.reset();
  static_cast<void>(sync_directory(std::filesystem::path(database_).parent_path()));
}

void SyncedMark::set(const Synced& synced, Database& db) {
  if (fd_ < 0) return;
  make_again();
  if (!began_ || !began_->log.shares_log_with(synced)) began_ = {synced, sector_in_use(db)};
  said_ = synced;
  if (!write(synced, witness_in_use(database_, db))) return;
  if (!kept_ || !kept_->shares_log_with(synced) || std::chrono::steady_clock::now() - kept_at_ >= keep_every)
    static_cast<void>(keep(synced));  // less is noticed after a power cut
}

void SyncedMark::renew(Database& db) {
  if (fd_ >= 0 && said_) static_cast<void>(write(*said_, witness_in_use(database_, db)));
}

void SyncedMark::release() {
  if (fd_ >= 0 && said_) static_cast<void>(write(*said_, std::nullopt));
}

Result<> SyncedMark::clear() {
  const Synced nothing;
  said_.reset();
  if (fd_ < 0 || kept_ == nothing) return {};
  if (auto written = write(nothing, {}); !written) return written;
  return keep(nothing);
}

void SyncedMark::tell_overwritten() {
  if (fd_ < 0) return;
  make_again();
  std::string text(overwritten_word);
  text.resize(mark_octets - 1, ' ');
  text += '\n';
  if (::pwrite(fd_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size())) ::fdatasync(fd_);
  note_call_done();
  ::close(std::exchange(fd_, -1));
}

bool SyncedMark::says_overwritten(const std::filesystem::path& database) {
  return text_of_mark(database).starts_with(overwritten_word);
}

std::optional<Synced> SyncedMark::read(const std::filesystem::path& database) {
  Synced synced;
  unsigned long long frames = 0;
  if (std::sscanf(text_of_mark(database).c_str(), "synced %8x %8x %llu", &synced.salt_1, &synced.salt_2, &frames) != 3)
    return std::nullopt;
  synced.frames = frames;
  return synced;
}

std::optional<Witness> SyncedMark::read_witness(const std::filesystem::path& database) {
  const auto seen = seen_in(text_of_mark(database));
  return seen ? std::optional(seen->witness) : std::nullopt;
}

std::optional<std::uint32_t> SyncedMark::read_sector(const std::filesystem::path& database) {
  const auto seen = seen_in(text_of_mark(database));
  return seen ? seen->sector : std::nullopt;
}

}  // namespace hoplock::disk
