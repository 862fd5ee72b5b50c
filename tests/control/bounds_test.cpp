// SPDX-License-Identifier: Apache-2.0
// What the control socket takes from whom: strangers, other versions, requests without bounds, and more connections than there is room for.
#include <grp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "tests/control/controlled.h"
#include "tests/support/longest_step.h"

namespace control_bounds_test {

using namespace hoplock;
using control::Client;
using control::test::Controlled;
using control::test::request;
using control::test::Socket;

namespace {

#ifdef HOPLOCK_SANITIZED
constexpr int slower = 5;
#else
constexpr int slower = 1;
#endif

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

bool is_served(Controlled& control) {
  return control.apart([&] { return Client::connect(control.path).value().status().has_value(); });
}

// Many connections that say this, and stay.
std::vector<std::unique_ptr<Socket>> crowd(Controlled& control, std::size_t size, const std::string& say) {
  return control.apart([&] {
    std::vector<std::unique_ptr<Socket>> all;
    for (std::size_t i = 0; i < size; ++i) {
      all.push_back(std::make_unique<Socket>(control.path));
      REQUIRE(all.back()->is_connected());
      all.back()->send(say);
    }
    return all;
  });
}

// On a thread of its own, of which it makes a stranger's: the raw calls hold for the calling thread only.
Result<control::Status> status_of_stranger(Controlled& control) {
  return control.apart([&]() -> Result<control::Status> {
    constexpr long nobody = 65534;
    syscall(SYS_setgroups, 0, nullptr);
    syscall(SYS_setresgid, -1, nobody, -1);
    syscall(SYS_setresuid, -1, nobody, -1);
    auto client = Client::connect(control.path);
    if (!client) return client.error();
    return client->status();
  });
}

// Until the client, which blocks on a thread of its own, has its answer.
boost::asio::awaitable<bool> finished(std::future<bool>& client) {
  boost::asio::steady_timer pause(co_await boost::asio::this_coro::executor);
  while (client.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    pause.expires_after(std::chrono::milliseconds(1));
    co_await pause.async_wait(boost::asio::use_awaitable);
  }
  co_return client.get();
}

// A daemon from before HTTP: it answers each line with one.
void answer_lines(int listening) {
  const int client = accept(listening, nullptr, nullptr);
  std::array<char, 4096> room{};
  const ssize_t got = recv(client, room.data(), room.size(), 0);
  for (ssize_t i = 0; i < got; ++i) {
    constexpr std::string_view line = "{\"ok\":false,\"error\":\"a line that is no JSON object\"}\n";
    if (room[static_cast<std::size_t>(i)] == '\n') send(client, line.data(), line.size(), MSG_NOSIGNAL);
  }
  while (recv(client, room.data(), room.size(), 0) > 0) continue;
  close(client);
}

}  // namespace

TEST_CASE("control: a tool from before HTTP is told so in its own words, at once, whatever it may ask") {
  Controlled control;
  for (const std::string& line :
       {std::string("{\"do\":\"status\"}\n"), std::string("{\"do\":\"remove\",\"all\":true}\n"),
        "{\"do\":\"hold\",\"ids\":[" + std::string(300'000, ' ') + "]}\n"}) {
    const std::string told = control.said(line);
    CHECK(told.starts_with(R"({"ok":false,"error":"hoplockd )"));
    CHECK(has(told, "older"));
    CHECK(told.find('\n') == told.size() - 1);
  }
}

TEST_CASE(
    "control: a daemon from before HTTP, or of a later version, is told from one that refuses, and nothing hangs") {
  support::TempDirectory dir;
  const std::string path = dir.file("control.sock");
  const int listening = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  REQUIRE(bind(listening, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(listen(listening, 5) == 0);
  auto daemon = std::async(std::launch::async, [listening] { answer_lines(listening); });
  {
    auto client = Client::connect(path).value();
    const auto status = client.status();
    REQUIRE_FALSE(status.has_value());
    CHECK(status.error().code == errc::protocol_error);
    CHECK(has(status.error().detail, "another version"));
    CHECK(has(status.error().detail, "restart hoplockd"));
  }
  daemon.get();
  close(listening);
  Controlled control;
  const std::string told = control.said(request("/v2/status", "{}"));
  CHECK(told.starts_with("HTTP/1.1 404 "));
  CHECK(has(told, "does not know '/v2/status'"));
}

TEST_CASE("control: who is neither root nor of the socket's group is refused by name") {
  if (geteuid() != 0) return;
  Controlled control;
  control.world.put({"a@one.test"});
  const auto shut_out = status_of_stranger(control);
  REQUIRE_FALSE(shut_out.has_value());
  CHECK(shut_out.error().code == errc::not_connected);  // 0660
  // the daemon itself looks, too
  REQUIRE(chmod(control.dir.path().c_str(), 0755) == 0);
  REQUIRE(chmod(control.path.c_str(), 0666) == 0);
  const auto refused = status_of_stranger(control);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == errc::operation_not_permitted);
  CHECK(refused.error().detail == "user nobody may not control this daemon");
  CHECK(is_served(control));
}

TEST_CASE("control: requests that are too large, endless or none are refused, and the next client is served") {
  Controlled control;
  const std::string begin = "POST /v1/act HTTP/1.1\r\nHost: x\r\n";
  CHECK(control.said(begin + "Content-Length: 1048577\r\n\r\n").starts_with("HTTP/1.1 413 "));
  CHECK(control.said(begin + "Content-Length: 99999999999999999999\r\n\r\n").starts_with("HTTP/1.1 400 "));
  CHECK(control.said(begin + "Transfer-Encoding: chunked\r\n\r\n").starts_with("HTTP/1.1 413 "));
  CHECK(control.said(begin + "X: " + std::string(2'000'000, 'x')).starts_with("HTTP/1.1 431 "));
  CHECK(control.said(std::string(2'000'000, 'x')).starts_with("HTTP/1.1 431 "));
  CHECK(control.said("GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").starts_with("HTTP/1.1 405 "));
  CHECK(control.said(request("/v1/act", "{")).starts_with("HTTP/1.1 400 "));
  CHECK(control.said(request("/v1/act", std::string(control::max_request, '['))).starts_with("HTTP/1.1 400 "));
  CHECK(control.said(request("/v1/status", "{}")).starts_with("HTTP/1.1 200 "));
  CHECK(is_served(control));
}

TEST_CASE("control: requests that never get whole keep nobody out, and are let go at the stop") {
  Controlled control;
  const auto headless = crowd(control, 40, "POST /v1/act HTTP/1.1\r\nHost: x\r\n");
  CHECK(is_served(control));
  const auto bodiless = crowd(control, 40, "POST /v1/act HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{");
  CHECK(is_served(control));
  const auto begin = std::chrono::steady_clock::now();
  control.stop();
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(1));
}

TEST_CASE("control: who asks and does not read keeps nobody out") {
  Controlled control;
  control.waiting.assign(50'000, {"one.test", "the one session to 192.0.2.1 is in use", std::nullopt});
  std::vector<std::unique_ptr<Socket>> deaf;
  for (int i = 0; i < 40; ++i) {
    auto one = crowd(control, 1, request("/v1/waiting", "{}"));
    REQUIRE(control.apart([&] { return one.front()->is_answered(); }));
    deaf.push_back(std::move(one.front()));
  }
  CHECK(is_served(control));
}

TEST_CASE("control: a thousand connections that say nothing keep nobody out, and no step of the loop long") {
  rlimit files{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &files) == 0);
  files.rlim_cur = std::min<rlim_t>(files.rlim_max, 4096);
  REQUIRE(setrlimit(RLIMIT_NOFILE, &files) == 0);
  Controlled control;
  std::vector<std::unique_ptr<Socket>> idle;
  auto client = std::async(std::launch::async, [&] {
    for (int i = 0; i < 1000; ++i) idle.push_back(std::make_unique<Socket>(control.path));
    store::Selection many = queue::test::ids(std::vector<store::Id>(control::max_ids, store::Id{1}));
    return Client::connect(control.path).value().act(store::Action::hold, many).has_value();
  });
  support::LongestStep steps;
  CHECK(control.world.loop.run(steps.beside(finished(client))));
  MESSAGE("the longest step among 1,000 connections and an order of 20,000 ids: " << steps.longest().count() << " ms");
  CHECK(steps.longest() < slower * std::chrono::milliseconds(50));
  std::size_t open = 0;
  for (const auto& one : idle) {
    pollfd ended{one->descriptor(), POLLIN, 0};
    if (poll(&ended, 1, 0) == 0) ++open;
  }
  CHECK(open <= 32);
  CHECK(open > 0);
}

}  // namespace control_bounds_test
