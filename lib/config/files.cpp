// SPDX-License-Identifier: Apache-2.0
#include "config/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "config/item.h"

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

}  // namespace

std::uint64_t NamedFile::bound() const {
  return kind == Kind::certificate || kind == Kind::key ? most_of_certificates : most_of_others;
}

std::vector<NamedFile> named_files(const Config& config) {
  using Kind = NamedFile::Kind;
  std::vector<NamedFile> all;
  const auto add = [&all](std::string key, const InputFile& file, Kind kind) {
    if (!file.path.empty()) all.push_back({std::move(key), file.path, kind});
  };
  const auto& store = config.store;
  add("store", {store.place.passfile}, Kind::password);
  add("store", {store.place.certificate}, Kind::certificate);
  add("store", {store.place.key}, Kind::key);
  add("store_password_file", store.password_file, Kind::password);
  add("store_ca_file", store.ca_file, Kind::other);
  for (std::size_t i = 0; i < config.listeners.size(); ++i) {
    const auto& one = config.listeners[i];
    add(item("listeners", i, "certificate"), one.certificate, Kind::certificate);
    add(item("listeners", i, "key"), one.key, Kind::key);
    add(item("listeners", i, "users_file"), one.users_file, Kind::password);
    add(item("listeners", i, "client_ca"), one.client_ca, Kind::certificate);
  }
  for (std::size_t i = 0; i < config.routes.size(); ++i) {
    const auto& one = config.routes[i];
    add(item("routes", i, "client_certificate"), one.client_certificate, Kind::certificate);
    add(item("routes", i, "client_key"), one.client_key, Kind::key);
    add(item("routes", i, "password_file"), one.password_file, Kind::password);
  }
  add("dns.trust_anchor", config.dns.trust_anchor, Kind::other);
  add("dns.root_hints", config.dns.root_hints, Kind::other);
  add("dns.unbound_conf", config.dns.unbound_conf, Kind::other);
  add("tls.ca_file", config.tls.ca_file, Kind::other);
  for (std::size_t i = 0; i < config.dkim.size(); ++i) add(item("dkim", i, "key"), config.dkim[i].key, Kind::key);
  add("http.certificate", config.http.certificate, Kind::certificate);
  add("http.key", config.http.key, Kind::key);
  add("http.users_file", config.http.users_file, Kind::password);
  return all;
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
