// SPDX-License-Identifier: Apache-2.0
#include "daemon/service_user.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include "config/files.h"
#include "daemon/options.h"
#include "daemon/unit_settings.h"

namespace hoplock::daemon {

namespace {

// What the user needs to be able to do.
struct Wish {
  enum class Kind : std::uint8_t { read, change, work_in };  // work_in: make files in a directory
  std::string item;
  std::string path;
  Kind kind = Kind::read;
  bool is_own = false;   // the service's alone: it is to belong to the user
  std::string target{};  // where symbolic links lead; the same path where there are none
};

// What became of it, as the child tells its parent. Plain octets.
struct Verdict {
  int error = 0;  // 0: it works
  // octets of the path, or of the target, up to the directory that bars the way; 0: none does
  std::uint32_t step = 0, target_step = 0;
};

std::string parent_of(const std::string& path) {
  const auto parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

bool is_there(const std::string& path) {
  struct stat about {};
  return stat(path.c_str(), &about) == 0;
}

// --- in the child: nothing but system calls ---

bool become(const ServiceUser& user) {
  return setgroups(user.groups.size(), user.groups.data()) == 0 && setgid(user.gid) == 0 && setuid(user.uid) == 0;
}

int attempt(const Wish& wish) {
  if (wish.kind != Wish::Kind::read)
    return access(wish.path.c_str(), wish.kind == Wish::Kind::work_in ? R_OK | W_OK | X_OK : R_OK | W_OK) == 0 ? 0
                                                                                                               : errno;
  const int file = open(wish.path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (file < 0) return errno;
  close(file);
  return 0;
}

// The first directory on the way that may not be entered.
std::uint32_t first_barrier(const std::string& path) {
  std::array<char, 4096> prefix{};
  for (std::size_t i = 1; i < path.size() && i < prefix.size(); ++i) {
    if (path[i] != '/') continue;
    std::memcpy(prefix.data(), path.data(), i);
    prefix.at(i) = '\0';
    if (access(prefix.data(), X_OK) != 0) return static_cast<std::uint32_t>(i);
  }
  return 0;
}

[[noreturn]] void try_all(const ServiceUser& user, const std::vector<Wish>& wishes, int to) {
  if (!become(user)) _exit(2);
  for (const Wish& wish : wishes) {
    Verdict verdict;
    verdict.error = attempt(wish);
    if (verdict.error == EACCES) {
      verdict.step = first_barrier(wish.path);
      verdict.target_step = first_barrier(wish.target);
    }
    if (write(to, &verdict, sizeof verdict) != static_cast<ssize_t>(sizeof verdict)) _exit(3);
  }
  _exit(0);
}

// --- in the parent ---

std::vector<Verdict> read_verdicts(int from, std::size_t most) {
  std::vector<Verdict> all(most);
  auto* to = reinterpret_cast<char*>(all.data());
  std::size_t filled = 0;
  while (filled < most * sizeof(Verdict)) {
    const ssize_t got = read(from, to + filled, most * sizeof(Verdict) - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    filled += static_cast<std::size_t>(got);
  }
  all.resize(filled / sizeof(Verdict));
  return all;
}

Result<std::vector<Verdict>> try_as(const ServiceUser& user, const std::vector<Wish>& wishes) {
  const auto failed = [](const char* what) {
    return fail(error_code(errno, boost::system::system_category()), std::string(what) + ": " + std::strerror(errno));
  };
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return failed("no pipe can be made");
  const pid_t child = fork();
  if (child == 0) try_all(user, wishes, ends[1]);
  close(ends[1]);
  if (child < 0) {
    close(ends[0]);
    return failed("no process can be started");
  }
  auto verdicts = read_verdicts(ends[0], wishes.size());
  close(ends[0]);
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (verdicts.size() < wishes.size())
    return fail(errc::operation_not_permitted, "this process may not take on the rights of another user");
  return verdicts;
}

// "-rw------- root root"
std::string rights_of(const std::string& path) {
  struct stat about {};
  if (stat(path.c_str(), &about) != 0) return std::strerror(errno);
  std::string text(1, S_ISDIR(about.st_mode) ? 'd' : '-');
  for (int bit = 8; bit >= 0; --bit)
    text += (about.st_mode & (1U << static_cast<unsigned>(bit))) != 0 ? "xwr"[bit % 3] : '-';
  const passwd* owner = getpwuid(about.st_uid);
  text += " " + (owner != nullptr ? std::string(owner->pw_name) : std::to_string(about.st_uid));
  const group* of = getgrgid(about.st_gid);
  return text + " " + (of != nullptr ? std::string(of->gr_name) : std::to_string(about.st_gid));
}

std::string quoted(const std::string& path) { return "'" + path + "'"; }

bool lies_in(const std::string& path, std::string_view directory) {
  return path == directory || path.starts_with(std::string(directory) + "/");
}

// What to type, so that a file can be read whose directory bars the way.
std::string way_in(const ServiceUser& user, const std::string& directory) {
  if (directory == "/root" || lies_in(directory, "/home")) return "put it into a directory such as /etc/hoplock";
  return "chgrp " + user.group + " " + quoted(directory) + " && chmod g+x " + quoted(directory);
}

std::string advice_for_missing(const ServiceUser& user, const std::string& path) {
  return "install -d -o " + user.name + " -g " + user.group + " -m 0750 " + quoted(path);
}

std::string remedy(const ServiceUser& user, const Wish& wish) {
  const std::string path = quoted(wish.path);
  if (wish.kind == Wish::Kind::read && !wish.is_own)
    return "chown root:" + user.group + " " + path + " && chmod 0640 " + path;
  if (wish.item == "log.file" && wish.kind == Wish::Kind::work_in)
    return advice_for_missing(user, "/var/log/hoplock") + ", and name a file in there";
  const std::string mode = wish.kind == Wish::Kind::work_in ? "u+rwx " : "u+rw ";
  return "chown " + user.name + ":" + user.group + " " + path + " && chmod " + mode + path;
}

std::string complaint(const ServiceUser& user, const Wish& wish, const Verdict& verdict) {
  const char* what = wish.kind == Wish::Kind::read     ? "cannot read "
                     : wish.kind == Wish::Kind::change ? "cannot read and write "
                                                       : "cannot make files in ";
  const std::string text = "the user " + user.name + ", whom hoplockd runs as, " + what + quoted(wish.path);
  if (verdict.error != EACCES) return text + ": " + std::strerror(verdict.error);
  if (verdict.step == 0 && verdict.target_step == 0)
    return text + " (" + rights_of(wish.path) + "); to mend it: " + remedy(user, wish);
  const std::string directory =
      verdict.step != 0 ? wish.path.substr(0, verdict.step) : wish.target.substr(0, verdict.target_step);
  return text + ", for it may not enter " + quoted(directory) + " (" + rights_of(directory) +
         "); to mend it: " + way_in(user, directory);
}

// Why the service will not have at this path what root sees there; "": it will.
std::string out_of_sight(const ServiceUser& user, const Wish& wish) {
  const char* elsewhere = wish.item == "data_dir"   ? "choose a directory such as /var/lib/hoplock"
                          : wish.item == "log.file" ? "name a file in /var/log/hoplock"
                                                    : "put it into a directory such as /etc/hoplock";
  for (const std::string& path : {wish.path, wish.target}) {
    if (auto why = user.mounts.misses(path); !why.empty()) return why;
    if (const auto setting = user.mounts.hides(path); !setting.empty())
      return "the service does not see " + quoted(path) + ", for its unit has " + setting +
             "; to mend it: " + elsewhere;
  }
  const auto setting = wish.kind == Wish::Kind::read ? "" : user.mounts.locks(wish.target);
  if (setting.empty()) return "";
  const std::string directory = wish.kind == Wish::Kind::change ? parent_of(wish.target) : wish.target;
  return "the service may not write in " + quoted(directory) + ", for its unit has " + setting +
         "; to mend it: " + elsewhere + ", or say ReadWritePaths=" + directory +
         " below [Service] in 'systemctl edit hoplockd'";
}

// A directory that the service makes its files in. One that is missing is made: by systemd, or by the daemon in the one above it.
void add_directory(std::vector<Wish>& to, const ServiceUser& user, std::string item, const std::string& path) {
  if (is_there(path)) {
    to.push_back({std::move(item), path, Wish::Kind::work_in, true});
    return;
  }
  const bool is_made = user.start == ServiceUser::Start::by_unit &&
                       (lies_in(path, "/var/lib/hoplock") || lies_in(path, "/var/log/hoplock"));
  if (is_made) return;
  std::string above = parent_of(path);
  while (!is_there(above) && above != parent_of(above)) above = parent_of(above);
  to.push_back({std::move(item), above, Wish::Kind::work_in, false});
}

std::vector<Wish> wishes_of(const config::Loaded& loaded, const ServiceUser& user) {
  std::vector<Wish> all;
  if (is_there(loaded.file)) all.push_back({"", loaded.file, Wish::Kind::read, false});
  for (const auto& one : config::named_files(loaded.config)) {
    if (is_there(one.path)) all.push_back({one.item, one.path, Wish::Kind::read, false});  // else it is complained of
  }
  const auto& config = loaded.config;
  add_directory(all, user, "data_dir", config.data_dir);
  const auto own = self_signed_files(config);
  const std::string database = database_path(config);
  for (const std::string& path : {database, database + "-wal", database + "-shm"}) {
    if (is_there(path)) all.push_back({"data_dir", path, Wish::Kind::change, true});
  }
  for (const std::string& path : {own.certificate, own.key}) {
    if (is_there(path)) all.push_back({"data_dir", path, Wish::Kind::read, true});
  }
  const std::string& log = config.log.file;
  if (log != "-" && is_there(log)) all.push_back({"log.file", log, Wish::Kind::change, true});
  if (log != "-" && !is_there(log)) add_directory(all, user, "log.file", parent_of(log));
  for (Wish& one : all) {
    std::error_code error;
    const auto target = std::filesystem::canonical(one.path, error);
    one.path = std::filesystem::absolute(one.path, error).lexically_normal().string();
    one.target = target.empty() ? one.path : target.string();
  }
  return all;
}

// The unit hoplockd.service as it is installed here, its drop-ins after it; "": there is none.
std::string installed_unit() {
  constexpr std::array places{"/etc/systemd/system/", "/run/systemd/system/", "/usr/local/lib/systemd/system/",
                              "/usr/lib/systemd/system/", "/lib/systemd/system/"};
  std::string text;
  for (const std::string place : places) {
    if (const auto unit = config::read_file(place + "hoplockd.service"); unit && text.empty()) text = *unit + "\n";
  }
  std::vector<std::filesystem::path> drop_ins;
  for (const std::string place : places) {
    std::error_code ignored;
    for (const auto& one : std::filesystem::directory_iterator(place + "hoplockd.service.d", ignored)) {
      if (one.path().extension() == ".conf") drop_ins.push_back(one.path());
    }
  }
  std::ranges::stable_sort(drop_ins, {}, [](const std::filesystem::path& path) { return path.filename(); });
  for (const auto& one : drop_ins) {
    if (const auto more = config::read_file(one.string())) text += *more + "\n";
  }
  return text;
}

// The directory above one that is missing is not the user's; to make that one is what helps.
std::string complaint_of_missing(const ServiceUser& user, const config::Config& config, const Wish& wish) {
  const std::string wanted = wish.item == "data_dir" ? config.data_dir : parent_of(config.log.file);
  return "there is no directory " + quoted(wanted) + ", and the user " + user.name +
         ", whom hoplockd runs as, cannot make it; to mend it: " + advice_for_missing(user, wanted);
}

}  // namespace

Result<ServiceUser> find_user(const std::string& name) {
  const passwd* found = getpwnam(name.c_str());
  if (found == nullptr) return fail(errc::no_such_file_or_directory, "there is no user '" + name + "'");
  ServiceUser user;
  user.name = name;
  user.uid = found->pw_uid;
  user.gid = found->pw_gid;
  const group* first = getgrgid(user.gid);
  user.group = first != nullptr ? first->gr_name : std::to_string(user.gid);
  int count = 64;
  user.groups.resize(static_cast<std::size_t>(count));
  if (getgrouplist(name.c_str(), user.gid, user.groups.data(), &count) < 0) {
    user.groups.resize(static_cast<std::size_t>(count));
    if (getgrouplist(name.c_str(), user.gid, user.groups.data(), &count) < 0) count = 0;
  }
  user.groups.resize(static_cast<std::size_t>(std::max(count, 0)));
  return user;
}

std::optional<std::string> user_in_unit(std::string_view text, const std::string& config_file) {
  const UnitSettings settings(text);
  const std::string user = settings.last("User");
  const bool has_config = std::ranges::any_of(settings.words("ExecStart"), [&](const std::string& word) {
    return word == config_file || word == "--config=" + config_file;
  });
  return has_config && !user.empty() ? std::optional(user) : std::nullopt;
}

void check_as(config::Loaded& loaded, const ServiceUser& user) {
  const auto wishes = wishes_of(loaded, user);
  const auto verdicts = try_as(user, wishes);
  if (!verdicts) {
    loaded.warn("", "whether the user " + user.name +
                        ", whom hoplockd runs as, can read all of it was not tried: " + verdicts.error().detail);
    return;
  }
  std::set<std::string> told;  // what is in data_dir is out of sight with it
  for (std::size_t i = 0; i < wishes.size(); ++i) {
    const Wish& wish = wishes[i];
    const Verdict& verdict = (*verdicts)[i];
    if (verdict.error == 0) {
      const auto why = out_of_sight(user, wish);
      if (!why.empty() && told.insert(wish.item).second) loaded.complain(wish.item, why);
      continue;
    }
    const bool is_missing = wish.kind == Wish::Kind::work_in && !wish.is_own;
    loaded.complain(wish.item,
                    is_missing ? complaint_of_missing(user, loaded.config, wish) : complaint(user, wish, verdict));
  }
}

void check_for_service(config::Loaded& loaded) {
  if (geteuid() != 0) return;
  const std::string unit = installed_unit();
  std::error_code error;
  const auto name = user_in_unit(unit, std::filesystem::absolute(loaded.file, error).lexically_normal().string());
  if (!name) return;
  auto user = find_user(*name);
  if (!user) return loaded.warn("", user.error().detail + ", as whom the unit hoplockd.service runs");
  user->start = ServiceUser::Start::by_unit;
  user->mounts = UnitMounts(unit);
  check_as(loaded, *user);
}

}  // namespace hoplock::daemon
