// SPDX-License-Identifier: Apache-2.0
#include "tests/support/cutting_proxy.h"

#include <array>
#include <atomic>
#include <boost/asio.hpp>
#include <functional>
#include <future>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

namespace hoplock::support {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr std::string_view committed(
    "C\0\0\0\x0b"
    "COMMIT\0",
    12);                                           // the server's message
constexpr std::string_view commit("COMMIT\0", 7);  // in the client's Parse; later by the statement's name

struct Pair {
  explicit Pair(asio::io_context& io) : client(io), server(io) {}
  tcp::socket client, server;
  std::array<char, 65536> up{}, down{};
  bool reads_up = false, reads_down = false;
  std::string commit_name;  // of the client's prepared COMMIT
  void close() {
    boost::system::error_code ignored;
    client.close(ignored);
    server.close(ignored);
  }
};

// The name of a statement that the client prepares as COMMIT: Parse is 'P', its length, the name, the SQL.
std::string prepared_commit(std::string_view request) {
  const std::size_t sql = request.find(std::string("\0", 1) + std::string(commit));
  if (sql == std::string_view::npos) return {};
  const std::size_t before = request.rfind('\0', sql - 1);
  return std::string(request.substr(before + 2, sql - before - 2));  // behind the last octet of the length
}

}  // namespace

struct CuttingProxy::Inside {
  explicit Inside(std::uint16_t to_)
      : to(asio::ip::make_address("127.0.0.1"), to_), acceptor(io, {asio::ip::make_address("127.0.0.1"), 0}) {
    accept();
    thread = std::thread([this] { io.run(); });
  }
  ~Inside() {
    io.stop();
    thread.join();
  }

  void on_thread(std::function<void()> what) {
    std::promise<void> done;
    asio::post(io, [&] {
      what();
      done.set_value();
    });
    done.get_future().wait();
  }

  void accept() {
    acceptor.async_accept([this](const boost::system::error_code& error, tcp::socket socket) {
      if (error) return;
      if (!refusing) {
        auto pair = std::make_shared<Pair>(io);
        pair->client = std::move(socket);
        boost::system::error_code failed;
        pair->server.connect(to, failed);
        if (!failed) {
          pairs.push_back(pair);
          pair->client.set_option(tcp::no_delay(true));
          pair->server.set_option(tcp::no_delay(true));
          pump(pair);
        }
      }
      accept();
    });
  }

  void pump(const std::shared_ptr<Pair>& pair) {
    if (silent) return;
    if (!pair->reads_up) {
      pair->reads_up = true;
      pair->client.async_read_some(asio::buffer(pair->up),
                                   [this, pair](const boost::system::error_code& error, std::size_t got) {
                                     pair->reads_up = false;
                                     if (error) return close(pair);
                                     held_up(pair, std::string(pair->up.data(), got));
                                   });
    }
    if (!pair->reads_down) {
      pair->reads_down = true;
      pair->server.async_read_some(asio::buffer(pair->down),
                                   [this, pair](const boost::system::error_code& error, std::size_t got) {
                                     pair->reads_down = false;
                                     if (error) return close(pair);
                                     held_down(pair, std::string(pair->down.data(), got));
                                   });
    }
  }

  void close(const std::shared_ptr<Pair>& pair) {
    pair->close();
    pairs.remove(pair);
  }

  // What came while it was silent goes on when it speaks again.
  void held_up(const std::shared_ptr<Pair>& pair, std::string octets) {
    if (silent) return late.push_back([this, pair, octets] { held_up(pair, octets); });
    if (const std::string name = prepared_commit(octets); !name.empty()) pair->commit_name = name;
    const bool commits = !pair->commit_name.empty() && octets.find(std::string("B\0", 1)) != std::string::npos &&
                         octets.find('\0' + pair->commit_name + '\0') != std::string::npos;
    if (commits) request = octets.size();
    if (commits && hold) {
      hold = false;
      boost::system::error_code ignored;
      pair->client.close(ignored);
      held = [pair, octets] {
        boost::system::error_code failed;
        asio::write(pair->server, asio::buffer(octets), failed);
      };
      cut = true;
      return;  // the server's end stays open until release()
    }
    if (commits && at_request)
      return cut_now(pair, pair->server, octets.substr(0, std::exchange(at_request, std::nullopt).value()));
    boost::system::error_code error;
    asio::write(pair->server, asio::buffer(octets), error);
    if (error) return close(pair);
    pump(pair);
  }

