// SPDX-License-Identifier: Apache-2.0
#include "tests/support/postgres_server.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "tests/support/must.h"
#include "tests/support/nsd.h"

namespace hoplock::support {
namespace {

namespace fs = std::filesystem;
constexpr const char* binaries = "/usr/lib/postgresql/15/bin/";

// Who runs it: PostgreSQL refuses root.
const passwd* unprivileged() {
  if (geteuid() != 0) return nullptr;
  const passwd* user = getpwnam("postgres");
  return user != nullptr ? user : getpwnam("nobody");
}

void own(const std::string& path) {
  if (const passwd* user = unprivileged()) must(chown(path.c_str(), user->pw_uid, user->pw_gid) == 0, "chown " + path);
}

// Goes on in the child only, as that user.
void become(const std::string& log) {
  prctl(PR_SET_PDEATHSIG, SIGQUIT);
  if (const passwd* user = unprivileged()) {
    if (setgroups(0, nullptr) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0) _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGQUIT);  // which the change of user took back
  }
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  dup2(out, 1);
  dup2(out, 2);
  if (chdir("/") != 0) _exit(126);
}

pid_t launch(const std::vector<std::string>& command, const std::string& log) {
  std::vector<char*> arguments;
  for (const std::string& one : command) arguments.push_back(const_cast<char*>(one.c_str()));
  arguments.push_back(nullptr);
  const pid_t pid = fork();
  must(pid >= 0, "fork");
  if (pid == 0) {
    become(log);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  return pid;
}

std::string contents(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

void pause() { std::this_thread::sleep_for(std::chrono::milliseconds(10)); }

// Made once by the test binary.
const TempDirectory& pristine() {
  static const TempDirectory directory;
  static const bool made = [] {
    fs::permissions(directory.path(), fs::perms(0755));
    own(directory.path().string());
    const std::string data = directory.file("data");
    const pid_t pid = launch({std::string(binaries) + "initdb", "-D", data, "-U", "hoplock", "-E", "UTF8", "--locale=C",
                              "--auth=trust", "--no-sync"},
                             directory.file("log"));
    int status = 0;
    waitpid(pid, &status, 0);
    if (status != 0) throw std::runtime_error("initdb failed: " + contents(directory.file("log")));
    return true;
  }();
  static_cast<void>(made);
  return directory;
}

}  // namespace

bool PostgresServer::is_installed() { return access((std::string(binaries) + "postgres").c_str(), X_OK) == 0; }

PostgresServer::PostgresServer(Copied, Files files) : files_(files), port_(free_port()) {
  fs::permissions(directory_.path(), fs::perms(0755));
  own(directory_.path().string());
}

PostgresServer::PostgresServer(Files files, std::vector<std::string> settings) : PostgresServer(Copied(), files) {
  settings_ = std::move(settings);
  run({"/bin/cp", "-a", pristine().file("data"), data()});
  start();
}

PostgresServer::~PostgresServer() { kill(); }

std::unique_ptr<PostgresServer> PostgresServer::standby_of(PostgresServer& primary, const std::string& name) {
  std::unique_ptr<PostgresServer> made(new PostgresServer(Copied(), primary.files_));
  made->settings_ = primary.settings_;
  const std::string from =
      "host=127.0.0.1 port=" + std::to_string(primary.port()) + " user=hoplock application_name=" + name;
  made->run({std::string(binaries) + "pg_basebackup", "-D", made->data(), "-d", from, "-R", "-C", "-S", name, "-X",
             "stream", "-c", "fast", "--no-sync"});
  made->start();
  primary.await(
      "SELECT count(*)::text FROM pg_stat_replication WHERE application_name = '" + name + "' AND state = 'streaming'",
      "1");
  return made;
}

void PostgresServer::run(const std::vector<std::string>& command) const {
  const std::string log = directory_.file("log");
  int status = 0;
  waitpid(launch(command, log), &status, 0);
  if (status != 0) throw std::runtime_error(command[0] + " failed: " + contents(log));
}

void PostgresServer::start() {
  std::vector<std::string> command = {std::string(binaries) + "postgres", "-D", data()};
  std::vector<std::string> settings = {"listen_addresses=127.0.0.1",
                                       "port=" + std::to_string(port_),
                                       "unix_socket_directories=" + directory_.path().string(),
                                       "max_connections=60",
                                       "shared_buffers=16MB",
                                       "wal_level=replica",
                                       "max_wal_senders=5",
                                       "max_replication_slots=5",
                                       "autovacuum=off",
                                       "log_line_prefix=%a|%e|%n|",
                                       "jit=off",
                                       "wal_sender_timeout=5s"};
  if (files_ == Files::unsynced) settings.insert(settings.end(), {"fsync=off", "full_page_writes=off"});
  settings.insert(settings.end(), settings_.begin(), settings_.end());
  for (std::string& one : settings) {
    command.emplace_back("-c");
    command.push_back(std::move(one));
  }
  pid_ = launch(command, directory_.file("log"));
  for (const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
       std::chrono::steady_clock::now() < limit; pause()) {
    try {
      sql("SELECT '1'");
      return;
    } catch (const std::runtime_error&) {
      if (waitpid(pid_, nullptr, WNOHANG) == pid_) break;
    }
  }
  throw std::runtime_error("PostgreSQL does not start: " + log());
}

void PostgresServer::stop() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGINT);
  waitpid(std::exchange(pid_, -1), nullptr, 0);
}

