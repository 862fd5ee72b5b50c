// SPDX-License-Identifier: Apache-2.0
#include "disk/log_file.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "disk/files.h"
#include "disk/vfs.h"

namespace hoplock::disk {
namespace {

constexpr std::size_t mark_octets = 128, old_mark_octets = 64;
constexpr std::chrono::seconds keep_every{1};
constexpr std::size_t counter_at = 24;  // in a database's header
constexpr std::size_t walked_octets = 1 << 20;
constexpr int copied_octets = 64 << 10;  // SQLite's VFS writes less than 128 KiB at once

std::uint32_t word_at(const char* octets, std::endian order) {
  std::uint32_t value = 0;
  std::memcpy(&value, octets, sizeof value);
  return order == std::endian::native ? value : __builtin_bswap32(value);
}
std::uint32_t big(const char* octets) { return word_at(octets, std::endian::big); }

struct Sum {
  std::uint32_t first = 0;
  std::uint32_t second = 0;
  friend bool operator==(const Sum&, const Sum&) = default;
};
Sum sum_at(const char* octets) { return {big(octets), big(octets + 4)}; }

Sum add(Sum sum, const char* octets, std::size_t length, std::endian order) {
  for (std::size_t at = 0; at < length; at += 8) {
    sum.first += word_at(octets + at, order) + sum.second;
    sum.second += word_at(octets + at + 4, order) + sum.first;
  }
  return sum;
}

struct Descriptor {
  explicit Descriptor(int of) : fd(of) {}
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  int fd;
};

// Less than asked for at the end of the file.
Result<std::size_t> read_at(int fd, char* to, std::size_t length, std::uint64_t from) {
  std::size_t got = 0;
  while (got < length) {
    const auto n = ::pread(fd, to + got, length - got, static_cast<off_t>(from + got));
    note_call_done();
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("read");
    if (n == 0) break;
    got += static_cast<std::size_t>(n);
  }
  return got;
}

struct Header {
  std::endian order = std::endian::little;
  std::size_t page = 0;
  Sum sum;
  Synced log;
};
std::optional<Header> parse_header(const std::array<char, log_header_octets>& head) {
  const std::uint32_t magic = big(head.data());
  if ((magic & ~1U) != 0x377f0682U || big(head.data() + 4) != 3007000) return std::nullopt;
  Header header;
  header.order = (magic & 1U) != 0 ? std::endian::big : std::endian::little;
  header.page = big(head.data() + 8);
  header.sum = add({}, head.data(), 24, header.order);
  header.log = {big(head.data() + 16), big(head.data() + 20), 0};
  if (header.sum != sum_at(head.data() + 24)) return std::nullopt;
  if (header.page < 512 || header.page > 65536 || (header.page & (header.page - 1)) != 0) return std::nullopt;
  return header;
}

std::optional<Witness> stat_of(const std::string& database) {
  struct stat status {};
  if (::stat(database.c_str(), &status) != 0) return std::nullopt;
  Witness witness;
  witness.inode = status.st_ino;
  witness.changed_ns = status.st_mtim.tv_sec * std::int64_t{1'000'000'000} + status.st_mtim.tv_nsec;
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
std::uint32_t sum_of_mark(std::string_view text) {
  std::uint32_t sum = 2166136261U;
  for (const char c : text) sum = (sum ^ static_cast<unsigned char>(c)) * 16777619U;
  return sum;
}

// What lies in the file, frames counted from 1.
struct Walk {
  std::uint64_t first_bad = 0;  // one behind the last, where all fit
  std::uint64_t whole_behind = 0;
  bool later_transaction = false;  // a whole commit lies behind it, and something whole behind that
};
Result<Walk> walk(int fd, const Header& header) {
  Walk found;
  const std::size_t frame_octets = frame_header_octets + header.page;
  const std::uint64_t at_once = std::max<std::size_t>(walked_octets / frame_octets, 1);
  std::vector<char> block(at_once * frame_octets);  // a slow disk is asked once for many
  Sum sum = header.sum;
  std::size_t here = 0;
  bool commit_behind = false;
  for (std::uint64_t n = 1;; ++n) {
    const auto in_block = (n - 1) % at_once;
    if (in_block == 0) {
      const auto got = read_at(fd, block.data(), block.size(), log_header_octets + (n - 1) * frame_octets);
      if (!got) return got.error();
      here = *got / frame_octets;
    }
    const char* const frame = block.data() + in_block * frame_octets;
    const bool all_there = in_block < here;
    const bool ours =
        all_there && big(frame) != 0 && big(frame + 8) == header.log.salt_1 && big(frame + 12) == header.log.salt_2;
    if (all_there) sum = add(add(sum, frame, 8, header.order), frame + frame_header_octets, header.page, header.order);
    const bool whole = ours && sum == sum_at(frame + 16);
    if (!whole && found.first_bad == 0) found.first_bad = n;
    if (!all_there) return found;
    if (whole && found.first_bad != 0) {
      ++found.whole_behind;
      if (commit_behind) found.later_transaction = true;
      if (big(frame + 4) != 0) commit_behind = true;
    }
    sum = sum_at(frame + 16);
  }
}

// Once: the daemon may be started again and again.
std::string keep_copy(const std::string& log) {
  const std::string copy = log + ".damaged";
  std::error_code ec;
  if (!std::filesystem::exists(copy, ec)) std::filesystem::copy_file(log, copy, ec);
  if (!ec) ::chmod(copy.c_str(), 0640);
  return ec ? "no copy of the log could be kept (" + ec.message() + ")" : "a copy of the log is " + copy;
}

Error damaged(const std::filesystem::path& database, const std::string& what) {
  return fail(errc::bad_message, database.string() + ": the database is damaged: " + what);
}

Error damaged_frames(const std::filesystem::path& database, const Walk& found, const Header& header,
                     std::optional<Synced> synced) {
  const std::string log = database.string() + "-wal";
  std::string text = "frame " + std::to_string(found.first_bad) +
                     " of its log queue.db-wal does not fit its checksum, " + std::to_string(found.whole_behind) +
                     " whole frames lie behind it";
  if (synced) text += ", and " + std::to_string(synced->frames) + " were on stable storage";
  text += "; what they hold was acknowledged. " + keep_copy(log) + ". To go on without them: rm " + database.string() +
          "-synced, then truncate -s " +
          std::to_string(log_header_octets + (found.first_bad - 1) * (frame_header_octets + header.page)) + " " + log;
  return damaged(database, text);
}

}  // namespace

SyncedMark::SyncedMark(const std::filesystem::path& database)
    : database_(database.string()), fd_(::open((database_ + "-synced").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640)) {
  if (fd_ < 0 || read(database)) return;
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
  const std::uint32_t sum = sum_of_mark({text.data(), static_cast<std::size_t>(length)});
  const int end = std::snprintf(text.data() + length, text.size() - static_cast<std::size_t>(length), " %08x", sum);
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
  said_ = synced;
  if (!write(synced, witness_in_use(database_, db))) return;
  if (!kept_ || !kept_->shares_log_with(synced) || std::chrono::steady_clock::now() - kept_at_ >= keep_every)
    static_cast<void>(keep(synced));  // less is noticed after a power cut
}

void SyncedMark::renew(Database& db) {
  if (fd_ >= 0 && said_) static_cast<void>(write(*said_, witness_in_use(database_, db)));
}

Result<> SyncedMark::clear() {
  const Synced nothing;
  said_.reset();
  if (fd_ < 0 || kept_ == nothing) return {};
  if (auto written = write(nothing, {}); !written) return written;
  return keep(nothing);
}

namespace {

std::string text_of_mark(const std::filesystem::path& database) {
  const Descriptor file(::open((database.string() + "-synced").c_str(), O_RDONLY | O_CLOEXEC));
  std::string text(mark_octets, '\0');
  if (file.fd < 0) return "";
  const auto got = read_at(file.fd, text.data(), text.size(), 0);
  text.resize(got ? *got : 0);
  return text;
}

}  // namespace

std::optional<Synced> SyncedMark::read(const std::filesystem::path& database) {
  Synced synced;
  unsigned long long frames = 0;
  if (std::sscanf(text_of_mark(database).c_str(), "synced %8x %8x %llu", &synced.salt_1, &synced.salt_2, &frames) != 3)
    return std::nullopt;
  synced.frames = frames;
  return synced;
}

std::optional<Witness> SyncedMark::read_witness(const std::filesystem::path& database) {
  const std::string text = text_of_mark(database);
  if (text.size() < mark_octets || text[old_mark_octets - 1] == '\n') return std::nullopt;
  Witness witness;
  unsigned long long inode = 0;
  long long changed = 0;
  std::uint32_t sum = 0;
  int length = 0;
  if (std::sscanf(text.c_str(), "synced %*8x %*8x %*u db %llu %lld %8x%n %8x", &inode, &changed, &witness.counter,
                  &length, &sum) != 4)
    return std::nullopt;
  if (sum != sum_of_mark({text.data(), static_cast<std::size_t>(length)})) return std::nullopt;
  witness.inode = inode;
  witness.changed_ns = changed;
  return witness;
}

Result<std::string> first_octets(const std::filesystem::path& path, std::size_t length) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd < 0) return errno_error("open " + path.string());
  std::string octets(length, '\0');
  const auto got = read_at(file.fd, octets.data(), length, 0);
  if (!got) return fail(got.error().code, path.string() + ": " + got.error().detail);
  return octets;
}

namespace {

// There is no log, or none with a header. Good: nothing was in it that is not in the database.
Result<> check_without_log(const std::filesystem::path& database, const std::string& what) {
  const auto synced = SyncedMark::read(database);
  const auto then = SyncedMark::read_witness(database);
  if (!synced || synced->frames == 0 || !then || then->inode == 0) return {};
  const auto octets = first_octets(database, counter_at + 4);
  if (!octets) return octets.error();
  auto now = stat_of(database.string());
  if (!now) return errno_error("stat " + database.string());
  now->counter = big(octets->data() + counter_at);
  // another program, as SQLite's shell is one, copied the log and removed it
  if (now->counter != then->counter || (now->inode == then->inode && now->changed_ns != then->changed_ns)) return {};
  const std::string log = database.string() + "-wal";
  std::error_code ec;
  std::string text = "its log queue.db-wal " + what + ", though " + std::to_string(synced->frames) +
                     " frames of it were on stable storage; what they hold was acknowledged. ";
  if (std::filesystem::exists(log, ec) && std::filesystem::file_size(log, ec) > 0) text += keep_copy(log) + ". ";
  return damaged(database, text + "To go on without them: rm " + database.string() + "-synced");
}

}  // namespace

Result<> check_log(const std::filesystem::path& database) {
  const std::string path = database.string() + "-wal";
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd < 0 && errno == ENOENT) return check_without_log(database, "is gone");
  if (file.fd < 0) return errno_error("open " + path);
  std::array<char, log_header_octets> head{};
  const auto got = read_at(file.fd, head.data(), head.size(), 0);
  if (!got) return fail(got.error().code, path + ": " + got.error().detail);
  // A header of zeros is one that never was written.
  if (*got < head.size()) return check_without_log(database, "is cut");
  if (head == std::array<char, log_header_octets>{}) return check_without_log(database, "has lost its header");
  const auto header = parse_header(head);
  if (!header) return damaged(database, "the header of its log queue.db-wal");
  const auto found = walk(file.fd, *header);
  if (!found) return fail(found.error().code, path + ": " + found.error().detail);
  const auto synced = SyncedMark::read(database);
  const bool known = synced && synced->shares_log_with(header->log);
  // A mark of another log: nothing was acknowledged out of this one, unless the mark was never synced.
  const bool unsure = !synced || (synced->frames > 0 && !SyncedMark::read_witness(database));
  const bool bad = known ? found->first_bad <= synced->frames : unsure && found->later_transaction;
  if (bad) return damaged_frames(database, *found, *header, known ? synced : std::nullopt);
  return {};
}

