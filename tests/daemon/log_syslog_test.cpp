// SPDX-License-Identifier: Apache-2.0
// The log server as a target: over TCP and UDP here, where the test sees every octet; over TLS in tests/e2e/test_syslog.py.
#include "daemon/log_syslog.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>

#include "daemon/log_writer.h"
#include "net/task_group.h"
#include "tests/daemon/log_tools.h"
#include "tests/support/fake_resolver.h"
#include "tests/support/loop.h"
#include "tests/support/memory_log.h"
#include "tests/support/temp_directory.h"

namespace daemon_log_syslog_test {

using namespace hoplock;
using namespace std::chrono_literals;
using daemon::LogOptions;
using daemon::LogWriter;

namespace {
using Clock = std::chrono::steady_clock;

// A log server on a port of its own, which listens from listen() on. Reads and accepts give up after ten seconds.
class Server {
 public:
  explicit Server(int kind = SOCK_STREAM) : socket_(::socket(AF_INET, kind | SOCK_CLOEXEC, 0)) {
    ::signal(SIGPIPE, SIG_IGN);  // as the daemon does before it opens its log
    limit(socket_);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(socket_, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0);
    socklen_t size = sizeof at;
    REQUIRE(::getsockname(socket_, reinterpret_cast<sockaddr*>(&at), &size) == 0);
    port = ntohs(at.sin_port);
  }
  ~Server() {
    hang_up();
    ::close(socket_);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void listen() { REQUIRE(::listen(socket_, 8) == 0); }
  void accept() {
    hang_up();
    connection_ = ::accept(socket_, nullptr, nullptr);
    REQUIRE(connection_ >= 0);
    limit(connection_);
    got_.clear();
  }
  void hang_up() {
    if (connection_ >= 0) ::close(connection_);
    connection_ = -1;
  }
  // The next message by its count of octets; "": the end, or what is none.
  std::string message() {
    std::size_t blank = 0;
    while ((blank = got_.find(' ')) == std::string::npos) {
      if (!more()) return "";
    }
    const std::size_t size = std::stoul(got_.substr(0, blank));
    while (got_.size() < blank + 1 + size) {
      if (!more()) return "";
    }
    std::string text = got_.substr(blank + 1, size);
    got_.erase(0, blank + 1 + size);
    return text;
  }
  std::string datagram() {
    std::array<char, 65536> room{};
    const ssize_t octets = ::recv(socket_, room.data(), room.size(), 0);
    return octets > 0 ? std::string(room.data(), static_cast<std::size_t>(octets)) : "";
  }
  // So many octets and no more.
  void read_some(std::size_t octets) {
    std::string room(octets, '\0');
    REQUIRE(::recv(connection_, room.data(), octets, MSG_WAITALL) == static_cast<ssize_t>(octets));
  }
  std::uint16_t port = 0;

 private:
  static void limit(int socket) {
    const timeval ten{10, 0};
    REQUIRE(::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &ten, sizeof ten) == 0);
    const int small = 8192;
    REQUIRE(::setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
  }
  bool more() {
    std::array<char, 65536> room{};
    const ssize_t octets = ::recv(connection_, room.data(), room.size(), 0);
    if (octets > 0) got_.append(room.data(), static_cast<std::size_t>(octets));
    return octets > 0;
  }
  int socket_;
  int connection_ = -1;
  std::string got_;
};

daemon::LogPump::Limits tight() { return daemon::test::quick_limits(200ms); }

struct Setup {
  support::TempDirectory dir;
  LogOptions options;
  Setup(const std::string& url) {
    options.file = dir.file("log");
    options.syslog = daemon::SyslogOptions{config::parse_syslog(url).value(), "", "relay.example.net"};
  }
  explicit Setup(const Server& server) : Setup("tcp://127.0.0.1:" + std::to_string(server.port)) {}
  std::unique_ptr<LogWriter> open() const { return std::move(LogWriter::open(options, tight()).value()); }
  std::string file() const {
    std::ifstream in(options.file);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }
  bool comes(const std::string& words) const {
    return daemon::test::comes([&] { return file().find(words) != std::string::npos; });
  }
};

// What a file would get of a message.
std::string line_of(const std::string& message) {
  const auto at = message.find("time=");
  return at == std::string::npos ? "" : message.substr(at);
}
bool is_about(const std::string& message, const std::string& words) { return message.find(words) != std::string::npos; }

Result<> reopen(daemon::LogWriter& log, const daemon::LogOptions& options) {
  auto plan = log.prepare(options);
  if (!plan) return plan.error();
  log.take(std::move(*plan));
  return {};
}
}  // namespace

TEST_CASE("to_syslog: RFC 5424, the line as the message, whatever the names are made of") {
  const Time time = *parse_rfc3339("2026-03-01T09:12:44.120Z");
  const daemon::SyslogOrigin origin{"relay.example.net", 7};
  CHECK(daemon::to_syslog(Event(Level::info, "accepted"), "a=b", origin, time) ==
        "<22>1 2026-03-01T09:12:44.120Z relay.example.net hoplockd 7 accepted - a=b");
  CHECK(daemon::to_syslog(Event(Level::warn, "x"), "", origin, time).starts_with("<20>1 "));
  CHECK(daemon::to_syslog(Event(Level::error, "x"), "", origin, time).starts_with("<19>1 "));
  CHECK(daemon::to_syslog(Event(Level::debug, "x"), "", origin, time).starts_with("<23>1 "));
  CHECK(
      is_about(daemon::to_syslog(Event(Level::info, "a b\n\xc3\xbc"), "", {"", 7}, time), "Z - hoplockd 7 a?b??? - "));
  const std::string longest =
      daemon::to_syslog(Event(Level::info, std::string(99, 'e')), "", {std::string(999, 'h'), 7}, time);
  CHECK(is_about(longest, " " + std::string(255, 'h') + " hoplockd 7 " + std::string(32, 'e') + " - "));
}

TEST_CASE(
    "log.syslog: each line goes to the file and, whole and in order, to the server; newlines and UTF-8 stay in it") {
  Server server;
  server.listen();
  const Setup setup(server);
  const auto log = setup.open();
  log->write(Event(Level::info, "one").add("text", "two\nlines\r\n\xc3\xbc \xe2\x82\xac \xff"));
  log->write(Event(Level::debug, "hidden"));
  for (int i = 0; i < 500; ++i) log->write(Event(Level::warn, "many").add("number", std::int64_t{i}));
  server.accept();
  const std::string first = server.message();
  CHECK(first.starts_with("<22>1 "));
  CHECK(first.find('\n') == std::string::npos);
  CHECK(is_about(first, "relay.example.net hoplockd " + std::to_string(getpid()) + " one - time="));
  CHECK(is_about(first, R"(text="two\nlines\r\n)"
                        "\xc3\xbc \xe2\x82\xac \xef\xbf\xbd\""));
  std::string all = line_of(first) + "\n";
  for (int i = 0; i < 500; ++i) {
    const std::string message = server.message();
    REQUIRE(is_about(message, "event=many number=" + std::to_string(i)));
    all += line_of(message) + "\n";
  }
  log->flush();
  CHECK(setup.file() == all);
}

TEST_CASE("log.syslog: a server that starts late gets what waited; the file says that it was away") {
  Server server;  // nobody listens: refused
  const Setup setup(server);
  const auto log = setup.open();
  log->write(Event(Level::info, "first"));
  CHECK(setup.comes("level=warn event=syslog-failed error=\"tcp://127.0.0.1:"));
  CHECK(setup.comes("Connection refused"));
  log->write(Event(Level::info, "second"));
  CHECK_MESSAGE(log->state().problem.empty(), "nothing is lost so far");
  server.listen();
  server.accept();
  CHECK(is_about(server.message(), "event=first"));
  CHECK(is_about(server.message(), "event=log-works"));
  CHECK(is_about(server.message(), "event=second"));
  CHECK(setup.comes("event=syslog-works"));
  CHECK(log->state().dropped == 0);
}

TEST_CASE("log.syslog: a message that a broken connection cut goes out again as a whole") {
  constexpr std::size_t large = 12'000'000;  // more than the system takes in advance
  Server server;
  server.listen();
  const Setup setup(server);
  auto limits = tight();
  limits.waiting = std::size_t{32} << 20U;
  const auto log = std::move(LogWriter::open(setup.options, limits).value());
  log->write(Event(Level::info, "large").add("text", std::string(large, 'x')));
  server.accept();
  server.read_some(1000);
  server.accept();  // hangs up, with most of it unread
  const std::string again = server.message();
  CHECK(again.starts_with("<22>1 "));
  CHECK(again.size() > large);
  CHECK(setup.comes("event=syslog-failed"));
  CHECK(is_about(server.message(), "event=log-works"));
  server.hang_up();  // while nothing is under way: noticed before the next message is lost to it
  log->write(Event(Level::info, "next"));
  server.accept();
  CHECK(is_about(server.message(), "event=next"));
}

TEST_CASE(
    "BND-04: a log server that stands still stops no writer, no file, no reload and no end; what was dropped is told") {
  Server server;
  server.listen();
  Setup setup(server);
  const auto start = Clock::now();
  std::uint64_t dropped = 0;
  {
    auto log = setup.open();
    log->write(Event(Level::info, "first"));
    server.accept();
    const std::string padding(100, 'x');
    for (int i = 0; i < 30'000; ++i) {
      log->write(Event(Level::info, "many").add("text", padding));
      if (i % 500 == 0) reopen(*log, setup.options);  // the file has time
    }
    CHECK(Clock::now() - start < 10s);
    CHECK(daemon::test::comes([&] {  // once the system takes no more in advance
      log->write(Event(Level::info, "many").add("text", padding));
      return log->state().problem.find("the log server: ") != std::string::npos;
    }));
    dropped = log->state().dropped;
    CHECK(dropped > 1000);
    SUBCASE("read on, it is told how many") {
      std::string message;
      for (message = server.message(); !message.empty() && !is_about(message, "event=log-dropped");)
        message = server.message();
      CHECK(is_about(message, "level=error event=log-dropped lines="));
      CHECK(message.starts_with("<19>1 "));
    }
    SUBCASE("another server is taken at once") {
      Server other;
      other.listen();
      setup.options.syslog->server.port = other.port;
      const auto asked = Clock::now();
      REQUIRE(reopen(*log, setup.options));
      CHECK(Clock::now() - asked < 100ms);
      log->write(Event(Level::info, "after"));
      other.accept();
      std::string message;
      for (message = other.message(); !message.empty() && !is_about(message, "event=after");) message = other.message();
      CHECK(is_about(message, "event=after"));
    }
    SUBCASE("or none") {
      setup.options.syslog.reset();
      REQUIRE(reopen(*log, setup.options));
      log->write(Event(Level::info, "after"));
      CHECK(setup.comes("event=after"));
    }
  }
  CHECK(Clock::now() - start < 20s);
}

TEST_CASE("log.syslog: over UDP a line is a datagram, one that is too long is cut between characters") {
  Server server(SOCK_DGRAM);
  const Setup setup("udp://127.0.0.1:" + std::to_string(server.port));
  const auto log = setup.open();
  log->write(Event(Level::info, "one"));
  CHECK(is_about(server.datagram(), " one - time="));
  std::string text;
  for (int i = 0; i < 40'000; ++i) text += "\xc3\xbc";
  log->write(Event(Level::info, "long").add("text", text));
  const std::string cut = server.datagram();
  CHECK(cut.size() <= 60'000);
  CHECK(cut.size() > 59'000);
  CHECK(cut.ends_with("\xc3\xbc"));
}

TEST_CASE("log.syslog: a server that is named waits for its address, and gets what waited") {
  Server server;
  server.listen();
  const Setup setup("tcp://logs.example.net:" + std::to_string(server.port));
  const auto log = setup.open();
  log->write(Event(Level::info, "first"));
  auto place = log->unfollowed_place();
  REQUIRE(place);
  CHECK(log->unfollowed_place() == nullptr);
  CHECK(place->name() == support::name("logs.example.net"));
  support::FakeResolver dns("logs.example.net A 127.0.0.1\nlogs.example.net AAAA ::1");
  support::Loop loop;
  support::MemoryLog quiet;
  net::TaskGroup tasks(loop.executor(), quiet);
  tasks.spawn("log-server", daemon::follow_syslog(place, dns));
  loop.io().poll();
  CHECK(place->addresses().size() == 2);
  tasks.stop();
  loop.io().poll();
  server.accept();
  CHECK(is_about(server.message(), "event=first"));
  CHECK_MESSAGE(setup.file().find("syslog-failed") == std::string::npos, "a look-up is no failure");
}

}  // namespace daemon_log_syslog_test
