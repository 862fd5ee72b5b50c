// SPDX-License-Identifier: Apache-2.0
#include "config/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <type_traits>
#include <utility>

#include "config/item.h"
#include "config/keys.h"

namespace hoplock::config {

namespace {

Error system_error(int error) {
  return fail(error_code(error, boost::system::system_category()), std::strerror(error));
}

Result<> judge(const struct stat& about, std::uint64_t most) {
  if (S_ISDIR(about.st_mode)) return fail(errc::is_a_directory, "it is a directory, a file is needed");
  if (S_ISCHR(about.st_mode) && about.st_rdev == makedev(1, 3)) return {};  // /dev/null: empty, at once
  if (!S_ISREG(about.st_mode)) return fail(errc::invalid_argument, "it is no regular file");
  if (about.st_size > 0 && static_cast<std::uint64_t>(about.st_size) > most)
    return fail(errc::file_too_large, "it is larger than " + std::to_string(most >> 20U) + " MiB");
  return {};
}

// Closes what it holds.
struct Descriptor {
  int number;
  explicit Descriptor(int of) : number(of) {}
  ~Descriptor() {
    if (number >= 0) close(number);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
};

// Picks the files out of the keys.
class Collector {
 public:
  template <class T>
  Collector& key(const char* name, T&& value) {
    if constexpr (std::is_same_v<T, File>) {
      add(name, value.path, value.kind);
    } else if constexpr (std::is_same_v<T, StorePlace&>) {
      add(name, value.passfile, FileKind::password);
      add(name, value.certificate, FileKind::certificate);
      add(name, value.key, FileKind::key);
    }
    return *this;
  }
  template <class T>
  Collector& required(const char* name, T&& value) {
    return key(name, std::forward<T>(value));
  }
  template <class Rows>
  void section(const char* name, Rows rows) {
    within(before_ + name + ".", rows);
  }
  template <class T, class Rows>
  void list(const char* name, std::vector<T>& values, Rows rows) {
    for (std::size_t i = 0; i < values.size(); ++i)
      within(before_ + item(name, i, ""), [&](Collector& in) { rows(in, values[i]); });
  }
  const std::vector<NamedFile>& found() const { return found_; }

 private:
  void add(const char* name, const std::string& path, FileKind kind) {
    if (!path.empty()) found_.push_back({before_ + name, path, kind});
  }
  template <class Rows>
  void within(std::string before, Rows rows) {
    std::swap(before, before_);
    rows(*this);
    std::swap(before, before_);
  }
  std::string before_;  // "listeners[0]."
  std::vector<NamedFile> found_;
};

}  // namespace

std::uint64_t NamedFile::bound() const {
  return kind == Kind::certificate || kind == Kind::key ? most_of_certificates : most_of_others;
}

std::vector<NamedFile> named_files(const Config& config) {
  Config copy = config;  // a walk over the keys is one for reading, too, hence not const
  Collector all;
  keys(all, copy);
  return all.found();
}

Result<> is_fit(const std::string& path, std::uint64_t most) {
  struct stat about {};
  if (stat(path.c_str(), &about) != 0) return system_error(errno);
  return judge(about, most);
}

Result<std::string> read_file(const std::string& path, std::uint64_t most) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (file.number < 0) return system_error(errno);
  struct stat about {};
  if (fstat(file.number, &about) != 0) return system_error(errno);
  if (const auto fit = judge(about, most); !fit) return fit.error();
  std::string text;
  std::array<char, 16384> octets{};
  for (;;) {
    const ssize_t got = read(file.number, octets.data(), octets.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(errno);
    if (got == 0) return text;
    text.append(octets.data(), static_cast<std::size_t>(got));
    if (text.size() > most) return fail(errc::file_too_large, "it grows while it is read");
  }
}

bool is_barred(const std::string& path) { return access(path.c_str(), R_OK) != 0 && errno == EACCES; }

}  // namespace hoplock::config
