// SPDX-License-Identifier: Apache-2.0
#include "net/stream.h"

#include <doctest/doctest.h>

#include <boost/asio.hpp>
#include <boost/asio/ssl/error.hpp>

#include "net/acceptor.h"
#include "net/connect.h"
#include "net/task_group.h"
#include "net/tls_server.h"
#include "tests/support/loop.h"
#include "tests/support/memory_log.h"
#include "tests/support/scripted_peer.h"
#include "tests/support/test_ca.h"

namespace net_stream_test {

namespace asio = boost::asio;
using namespace hoplock;
using namespace hoplock::support;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {
const Ip loopback = Ip::parse("127.0.0.1").value();

net::Stream connected(Loop& loop, std::uint16_t port) {
  return loop.run(net::connect({loopback, port}, steady_clock::now() + 5s)).value();
}

// Reads once; "" with the error in `code`.
asio::awaitable<std::string> read_text(net::Stream& stream, std::size_t most = 4096) {
  std::string buffer(most, '\0');
  const auto got = co_await stream.read_some(buffer);
  if (!got) co_return "error: " + got.error().code.message();
  buffer.resize(*got);
  co_return buffer;
}

asio::awaitable<error_code> read_error(net::Stream& stream) {
  std::string buffer(4096, '\0');
  for (;;) {
    const auto got = co_await stream.read_some(buffer);
    if (!got) co_return got.error().code;
  }
}

struct Server {
  TempDir dir;
  Certificate certificate{{.cn = "server.example", .dns = {"server.example"}}};
  net::CertificateFiles files = write_chain(dir, "server", certificate);
  std::shared_ptr<const net::ServerTls> tls = net::ServerTls::load(files).value();
};

// A stream in TLS as server, facing a scripted client.
struct TlsPair {
  Server server;
  net::Acceptor acceptor;
  std::unique_ptr<ScriptedClient> client;
  net::Stream stream;

  TlsPair(Loop& loop, const Script& script)
      : acceptor(net::Acceptor::listen(loop.executor(), {loopback, 0}).value()),
        client(std::make_unique<ScriptedClient>(acceptor.local().port, script)),
        stream(loop.run(acceptor.accept()).value()) {
    stream.expires_after(5s);
    const auto done = loop.run(net::accept_tls(stream, server.tls));
    REQUIRE(done);
  }
};
}  // namespace

TEST_CASE("Stream: pieces of one write arrive in order, and the peer's end is told as eof") {
  Loop loop;
  ScriptedPeer peer(Script().expect("onetwothree").send("hello").expect("again").close());
  auto stream = connected(loop, peer.port());
  CHECK(loop.run(stream.write("one", "two", "three")));
  CHECK(loop.run(read_text(stream)) == "hello");
  CHECK(loop.run(stream.write("", "again", "")));
  CHECK(loop.run(read_error(stream)) == asio::error::eof);
  CHECK(stream.peer() == net::Endpoint{loopback, peer.port()});
  CHECK(stream.local().ip == loopback);
  CHECK_FALSE(stream.tls());
  CHECK(peer.finish().empty());
}

TEST_CASE("Stream: a reset is told apart from an end") {
  Loop loop;
  ScriptedPeer peer(Script().expect("x").reset());
  auto stream = connected(loop, peer.port());
  CHECK(loop.run(stream.write("x")));
  CHECK(loop.run(read_error(stream)) == errc::connection_reset);
}

TEST_CASE("Stream: a deadline ends a read with timed_out, and the stream lives on under a later one") {
  Loop loop;
  ScriptedPeer peer(Script().expect("421 too slow\r\n").send("bye").close());
  auto stream = connected(loop, peer.port());
  const auto start = steady_clock::now();
  stream.expires_after(30ms);
  CHECK(loop.run(read_error(stream)) == errc::timed_out);
  CHECK(steady_clock::now() - start >= 30ms);
  CHECK(steady_clock::now() - start < 3s);
  CHECK(loop.run(stream.write("x")).error().code == errc::timed_out);
  stream.expires_after(5s);
  CHECK(loop.run(stream.write("421 too slow\r\n")));
  CHECK(loop.run(read_text(stream)) == "bye");
  CHECK(peer.finish().empty());
}

TEST_CASE("Stream: the deadline is one for all reads under it, however often octets drip in") {
  Loop loop;
  Script drip;
  for (int i = 0; i < 200; ++i) drip.send("x").pause(10ms);
  ScriptedPeer peer(drip);
  auto stream = connected(loop, peer.port());
  const auto start = steady_clock::now();
  stream.expires_after(100ms);
  CHECK(loop.run(read_error(stream)) == errc::timed_out);
  CHECK(steady_clock::now() - start < 1500ms);
  stream.close();
}

TEST_CASE("Stream: a deadline moved nearer or further while an operation waits takes effect") {
  Loop loop;
  MemoryLog log;
  ScriptedPeer peer(Script().stall());
  auto stream = connected(loop, peer.port());
  error_code code;
  net::TaskGroup tasks(loop.executor(), log);
  const auto reader = [](net::Stream& s, error_code& c) -> asio::awaitable<void> { c = co_await read_error(s); };
  stream.expires_after(60s);
  tasks.spawn("reader", reader(stream, code));
  CHECK(loop.run(tasks.join(steady_clock::now() + 20ms)) == 1);
  stream.expires_after(150ms);
  CHECK(loop.run(tasks.join(steady_clock::now() + 10ms)) == 1);
  stream.expires_after(80ms);  // nearer than the one the timer stands at
  const auto start = steady_clock::now();
  CHECK(loop.run(tasks.join(steady_clock::now() + 5s)) == 0);
  CHECK(code == errc::timed_out);
  CHECK(steady_clock::now() - start < 4s);
}

TEST_CASE("Stream: cancellation and close end what waits with operation_canceled") {
  Loop loop;
  MemoryLog log;
  const auto reader = [](net::Stream& s, error_code& c) -> asio::awaitable<void> { c = co_await read_error(s); };
  for (const bool by_close : {true, false}) {
    CAPTURE(by_close);
    ScriptedPeer peer(Script().stall());
    auto stream = connected(loop, peer.port());
    error_code code;
    net::TaskGroup tasks(loop.executor(), log);
    tasks.spawn("reader", reader(stream, code));
    CHECK(loop.run(tasks.join(steady_clock::now() + 10ms)) == 1);
    if (by_close) stream.close();
    if (!by_close) tasks.stop();
    CHECK(loop.run(tasks.join(steady_clock::now() + 5s)) == 0);
    CHECK(code == errc::operation_canceled);
    CHECK(stream.is_open() == !by_close);
  }
  CHECK(log.events().empty());
}

TEST_CASE("Stream: more than the socket takes is written whole, in clear and in TLS") {
  Loop loop;
  std::string body(20'000'000, 'b');
  for (std::size_t i = 0; i < body.size(); i += 1000) body[i] = static_cast<char>('a' + i / 1000 % 26);
  const std::string whole = "head" + body + "\r\n.\r\n";
  SUBCASE("clear") {
    ScriptedPeer peer(Script().pause(50ms).expect(whole));
    auto stream = connected(loop, peer.port());
    stream.expires_after(20s);
    CHECK(loop.run(stream.write("head", body, "\r\n.\r\n")));
    CHECK(peer.finish().empty());
  }
  SUBCASE("TLS") {
    TlsPair pair(loop, Script().connect_tls({}).pause(50ms).expect(whole));
    pair.stream.expires_after(20s);
    CHECK(loop.run(pair.stream.write("head", body, "\r\n.\r\n")));
    CHECK(pair.client->finish().empty());
  }
}

TEST_CASE("Stream: a write that nobody reads ends at the deadline") {
  Loop loop;
  const std::string body(50'000'000, 'b');
  ScriptedPeer peer(Script().pause(10s));
  auto stream = connected(loop, peer.port());
  stream.expires_after(100ms);
  CHECK(loop.run(stream.write(body)).error().code == errc::timed_out);
  stream.close();
}

TEST_CASE("Stream in TLS: text passes both ways, with what was negotiated") {
  Loop loop;
  TlsPair pair(loop, Script().connect_tls({}).send("EHLO x\r\n").expect("250 hello\r\n").close());
  CHECK(loop.run(read_text(pair.stream)) == "EHLO x\r\n");
  CHECK(loop.run(pair.stream.write("250 ", "hello", "\r\n")));
  CHECK(loop.run(read_error(pair.stream)) == asio::error::eof);
  const auto info = pair.stream.tls();
  REQUIRE(info);
  CHECK(info->version == "TLSv1.3");
  CHECK(info->cipher == "TLS_AES_256_GCM_SHA384");
  CHECK(info->bits == 256);
  CHECK(pair.client->finish().empty());
}

TEST_CASE("Stream in TLS: an end without close_notify is told as truncation, a reset as a reset") {
  Loop loop;
  SUBCASE("truncated") {
    TlsPair pair(loop, Script().connect_tls({}).send("25").truncate());
    CHECK(loop.run(read_error(pair.stream)) == asio::ssl::error::stream_truncated);
  }
  SUBCASE("reset") {
    TlsPair pair(loop, Script().connect_tls({}).expect("x").reset());
    CHECK(loop.run(pair.stream.write("x")));
    CHECK(loop.run(read_error(pair.stream)) == errc::connection_reset);
  }
  SUBCASE("orderly") {
    TlsPair pair(loop, Script().connect_tls({}).close());
    CHECK(loop.run(read_error(pair.stream)) == asio::error::eof);
  }
}

TEST_CASE("Stream in TLS: octets that are no TLS end the session with protocol_error") {
  Loop loop;
  TlsPair pair(loop, Script().connect_tls({}).send_raw("this is not TLS at all\r\n").stall());
  const error_code code = loop.run(read_error(pair.stream));
  CHECK(code == errc::protocol_error);
  pair.stream.close();
}

TEST_CASE("Stream in TLS: a deadline ends reads and handshakes") {
  Loop loop;
  SUBCASE("read") {
    TlsPair pair(loop, Script().connect_tls({}).expect("still here").stall());
    pair.stream.expires_after(30ms);
    CHECK(loop.run(read_error(pair.stream)) == errc::timed_out);
    pair.stream.expires_after(5s);
    CHECK(loop.run(pair.stream.write("still here")));
    loop.run(pair.stream.shutdown());
    CHECK(pair.client->finish().empty());
  }
  SUBCASE("handshake") {
    Server server;
    auto acceptor = net::Acceptor::listen(loop.executor(), {loopback, 0}).value();
    ScriptedClient client(acceptor.local().port, Script().stall());
    auto stream = loop.run(acceptor.accept()).value();
    stream.expires_after(30ms);
    CHECK(loop.run(net::accept_tls(stream, server.tls)).error().code == errc::timed_out);
    stream.close();
  }
}

TEST_CASE("Stream: shutdown gives the peer the last reply even when it still sends") {
  Loop loop;
  auto acceptor = net::Acceptor::listen(loop.executor(), {loopback, 0}).value();
  ScriptedClient client(acceptor.local().port,
                        Script().send(std::string(300'000, 'x')).expect("421 bye\r\n").expect_end());
  auto stream = loop.run(acceptor.accept()).value();
  stream.expires_after(5s);
  CHECK(loop.run(stream.write("421 bye\r\n")));
  loop.run(stream.shutdown());
  CHECK_FALSE(stream.is_open());
  CHECK(client.finish().empty());
}

TEST_CASE("Stream in TLS: shutdown and close both say close_notify") {
  Loop loop;
  for (const bool gently : {true, false}) {
    CAPTURE(gently);
    TlsPair pair(loop, Script().connect_tls({}).expect("bye").expect_end());
    CHECK(loop.run(pair.stream.write("bye")));
    if (gently) loop.run(pair.stream.shutdown());
    if (!gently) pair.stream.close();
    CHECK(pair.client->finish().empty());
  }
}

TEST_CASE("Stream: octets that wait in the socket before the handshake can be seen (SUB-10)") {
  Loop loop;
  auto acceptor = net::Acceptor::listen(loop.executor(), {loopback, 0}).value();
  ScriptedClient client(acceptor.local().port,
                        Script().send("STARTTLS\r\n").expect("go on").send("MAIL FROM:<a@b>\r\n").stall());
  auto stream = loop.run(acceptor.accept()).value();
  CHECK(loop.run(read_text(stream)) == "STARTTLS\r\n");
  CHECK_FALSE(stream.has_unread_input());
  CHECK(loop.run(stream.write("go on")));
  for (int i = 0; i < 500 && !stream.has_unread_input(); ++i) std::this_thread::sleep_for(1ms);
  CHECK(stream.has_unread_input());
  stream.close();
}

TEST_CASE("Stream: read_now takes what has arrived and never waits, in clear and inside TLS; the end is an error") {
  const auto soon = [](net::Stream& stream, std::string& buffer) {
    Result<std::size_t> got = std::size_t{0};
    for (int i = 0; i < 500 && got && *got == 0; ++i) {
      got = stream.read_now(buffer);
      if (got && *got == 0) std::this_thread::sleep_for(1ms);
    }
    return got;
  };
  for (const bool in_tls : {false, true}) {
    CAPTURE(in_tls);
    Loop loop;
    std::string buffer(100, '\0');
    Script script;
    if (in_tls) script.connect_tls({});
    script.expect("go on").send("250 early\r\n").expect("enough").close();
    std::optional<TlsPair> pair;
    std::optional<net::Acceptor> acceptor;
    std::optional<ScriptedClient> client;
    std::optional<net::Stream> clear;
    if (in_tls) {
      pair.emplace(loop, script);
    } else {
      acceptor = net::Acceptor::listen(loop.executor(), {loopback, 0}).value();
      client.emplace(acceptor->local().port, script);
      clear.emplace(loop.run(acceptor->accept()).value());
    }
    net::Stream& stream = in_tls ? pair->stream : *clear;
    CHECK(stream.read_now(buffer).value() == 0);
    CHECK(loop.run(stream.write("go on")));
    const auto got = soon(stream, buffer);
    REQUIRE(got);
    CHECK(buffer.substr(0, *got) == "250 early\r\n");
    CHECK(stream.read_now(buffer).value() == 0);
    CHECK(loop.run(stream.write("enough")));
    const auto end = soon(stream, buffer);
    REQUIRE_FALSE(end);
    CHECK(net::is_end_of_stream(end.error()));
  }
}

namespace {
// What a client would do; how far it came. Each result is named: GCC 12 miscompiles a coroutine with two conditions
// that await a Result in place.
asio::awaitable<int> converse(net::Stream& stream, std::shared_ptr<const net::ServerTls> tls) {
  const std::string greeting = co_await read_text(stream);
  if (greeting != "220 x\r\n") co_return 0;
  const auto asked = co_await stream.write("STARTTLS\r\n");
  if (!asked) co_return 1;
  const auto secured = co_await net::accept_tls(stream, tls);
  if (!secured) co_return 2;
  const auto greeted = co_await stream.write("EHLO\r\n");
  if (!greeted) co_return 3;
  const std::string reply = co_await read_text(stream);
  co_return reply == "250 x\r\n" ? 5 : 4;
}
}  // namespace

TEST_CASE("Stream: sessions that are cut at any step end with an error, never hang or crash") {
  Loop loop;
  Server server;
  const Script script = Script()
                            .send("220 x\r\n")
                            .expect("STARTTLS\r\n")

                            .connect_tls({})
                            .expect("EHLO\r\n")
                            .send("250 x\r\n");
  int furthest = 0;
  cut_at_every_step(script, [&](const Script& cut, const std::string& where) {
    CAPTURE(where);
    ScriptedPeer peer(cut);
    auto connection = loop.run(net::connect({loopback, peer.port()}, steady_clock::now() + 5s));
    if (!connection) {  // cut before we knew that we were connected
      CHECK(peer.finish().empty());
      return;
    }
    net::Stream stream = std::move(*connection);
    stream.expires_after(5s);
    const int reached = loop.run(converse(stream, server.tls));
    CHECK(reached <= static_cast<int>(cut.size()));
    CHECK(peer.finish().empty());
    furthest = std::max(furthest, reached);
    stream.close();
  });
  CHECK(furthest == 5);
}

TEST_CASE("Stream: moved, it is the same connection; assigned over, the old one is closed") {
  Loop loop;
  ScriptedPeer first(Script().expect_end());
  ScriptedPeer second(Script().expect("hi"));
  auto stream = connected(loop, first.port());
  stream = connected(loop, second.port());
  net::Stream moved(std::move(stream));
  CHECK(loop.run(moved.write("hi")));
  CHECK(first.finish().empty());
  CHECK(second.finish().empty());
}

}  // namespace net_stream_test