namespace {

sqlite3_file* log_file(Database& db) {
  sqlite3_file* file = nullptr;
  sqlite3_file_control(db.native(), "main", SQLITE_FCNTL_JOURNAL_POINTER, static_cast<void*>(&file));
  return file && file->pMethods ? file : nullptr;
}

sqlite3_int64 end_of(Database& db, std::uint64_t frames) {
  const auto frame = frame_header_octets + static_cast<std::size_t>(db.integer("PRAGMA page_size"));
  return frames == 0 ? 0 : static_cast<sqlite3_int64>(log_header_octets + frames * frame);
}

// How far it need not be: what a sync covered, by a mark of this very log. No frame is written again once it was committed.
sqlite3_int64 synced_octets(Database& db) {
  const char* const database = sqlite3_db_filename(db.native(), "main");
  const auto log = log_of(db);
  if (!database || !log || !SyncedMark::read_witness(database)) return 0;
  const auto synced = SyncedMark::read(database);
  if (!synced || !synced->shares_log_with(*log)) return 0;
  return end_of(db, synced->frames);
}

int rewrite(sqlite3_file* file, sqlite3_int64 from, sqlite3_int64 size) {
  std::vector<char> octets(copied_octets);
  int rc = SQLITE_OK;
  for (sqlite3_int64 at = from; rc == SQLITE_OK && at < size; at += copied_octets) {
    const int n = static_cast<int>(std::min<sqlite3_int64>(copied_octets, size - at));
    rc = file->pMethods->xRead(file, octets.data(), n, at);
    if (rc == SQLITE_OK) rc = file->pMethods->xWrite(file, octets.data(), n, at);
  }
  if (rc == SQLITE_OK && size > from) rc = file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
  return rc;
}

}  // namespace

