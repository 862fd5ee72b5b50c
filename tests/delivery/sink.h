// SPDX-License-Identifier: Apache-2.0
// An SMTP server on the test's own loop that takes whatever comes, counts, and misbehaves as told. No TLS.
#pragma once
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "net/acceptor.h"
#include "net/task_group.h"

namespace hoplock::delivery::testing {

namespace asio = boost::asio;

class Sink {
 public:
  Sink(const asio::any_io_executor& executor, Log& log, const char* address, std::uint16_t port = 0)
      : tasks_(executor, log), acceptor_(net::Acceptor::listen(executor, {Ip::parse(address).value(), port}).value()) {
    tasks_.spawn("sink", accept(*this));
  }

  // No session is left of it. REQUIRES: the loop runs; before the end.
  asio::awaitable<void> end() {
    tasks_.stop();
    co_await tasks_.join(std::chrono::steady_clock::now() + std::chrono::seconds(5));
  }

  std::uint16_t port() const { return acceptor_.local().port; }

  // Before each command's reply ("" is the connection itself, "." the end of the message); what to say instead of yes, or "". A text
  // without CRLF at its end is sent, and the connection closed.
  std::function<std::string(const std::string& command)> answer = [](const std::string&) { return std::string(); };
  // The same of a connection alone, by where it comes from.
  std::function<std::string(const std::string& peer)> greeting = [](const std::string&) { return std::string(); };
  std::function<bool(const std::string& command)> hangs = [](const std::string&) { return false; };  // gets no reply
  std::chrono::milliseconds delay{0};  // before each reply
  bool pipelining = true;

  std::size_t connections = 0;
  std::size_t open = 0;
  std::size_t most_open = 0;
  std::size_t messages = 0;
  std::map<std::string, int> recipients;  // how often each was delivered to
  std::string last_body;
  std::size_t twice() const {
    std::size_t count = 0;
    for (const auto& [address, times] : recipients) count += times > 1 ? 1 : 0;
    return count;
  }

 private:
  struct Presence {
    Sink& sink;
    explicit Presence(Sink& at) : sink(at) {
      ++sink.connections;
      sink.most_open = std::max(sink.most_open, ++sink.open);
    }
    ~Presence() { --sink.open; }
  };

  static asio::awaitable<void> accept(Sink& self) {
    for (;;) {
      auto stream = co_await self.acceptor_.accept();
      if (!stream) co_return;
      self.tasks_.spawn("session", serve(self, std::move(*stream)));
    }
  }

  static asio::awaitable<void> serve(Sink& self, net::Stream stream) {
    const Presence presence(self);
    std::string in;
    std::vector<std::string> to;
    if (!co_await say(self, stream, "", "220 sink\r\n")) co_return;
    for (;;) {
      std::string line;
      if (!co_await read_until(stream, in, "\r\n", line)) co_return;
      const std::string verb = line.substr(0, 4);
      std::string yes = "250 ok\r\n";
      if (verb == "EHLO" && self.pipelining) yes = "250-sink\r\n250 PIPELINING\r\n";
      if (verb == "MAIL") to.clear();
      if (verb == "QUIT") yes = "221 bye";
      if (verb == "DATA") yes = to.empty() ? "554 no valid recipients\r\n" : "354 go\r\n";
      const auto said = co_await say(self, stream, line, yes);
      if (!said) co_return;
      if (verb == "RCPT" && said == 2) to.push_back(line.substr(9, line.size() - 12));
      if (verb != "DATA" || said != 3) continue;
      if (!co_await read_until(stream, in, "\r\n.\r\n", self.last_body)) co_return;
      const auto end = co_await say(self, stream, ".", "250 taken\r\n");
      if (end == 2) self.take(to);
      if (!end) co_return;
    }
  }

  void take(const std::vector<std::string>& to) {
    ++messages;
    for (const std::string& address : to) ++recipients[address];
  }

  // The first digit of what was said; 0: the connection ends.
  static asio::awaitable<int> say(Sink& self, net::Stream& stream, std::string command, std::string yes) {
    if (self.hangs(command)) {
      asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::hours{1});
      co_await timer.async_wait(asio::use_awaitable);
    }
    std::string text = self.answer(command);
    if (text.empty() && command.empty()) text = self.greeting(stream.peer().ip.text());
    if (text.empty()) text = std::move(yes);
    if (self.delay.count() > 0) {
      asio::steady_timer timer(co_await asio::this_coro::executor, self.delay);
      co_await timer.async_wait(asio::use_awaitable);
    }
    const bool close = !text.ends_with("\r\n");
    if (close) text += "\r\n";
    if (text == "\r\n") co_return 0;
    const auto written = co_await stream.write(text);
    co_return close || !written ? 0 : text[0] - '0';
  }

  static asio::awaitable<bool> read_until(net::Stream& stream, std::string& in, std::string end, std::string& text) {
    for (;;) {
      const auto found = in.find(end);
      if (found != std::string::npos) {
        text = in.substr(0, found + end.size());
        in.erase(0, found + end.size());
        co_return true;
      }
      std::string buffer(4096, '\0');
      const auto got = co_await stream.read_some(buffer);
      if (!got) co_return false;
      in.append(buffer, 0, *got);
    }
  }

  net::TaskGroup tasks_;
  net::Acceptor acceptor_;
};

}  // namespace hoplock::delivery::testing