  void held_down(const std::shared_ptr<Pair>& pair, std::string octets) {
    if (silent) return late.push_back([this, pair, octets] { held_down(pair, octets); });
    if (!pair->client.is_open()) return;  // its request is held
    const std::size_t at = octets.find(committed);
    if (at != std::string::npos) answer = octets.size() - at;
    if (at != std::string::npos && at_answer)
      return cut_now(pair, pair->client, octets.substr(0, at + std::exchange(at_answer, std::nullopt).value()));
    boost::system::error_code error;
    asio::write(pair->client, asio::buffer(octets), error);
    if (error) return close(pair);
    pump(pair);
  }

  void cut_now(const std::shared_ptr<Pair>& pair, tcp::socket& to_whom, const std::string& octets) {
    boost::system::error_code ignored;
    if (!octets.empty()) asio::write(to_whom, asio::buffer(octets), ignored);
    close(pair);
    if (std::exchange(refuse_then, false)) refuse();
    cut = true;
  }

  void refuse() {
    refusing = true;
    for (const auto& pair : std::exchange(pairs, {})) pair->close();
    late.clear();
  }

  asio::io_context io;
  tcp::endpoint to;
  tcp::acceptor acceptor;
  std::thread thread;
  std::list<std::shared_ptr<Pair>> pairs;
  std::list<std::function<void()>> late;
  std::function<void()> held;
  std::optional<std::size_t> at_answer, at_request;
  bool hold = false, refuse_then = false, silent = false, refusing = false;
  std::atomic<bool> cut{false};
  std::atomic<std::size_t> request{0}, answer{0};
};

CuttingProxy::CuttingProxy(std::uint16_t to) : inside_(std::make_unique<Inside>(to)) {}
CuttingProxy::~CuttingProxy() = default;

std::uint16_t CuttingProxy::port() const { return inside_->acceptor.local_endpoint().port(); }

void CuttingProxy::cut_answer(std::size_t octets) {
  inside_->on_thread([&] {
    inside_->cut = false;
    inside_->at_answer = octets;
  });
}

void CuttingProxy::cut_request(std::size_t octets) {
  inside_->on_thread([&] {
    inside_->cut = false;
    inside_->at_request = octets;
  });
}

void CuttingProxy::hold_request() {
  inside_->on_thread([&] {
    inside_->cut = false;
    inside_->hold = true;
  });
}

void CuttingProxy::release() {
  inside_->on_thread([&] {
    if (auto held = std::exchange(inside_->held, nullptr)) held();
  });
}

bool CuttingProxy::has_cut() const { return inside_->cut; }
std::size_t CuttingProxy::request_octets() const { return inside_->request; }
std::size_t CuttingProxy::answer_octets() const { return inside_->answer; }

void CuttingProxy::silence() {
  inside_->on_thread([&] { inside_->silent = true; });
}

void CuttingProxy::speak() {
  inside_->on_thread([&] {
    inside_->silent = false;
    for (auto& one : std::exchange(inside_->late, {})) one();
    for (const auto& pair : std::list(inside_->pairs)) inside_->pump(pair);
  });
}

void CuttingProxy::refuse_from_cut() {
  inside_->on_thread([&] { inside_->refuse_then = true; });
}

void CuttingProxy::refuse() {
  inside_->on_thread([&] { inside_->refuse(); });
}

void CuttingProxy::accept_again() {
  inside_->on_thread([&] { inside_->refusing = false; });
}

}  // namespace hoplock::support