Result<> renew_log(Database& db) {
  try {
    db.execute("BEGIN IMMEDIATE");
    sqlite3_file* const file = log_file(db);
    const int rc =
        file ? rewrite(file, synced_octets(db), end_of(db, static_cast<std::uint64_t>(frames_of(db)))) : SQLITE_OK;
    db.execute("ROLLBACK");
    if (rc == SQLITE_OK) return {};
    const auto call = take_failed_call();
    return fail(errc::io_error, call ? call->text : std::string("the log cannot be renewed: ") + sqlite3_errstr(rc));
  } catch (const Failure& failure) {
    return failure.error();
  }
}

namespace {

// The log's index as all who have it open share it (SQLite's WAL file format, section 2.3); nothing where there is none.
const char* index_of(Database& db) {
  constexpr int region = 32768;
  sqlite3_file* const file = db.file();
  void volatile* index = nullptr;
  if (!file || file->pMethods->xShmMap(file, 0, region, 0, &index) != SQLITE_OK) return nullptr;
  return const_cast<const char*>(static_cast<volatile char*>(index));
}

template <class Number>
Number number_at(const char* index, std::size_t at) {
  Number number = 0;
  std::memcpy(&number, index + at, sizeof number);
  return number;
}

}  // namespace

int frames_of(Database& db) {
  const char* const index = index_of(db);
  return index ? static_cast<int>(number_at<std::uint32_t>(index, 16)) : 0;
}

std::optional<Copying> copying_of(Database& db) {
  const char* const index = index_of(db);
  if (!index) return std::nullopt;
  return Copying{number_at<std::uint64_t>(index, 32), number_at<std::uint32_t>(index, 96),
                 number_at<std::uint32_t>(index, 128)};
}

Result<Synced> log_of(Database& db) {
  const char* const name = sqlite3_db_filename(db.native(), "main");
  const std::string path = std::string(name ? name : "") + "-wal";
  sqlite3_file* const file = log_file(db);
  std::array<char, log_header_octets> head{};
  if (!file) return fail(errc::io_error, path + " is not open");
  const int rc = file->pMethods->xRead(file, head.data(), head.size(), 0);
  if (rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ) return db.last_error(rc);
  const auto header = parse_header(head);
  if (!header) return fail(errc::bad_message, "the header of " + path + " was overwritten while the daemon uses it");
  return header->log;
}

}  // namespace hoplock::disk