std::vector<pid_t> PostgresServer::processes() const {
  std::vector<pid_t> all = {pid_};
  std::istringstream children(
      contents("/proc/" + std::to_string(pid_) + "/task/" + std::to_string(pid_) + "/children"));
  for (pid_t one = 0; children >> one;) all.push_back(one);
  return all;
}

void PostgresServer::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGSTOP);  // no new child meanwhile
  for (const pid_t one : processes()) ::kill(one, SIGKILL);
  waitpid(std::exchange(pid_, -1), nullptr, 0);
}

void PostgresServer::promote() {
  sql("SELECT pg_promote(true, 30)::text");
  await("SELECT pg_is_in_recovery()::text", "false");
}

std::string PostgresServer::url_of(std::uint16_t port, const std::string& user) {
  return "postgresql://" + user + "@127.0.0.1:" + std::to_string(port) + "/postgres";
}

postgres::Options PostgresServer::options() const {
  postgres::Options options;
  options.url = url();
  options.tls = postgres::Tls::off;
  options.synchronous = postgres::Synchronous::prefer;
  return options;
}

// By another program, for ours refuses a standby.
std::string PostgresServer::sql_in(const std::string& database, const std::string& statement) const {
  int ends[2];
  must(pipe2(ends, O_CLOEXEC) == 0, "pipe");
  const std::string port = std::to_string(port_);
  const pid_t pid = fork();
  must(pid >= 0, "fork");
  if (pid == 0) {
    dup2(ends[1], 1);
    dup2(ends[1], 2);
    execl("/usr/lib/postgresql/15/bin/psql", "psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1",
          "-p", port.c_str(), "-U", "hoplock", "-d", database.c_str(), "-c", statement.c_str(), nullptr);
    _exit(127);
  }
  ::close(ends[1]);
  std::string out;
  char buffer[4096];
  for (ssize_t got = 0; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;)
    out.append(buffer, static_cast<std::size_t>(got));
  ::close(ends[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  if (status != 0) throw std::runtime_error(out);
  return out.substr(0, out.find('\n'));
}

void PostgresServer::await(const std::string& statement, const std::string& wanted) const {
  std::string got;
  for (const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
       std::chrono::steady_clock::now() < limit; pause()) {
    got = sql(statement);
    if (got == wanted) return;
  }
  throw std::runtime_error(statement + " gives " + got + ", not " + wanted);
}

void PostgresServer::set(const std::string& name, const std::string& value) const {
  sql("ALTER SYSTEM SET " + name + " = '" + value + "'");
  sql("SELECT pg_reload_conf()");
  await("SELECT current_setting('" + name + "')", value);
}

void PostgresServer::require_password(const std::string& role) const {
  const std::string file = data() + "/pg_hba.conf";
  const std::string others = contents(file);
  std::ofstream(file, std::ios::trunc) << "host all " << role << " 127.0.0.1/32 scram-sha-256\n" << others;
  sql("SELECT pg_reload_conf()");
  await("SELECT count(*)::text FROM pg_hba_file_rules WHERE '" + role + "' = ANY(user_name)", "1");
}

void PostgresServer::use_tls(const std::string& certificate, const std::string& key) const {
  std::ofstream(data() + "/server.crt") << certificate;
  std::ofstream(data() + "/server.key") << key;
  own(data() + "/server.key");
  fs::permissions(data() + "/server.key", fs::perms(0600));
  set("ssl", "on");
}

std::string PostgresServer::log() const { return contents(directory_.file("log")); }

}  // namespace hoplock::support
