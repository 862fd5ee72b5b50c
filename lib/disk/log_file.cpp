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
#include <vector>

#include "disk/vfs.h"

namespace hoplock::disk {
namespace {

constexpr std::size_t mark_octets = 64;
constexpr int block = 64 << 10;  // SQLite's VFS writes less than 128 KiB at once

Error system_error(const std::string& what, int number) {
  return fail(error_code(number, boost::system::generic_category()), what + ": " + strerror(number));
}

std::uint32_t word_at(const char* octets, std::endian order) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const std::size_t from = order == std::endian::big ? i : 3 - i;
    value = value << 8U | static_cast<unsigned char>(octets[from]);
  }
  return value;
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
    if (n < 0) return system_error("read", errno);
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

// What lies in the file, frames counted from 1.
struct Walk {
  std::uint64_t first_bad = 0;  // one behind the last, where all fit
  std::uint64_t whole_behind = 0;
  bool later_transaction = false;  // a whole commit lies behind it, and something whole behind that
};
Result<Walk> walk(int fd, const Header& header) {
  Walk found;
  std::vector<char> frame(frame_header_octets + header.page);
  Sum sum = header.sum;
  bool commit_behind = false;
  for (std::uint64_t n = 1;; ++n) {
    const auto got = read_at(fd, frame.data(), frame.size(), log_header_octets + (n - 1) * frame.size());
    if (!got) return got.error();
    const bool all_there = *got == frame.size();
    const bool ours = all_there && big(frame.data()) != 0 && big(frame.data() + 8) == header.log.salt_1 &&
                      big(frame.data() + 12) == header.log.salt_2;
    if (all_there) {
      sum = add(add(sum, frame.data(), 8, header.order), frame.data() + frame_header_octets, header.page, header.order);
    }
    const bool whole = ours && sum == sum_at(frame.data() + 16);
    if (!whole && found.first_bad == 0) found.first_bad = n;
    if (!all_there) return found;
    if (whole && found.first_bad != 0) {
      ++found.whole_behind;
      if (commit_behind) found.later_transaction = true;
      if (big(frame.data() + 4) != 0) commit_behind = true;
    }
    sum = sum_at(frame.data() + 16);
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
    : fd_(::open((database.string() + "-synced").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640)) {
  if (fd_ < 0 || read(database)) return;
  set({});  // that a mark was kept must be known after a power cut, whatever it says
  const Descriptor directory(::open(database.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (::fsync(fd_) == 0 && directory.fd >= 0) ::fsync(directory.fd);
}
SyncedMark::~SyncedMark() {
  if (fd_ >= 0) ::close(fd_);
}

// In one sector, so that it is never torn. Where it cannot be written less is noticed later, nothing is wrong.
void SyncedMark::set(const Synced& synced) {
  if (fd_ < 0) return;
  std::array<char, mark_octets> text{};
  text.fill(' ');
  const int length = std::snprintf(text.data(), text.size(), "synced %08x %08x %llu", synced.salt_1, synced.salt_2,
                                   static_cast<unsigned long long>(synced.frames));
  text[static_cast<std::size_t>(length)] = ' ';
  text.back() = '\n';
  [[maybe_unused]] const auto written = ::pwrite(fd_, text.data(), text.size(), 0);
}

std::optional<Synced> SyncedMark::read(const std::filesystem::path& database) {
  const Descriptor file(::open((database.string() + "-synced").c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd < 0) return std::nullopt;
  std::array<char, mark_octets + 1> text{};
  const auto got = read_at(file.fd, text.data(), mark_octets, 0);
  Synced synced;
  unsigned long long frames = 0;
  if (!got || std::sscanf(text.data(), "synced %8x %8x %llu", &synced.salt_1, &synced.salt_2, &frames) != 3)
    return std::nullopt;
  synced.frames = frames;
  return synced;
}

Result<std::string> first_octets(const std::filesystem::path& path, std::size_t length) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd < 0) return system_error("open " + path.string(), errno);
  std::string octets(length, '\0');
  const auto got = read_at(file.fd, octets.data(), length, 0);
  if (!got) return fail(got.error().code, path.string() + ": " + got.error().detail);
  return octets;
}

Result<> check_log(const std::filesystem::path& database) {
  const std::string path = database.string() + "-wal";
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd < 0 && errno == ENOENT) return {};
  if (file.fd < 0) return system_error("open " + path, errno);
  std::array<char, log_header_octets> head{};
  const auto got = read_at(file.fd, head.data(), head.size(), 0);
  if (!got) return fail(got.error().code, path + ": " + got.error().detail);
  // A header of zeros is one that never was written.
  if (*got < head.size() || head == std::array<char, log_header_octets>{}) return {};
  const auto header = parse_header(head);
  if (!header) return damaged(database, "the header of its log queue.db-wal");
  const auto found = walk(file.fd, *header);
  if (!found) return fail(found.error().code, path + ": " + found.error().detail);
  const auto synced = SyncedMark::read(database);
  const bool known = synced && synced->salt_1 == header->log.salt_1 && synced->salt_2 == header->log.salt_2;
  const bool bad = known ? found->first_bad <= synced->frames : !synced && found->later_transaction;
  if (bad) return damaged_frames(database, *found, *header, known ? synced : std::nullopt);
  return {};
}

namespace {

sqlite3_file* log_file(Database& db) {
  sqlite3_file* file = nullptr;
  sqlite3_file_control(db.native(), "main", SQLITE_FCNTL_JOURNAL_POINTER, static_cast<void*>(&file));
  return file && file->pMethods ? file : nullptr;
}

int rewrite(sqlite3_file* file) {
  sqlite3_int64 size = 0;
  std::vector<char> octets(block);
  int rc = file->pMethods->xFileSize(file, &size);
  for (sqlite3_int64 at = 0; rc == SQLITE_OK && at < size; at += block) {
    const int n = static_cast<int>(std::min<sqlite3_int64>(block, size - at));
    rc = file->pMethods->xRead(file, octets.data(), n, at);
    if (rc == SQLITE_OK) rc = file->pMethods->xWrite(file, octets.data(), n, at);
  }
  if (rc == SQLITE_OK && size > 0) rc = file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
  return rc;
}

}  // namespace

Result<> renew_log(Database& db) {
  try {
    db.execute("BEGIN IMMEDIATE");
    sqlite3_file* const file = log_file(db);
    const int rc = file ? rewrite(file) : SQLITE_OK;
    db.execute("ROLLBACK");
    if (rc == SQLITE_OK) return {};
    const auto call = take_failed_call();
    return fail(errc::io_error, call ? call->text : std::string("the log cannot be renewed: ") + sqlite3_errstr(rc));
  } catch (const Failure& failure) {
    return failure.error();
  }
}

int frames_of(Database& db) {
  constexpr int region = 32768;
  constexpr std::size_t most_frame_at = 16;  // in the index's header
  sqlite3_file* file = nullptr;
  sqlite3_file_control(db.native(), "main", SQLITE_FCNTL_FILE_POINTER, static_cast<void*>(&file));
  void volatile* index = nullptr;
  if (!file || !file->pMethods || file->pMethods->xShmMap(file, 0, region, 0, &index) != SQLITE_OK || !index) return 0;
  std::uint32_t frames = 0;
  std::memcpy(&frames, const_cast<const char*>(static_cast<volatile char*>(index)) + most_frame_at, sizeof frames);
  return static_cast<int>(frames);
}

std::optional<Synced> log_of(Database& db) {
  sqlite3_file* const file = log_file(db);
  std::array<char, 8> salts{};
  if (!file || file->pMethods->xRead(file, salts.data(), salts.size(), 16) != SQLITE_OK) return std::nullopt;
  return Synced{big(salts.data()), big(salts.data() + 4), 0};
}

}  // namespace hoplock::disk
