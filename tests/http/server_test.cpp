// SPDX-License-Identifier: Apache-2.0
#include "http/server.h"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio.hpp>
#include <chrono>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/loop.h"
#include "tests/support/memory_log.h"

namespace http_server_test {

using namespace hoplock;
using http::Reply;
using http::Request;
using http::Server;
using http::Settings;

namespace {

http::Listening listening(const char* address, std::uint16_t port = 0) {
  http::Listening at;
  at.at = net::Endpoint{Ip::parse(address).value(), port};
  return at;
}

// A blocking client of plain octets.
class Client {
 public:
  explicit Client(std::uint16_t port) : descriptor_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() { close(descriptor_); }

  bool connected() const { return connected_; }
  void send(std::string_view octets) const {
    while (!octets.empty()) {
      const ssize_t sent = ::send(descriptor_, octets.data(), octets.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      octets.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  // Up to the server's end of the stream, or the first silence of half a second.
  std::string rest() {
    ended_ = false;
    std::string all;
    for (;;) {
      pollfd ready{descriptor_, POLLIN, 0};
      if (poll(&ready, 1, 500) <= 0) return all;
      std::array<char, 4096> room{};
      const ssize_t got = recv(descriptor_, room.data(), room.size(), 0);
      if (got <= 0) {
        ended_ = true;
        return all;
      }
      all.append(room.data(), static_cast<std::size_t>(got));
    }
  }
  // Until something has come, which is left where it is.
  bool is_answered() const {
    pollfd ready{descriptor_, POLLIN, 0};
    return poll(&ready, 1, 5000) == 1;
  }
  bool ended() const { return ended_; }  // as of the last rest()

 private:
  int descriptor_;
  bool connected_ = false;
  bool ended_ = false;
};

constexpr std::size_t large = 24 << 20;  // more than the system buffers for one connection

struct Served {
  explicit Served(Settings limits = {}) : server(loop.executor(), log, &Served::answer, limits) {
    open(listening("127.0.0.1")).value();
  }
  ~Served() { loop.run(server.stop(std::chrono::steady_clock::now() + std::chrono::seconds(1))); }

  Result<> open(http::Listening where) {
    auto plan = server.prepare(std::move(where));
    if (!plan) return plan.error();
    server.serve(std::move(*plan));
    return {};
  }
  static boost::asio::awaitable<Reply> answer(Request request) {
    Reply reply;
    if (request.path == "/missing") reply.status = 404;
    reply.body = request.path + (request.accepts == Request::Accepts::json ? " json" : "") + request.body;
    if (request.path == "/long") {
      boost::asio::steady_timer pause(co_await boost::asio::this_coro::executor, std::chrono::milliseconds(1100));
      co_await request.progress(1);
      co_await pause.async_wait(boost::asio::use_awaitable);
      co_await request.progress(2);
      co_await request.progress(3);
    }
    if (request.path == "/large") reply.body.assign(large, 'x');
    co_return reply;
  }
  std::uint16_t port() const { return server.bound()->port; }
  // Runs `function`, which blocks, on a thread of its own while the loop runs here.
  template <class F>
  auto apart(F function) {
    auto result = std::async(std::launch::async, std::move(function));
    while (result.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      loop.io().restart();
      loop.io().run_for(std::chrono::milliseconds(5));
    }
    return result.get();
  }
  // What a client that says this, and no more, is told.
  std::string said(const std::string& octets) {
    return apart([this, octets] {
      Client client(port());
      client.send(octets);
      return client.rest();
    });
  }

  support::Loop loop;
  support::MemoryLog log;
  Server server;
};

std::string status(const std::string& reply) { return reply.substr(0, reply.find("\r\n")); }
std::string body(const std::string& reply) { return reply.substr(reply.find("\r\n\r\n") + 4); }
bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

constexpr const char* rest_of_request = " HTTP/1.1\r\nHost: localhost\r\n\r\n";

}  // namespace

TEST_CASE("http: GET and HEAD are answered, the connection stays for more") {
  Served served;
  const std::string get = served.said("GET /metrics?x=<y>" + std::string(rest_of_request));
  CHECK(status(get) == "HTTP/1.1 200 OK");
  CHECK(body(get) == "/metrics");
  CHECK(has(get, "Content-Length: 8\r\n"));
  CHECK(has(get,
            "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
            "connect-src 'self'; "));
  CHECK(has(get, "X-Content-Type-Options: nosniff\r\n"));
  CHECK(has(get, "Cache-Control: no-store\r\n"));
  CHECK(has(get, " GMT\r\n"));
  const std::string head = served.said("HEAD /metrics" + std::string(rest_of_request));
  CHECK(has(head, "Content-Length: 8\r\n"));
  CHECK(body(head).empty());
  CHECK(status(served.said("GET /missing" + std::string(rest_of_request))) == "HTTP/1.1 404 Not Found");
  const std::string json = served.said("GET / HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n");
  CHECK(body(json) == "/ json");
}

TEST_CASE("http: only the page's own names are answered, so that a name made to lead here reads nothing") {
  Served served;
  auto named = listening("127.0.0.1");
  named.hosts = {"relay.example.net", "2001:db8::5"};
  REQUIRE(served.open(std::move(named)));
  struct Row {
    std::string host;
    unsigned code;
  };
  const std::vector<Row> rows{{"127.0.0.1", 200},
                              {"127.0.0.1:" + std::to_string(served.port()), 200},
                              {"localhost", 200},
                              {"LocalHost.:9465", 200},
                              {"[::1]:80", 200},  // as a forwarded port has it
                              {"relay.example.net", 200},
                              {"Relay.Example.Net.:443", 200},
                              {"[2001:db8::5]:80", 200},
                              {"rebound.attacker.example", 421},
                              {"localhost.attacker.example", 421},
                              {"127.0.0.1.attacker.example", 421},
                              {"192.0.2.1", 421},
                              {"[2001:db8::6]", 421},
                              {"[", 421},
                              {"[::1", 421},
                              {"[::1]evil.test", 421},
                              {"[::1]:evil", 421},
                              {"[::1]:80.evil.test", 421},
                              {"[localhost]", 421},
                              {"localhost:evil", 421},
                              {"localhost:80:80", 421},
                              {"localhost:80@evil.test", 421},
                              {"relay.example.net:x", 421},
                              {"localhost:", 200},
                              {":80", 421},
                              {"", 421}};
  for (const Row& row : rows) {
    CAPTURE(row.host);
    const std::string got = served.said("GET / HTTP/1.1\r\nHost: " + row.host + "\r\n\r\n");
    CHECK(has(status(got), std::to_string(row.code)));
    if (row.code == 421) CHECK(has(body(got), "http.hosts"));
  }
  CHECK(has(status(served.said("GET / HTTP/1.0\r\n\r\n")), "200"));
  CHECK(has(status(served.said("GET / HTTP/1.0\r\nHost: rebound.attacker.example\r\n\r\n")), "421"));
  CHECK(has(status(served.said("GET / HTTP/1.1\r\n\r\n")), "400"));
  CHECK(served.log.events("http-refused").size() == 18);
}

TEST_CASE("http: requests follow each other on one connection, also without waiting, also octet by octet") {
  Served served;
  const std::string both = served.said("GET /a" + std::string(rest_of_request) + "GET /b" + rest_of_request);
  CHECK(has(both, "\r\n\r\n/a"));
  CHECK(has(both, "\r\n\r\n/b"));
  const auto slow = served.apart([&served] {
    Client client(served.port());
    for (const char c : "GET /slow" + std::string(rest_of_request)) client.send(std::string_view(&c, 1));
    std::string reply = client.rest();
    const bool open = !client.ended();
    client.send("GET /last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    reply += client.rest();
    return std::tuple(reply, open, client.ended());
  });
  CHECK(has(std::get<0>(slow), "\r\n\r\n/slow"));
  CHECK(has(std::get<0>(slow), "Connection: close\r\n\r\n/last"));
  CHECK(std::get<1>(slow));
  CHECK(std::get<2>(slow));
  const std::string old = served.said("GET /old HTTP/1.0\r\n\r\n");
  CHECK(has(old, "Connection: close\r\n\r\n/old"));
}

TEST_CASE("http: what is not GET or HEAD, or brings a body, or is no HTTP, is refused in order") {
  Served served;
  struct Row {
    std::string octets;
    std::string_view status;
    const char* why;
  };
  const std::string host = " HTTP/1.1\r\nHost: localhost\r\n";
  const std::vector<Row> rows = {
      {"POST /" + host + "\r\n", "405", "method"},
      {"DELETE /" + host + "\r\n", "405", "method"},
      {"BREW /" + host + "\r\n", "405", "a method that nobody knows"},
      {"POST /" + host + "Content-Length: 3\r\n\r\nx=1", "405", "method with a body"},
      {"GET /" + host + "Content-Length: 3\r\n\r\nGET", "413", "body"},
      {"GET /" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "413", "chunked body"},
      {"GET /" + host + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "400", "two lengths"},
      {"GET / HTTP/1.1\r\n\r\n", "400", "no Host"},
      {"GET /" + host + "Host: b\r\n\r\n", "400", "two Hosts"},
      {"GET /" + host + "Bad Name: x\r\n\r\n", "400", "a field's name with a blank"},
      {"GET /" + host + "X: a\nb\r\n\r\n", "400", "a lone LF"},
      {"GET / HTTP/9.9\r\n\r\n", "400", "version"},
      {"EHLO client.example\r\n", "400", "SMTP"},
      {std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11), "400", "TLS"},
      {"GET /" + std::string(9000, 'a') + host + "\r\n", "431", "a long target"},
      {"GET /" + host + "X: " + std::string(9000, 'a') + "\r\n\r\n", "431", "a long field"},
      {"GET /" + host + std::string(100000, 'a'), "431", "endless"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.why);
    const auto [reply, ended] = served.apart([&served, &row] {
      Client client(served.port());
      client.send(row.octets);
      std::string got = client.rest();
      return std::pair(got, client.ended());
    });
    CHECK(status(reply).substr(0, 12) == "HTTP/1.1 " + std::string(row.status));
    if (row.status == "405") CHECK(has(reply, "Allow: GET, HEAD\r\n"));
    if (row.status != "405") CHECK(ended);
    CHECK(reply.find("HTTP/1.1", 1) == std::string::npos);  // one answer: the body was never taken for a request
  }
  CHECK(served.log.events("internal-error").empty());
}

TEST_CASE(
    "http: where bodies are taken, POST is served and nothing else: whole, octet by octet, in a row, and bounded") {
  Settings limits;
  limits.body = 100;
  limits.not_http = "speak HTTP\n";
  Served served(limits);
  const std::string head = "POST /a HTTP/1.1\r\nHost: anything\r\n";
  const std::string one = head + "Content-Length: 3\r\n\r\nx=1";
  CHECK(status(served.said(one)) == "HTTP/1.1 421 Misdirected Request");  // at an address, names count here too
  const std::string ours = "POST /a HTTP/1.1\r\nHost: localhost\r\n";
  const std::string three = ours + "Content-Length: 3\r\n\r\nx=1";
  const std::string both = served.said(three + ours + "Content-Length: 100\r\n\r\n" + std::string(100, 'y'));
  CHECK(has(both, "\r\n\r\n/ax=1HTTP/1.1 200 OK\r\n"));
  CHECK(has(both, "\r\n\r\n/a" + std::string(100, 'y')));
  CHECK(body(served.said(ours + "\r\n")) == "/a");
  const std::string slow = served.apart([&] {
    Client client(served.port());
    for (const char c : three) client.send(std::string_view(&c, 1));
    return client.rest();
  });
  CHECK(body(slow) == "/ax=1");
  CHECK(status(served.said(ours + "Content-Length: 101\r\n\r\n")) == "HTTP/1.1 413 Payload Too Large");
  CHECK(status(served.said(ours + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")) == "HTTP/1.1 413 Payload Too Large");
  CHECK(served.said(ours + "Content-Length: 3\r\n\r\nx=").empty());  // half a request
  const std::string get = served.said("GET /a" + std::string(rest_of_request));
  CHECK(status(get) == "HTTP/1.1 405 Method Not Allowed");
  CHECK(has(get, "Allow: POST\r\n"));
  CHECK(served.said("{\"do\":\"status\"}\n") == "speak HTTP\n");
  CHECK(status(served.said("EHLO x\r\n\r\n")) == "HTTP/1.1 400 Bad Request");
}

TEST_CASE("http: how far the work is, is told in between, once a second at most") {
  Served served;
  const std::string told = served.apart([&] {
    Client client(served.port());
    client.send("GET /long" + std::string(rest_of_request));
    std::string all;
    while (all.find("/long") == std::string::npos && client.is_answered()) all += client.rest();
    return all;
  });
  CHECK(told.starts_with("HTTP/1.1 102 Processing\r\nProgress: 2\r\n\r\nHTTP/1.1 200 OK\r\n"));
  CHECK(body(told.substr(told.find("HTTP/1.1 200"))) == "/long");
}

TEST_CASE("http: who says nothing, or too slowly, is let go") {
  Settings limits;
  limits.idle = std::chrono::milliseconds(100);
  limits.request = std::chrono::milliseconds(200);
  Served served(limits);
  const auto silent = served.apart([&served] {
    Client client(served.port());
    client.rest();
    return client.ended();
  });
  CHECK(silent);
  const auto slow = served.apart([&served] {
    Client client(served.port());
    for (int i = 0; i < 8; ++i) {
      client.send("GET /");
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    const std::string got = client.rest();
    return std::pair(got, client.ended());
  });
  CHECK(slow.first.empty());
  CHECK(slow.second);
}

TEST_CASE("http: connections are bounded, and idle ones keep nobody out") {
  Settings limits;
  limits.connections = 3;
  Served served(limits);
  const auto told = served.apart([&served] {
    std::vector<std::unique_ptr<Client>> idle;
    for (int i = 0; i < 10; ++i) idle.push_back(std::make_unique<Client>(served.port()));
    Client last(served.port());
    last.send("GET /in" + std::string(rest_of_request));
    std::string got = last.rest();
    std::size_t ended = 0;
    for (auto& one : idle) {
      one->rest();
      if (one->ended()) ++ended;
    }
    return std::pair(got, ended);
  });
  CHECK(body(told.first) == "/in");
  CHECK(told.second == 8);  // of eleven
}

TEST_CASE("http: connections whose request never gets whole keep nobody out") {
  Settings limits;
  limits.connections = 3;
  Served served(limits);
  const auto told = served.apart([&served] {
    std::vector<std::unique_ptr<Client>> slow;
    for (int i = 0; i < 10; ++i) {
      slow.push_back(std::make_unique<Client>(served.port()));
      slow.back()->send("GET /");
      std::this_thread::sleep_for(std::chrono::milliseconds(20));  // it is read
    }
    Client last(served.port());
    last.send("GET /in" + std::string(rest_of_request));
    return last.rest();
  });
  REQUIRE(has(told, "\r\n\r\n"));
  CHECK(body(told) == "/in");
}

TEST_CASE("http: connections that do not read what they asked for keep nobody out") {
  Settings limits;
  limits.connections = 3;
  limits.request = std::chrono::minutes(1);
  Served served(limits);
  const auto told = served.apart([&served] {
    std::vector<std::unique_ptr<Client>> deaf;
    for (int i = 0; i < 6; ++i) {
      deaf.push_back(std::make_unique<Client>(served.port()));
      deaf.back()->send("GET /large" + std::string(rest_of_request));
      if (!deaf.back()->is_answered()) return std::string("one was not answered\r\n\r\n");
    }
    Client last(served.port());
    last.send("GET /in" + std::string(rest_of_request));
    return last.rest();
  });
  REQUIRE(has(told, "\r\n\r\n"));
  CHECK(body(told) == "/in");
}

TEST_CASE("http: who does not read the answer is let go in time") {
  Settings limits;
  limits.request = std::chrono::milliseconds(300);
  Served served(limits);
  const auto got = served.apart([&served] {
    Client deaf(served.port());
    deaf.send("GET /large" + std::string(rest_of_request));
    std::this_thread::sleep_for(std::chrono::milliseconds(900));
    const std::string late = deaf.rest();
    return std::pair(late.size(), deaf.ended());
  });
  CHECK(got.first < large);
  CHECK(got.second);
}

TEST_CASE("http: an address that cannot be had is named, and served as soon as its holder is gone") {
  Served served;
  Served other;
  const std::uint16_t taken = other.port();
  served.open(listening("127.0.0.1", taken)).value();
  CHECK(has(served.server.missing(), "127.0.0.1:" + std::to_string(taken)));
  CHECK_FALSE(served.server.bound());
  other.open({}).value();
  CHECK(served.apart([taken] {
    while (!Client(taken).connected()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return true;
  }));
  CHECK(served.server.missing().empty());
  CHECK(body(served.said("GET /now" + std::string(rest_of_request))) == "/now");
}

TEST_CASE("http: what is prepared changes nothing until it is served, and lets go of its address when it is not") {
  Served served;
  const std::uint16_t before = served.port();
  std::uint16_t elsewhere = 0;
  {
    Served other;
    elsewhere = other.port();
  }
  {
    const auto plan = served.server.prepare(listening("127.0.0.1", elsewhere));
    REQUIRE(plan.has_value());
    CHECK(served.port() == before);
    CHECK(body(served.said("GET /still" + std::string(rest_of_request))) == "/still");
  }
  CHECK_FALSE(served.apart([elsewhere] { return Client(elsewhere).connected(); }));
  CHECK(served.port() == before);
}

TEST_CASE("http: a reload moves it, or ends it") {
  Served served;
  const std::uint16_t before = served.port();
  served.open(listening("127.0.0.2")).value();
  CHECK(served.server.bound()->ip.text() == "127.0.0.2");
  CHECK_FALSE(served.apart([before] { return Client(before).connected(); }));
  served.open({}).value();
  CHECK_FALSE(served.server.bound());
}

TEST_CASE(
    "http: who is not let in gets 401 and nothing else; health stays open; the proxy's header is looked at by its "
    "name") {
  Served served;
  auto guarded = listening("127.0.0.1");
  guarded.trusted_header = "X-Forwarded-User";
  std::vector<http::Requester> asked;
  guarded.admission = [&asked](http::Requester client) -> boost::asio::awaitable<bool> {
    asked.push_back(client);
    co_return client.has_trusted_header || (client.login && client.login->second == "right:one");
  };
  REQUIRE(served.open(std::move(guarded)));
  const auto said = [&](const std::string& path, const std::string& fields) {
    return served.said("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n" + fields + "\r\n");
  };
  const std::string refused = said("/", "");
  CHECK(status(refused) == "HTTP/1.1 401 Unauthorized");
  CHECK(has(refused, "WWW-Authenticate: Basic realm=\"hoplock\""));
  CHECK(!has(body(refused), "/"));
  CHECK(status(said("/metrics", "Authorization: Basic YW5uOndyb25n\r\n")) == "HTTP/1.1 401 Unauthorized");
  CHECK(status(said("/metrics", "Authorization: basic YW5uOnJpZ2h0Om9uZQ==\r\n")) == "HTTP/1.1 200 OK");
  CHECK(asked.back().login == std::pair<std::string, std::string>("ann", "right:one"));
  CHECK(asked.back().address.text() == "127.0.0.1");
  for (const char* field : {"Authorization: Basic !!!\r\n", "Authorization: Basic YW5u\r\n",
                            "Authorization: Bearer x\r\n", "X-Forwarded-User:\r\n", "X-Forwarded-Users: ann\r\n"})
    CHECK(status(said("/", field)) == "HTTP/1.1 401 Unauthorized");
  CHECK(status(said("/", "X-Forwarded-User: ann\r\n")) == "HTTP/1.1 200 OK");
  const std::size_t so_far = asked.size();
  CHECK(status(said("/healthz", "")) == "HTTP/1.1 200 OK");
  CHECK(asked.size() == so_far);
}

}  // namespace http_server_test
