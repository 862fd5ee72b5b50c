// SPDX-License-Identifier: Apache-2.0
#include "control/server.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <filesystem>
#include <iterator>
#include <optional>
#include <set>
#include <utility>

#include "base/version.h"
#include "control/peer.h"
#include "control/protocol.h"
#include "net/task_group.h"

namespace hoplock::control {

namespace asio = boost::asio;
using local = asio::local::stream_protocol;

namespace {

constexpr std::size_t most_connections = 32;
constexpr std::chrono::seconds patience{30};  // between requests, and for a reply to be taken
constexpr std::chrono::milliseconds shortage_pause{100};
constexpr std::chrono::seconds progress_every{1};
constexpr std::chrono::milliseconds compact_breath{5};

std::string_view event_of(store::Action action) {
  switch (action) {
    case store::Action::retry:
      return "retried";
    case store::Action::hold:
      return "held";
    case store::Action::release:
      return "released";
    case store::Action::remove:
      return "removed";
    case store::Action::bounce:
      return "bounced";
  }
  return "";
}

Error cannot(const std::string& path, const error_code& code) {
  return fail(code, "cannot listen on the control socket '" + path + "': " + code.message());
}

// One connection; the deadline closes the socket, which ends what waits on it.
struct Connection {
  explicit Connection(local::socket accepted) : socket(std::move(accepted)), timer(socket.get_executor()) {}

  static void expire_after(const std::shared_ptr<Connection>& self, std::chrono::seconds time) {
    self->timer.expires_after(time);
    self->timer.async_wait([weak = std::weak_ptr<Connection>(self)](const error_code& code) {
      const auto connection = weak.lock();
      error_code ignored;
      if (!code && connection) connection->socket.close(ignored);
    });
  }

  local::socket socket;
  asio::steady_timer timer;
  std::string buffer;
  std::vector<partners::Order> orders;  // of which more follow
  enum class At : std::uint8_t { rest, work } at = At::rest;
};

// The next line without its end; nothing at the end of the stream, after the deadline, or when it is too long.
asio::awaitable<std::optional<std::string>> read_line(std::shared_ptr<Connection> connection) {
  std::array<char, 4096> octets;  // NOLINT: uninitialized on purpose, read_some fills it
  std::size_t looked = 0;
  for (;;) {
    const auto end = connection->buffer.find('\n', looked);
    if (end != std::string::npos) {
      std::string line = connection->buffer.substr(0, end);
      connection->buffer.erase(0, end + 1);
      co_return line;
    }
    looked = connection->buffer.size();
    if (looked > max_request) co_return std::nullopt;
    auto into = asio::buffer(octets);
    auto [code, got] = co_await connection->socket.async_read_some(into, asio::as_tuple(asio::use_awaitable));
    if (code) co_return std::nullopt;
    connection->buffer.append(octets.data(), got);
  }
}

asio::awaitable<bool> write_line(std::shared_ptr<Connection> connection, std::string line) {
  line += '\n';
  auto from = asio::buffer(line);
  auto [code, sent] = co_await asio::async_write(connection->socket, from, asio::as_tuple(asio::use_awaitable));
  co_return !code && sent == line.size();
}

using Steady = std::chrono::steady_clock;

asio::awaitable<void> tell_progress(std::shared_ptr<Connection> connection, std::shared_ptr<Steady::time_point> last,
                                    std::uint64_t messages) {
  if (Steady::now() - *last < progress_every) co_return;
  *last = Steady::now();
  Connection::expire_after(connection, patience);
  co_await write_line(connection, progress_to_json(messages));  // whoever went away has given the order all the same
  connection->timer.cancel();
}

queue::Queue::Progress progress_to(std::shared_ptr<Connection> connection) {
  auto last = std::make_shared<Steady::time_point>(Steady::now());
  return [connection = std::move(connection), last](std::uint64_t messages) {
    return tell_progress(connection, last, messages);
  };
}

}  // namespace

struct Server::State {
  State(asio::any_io_executor executor, queue::Queue& queue_of, Log& log_of, Calls calls_of)
      : queue(queue_of), log(log_of), calls(std::move(calls_of)), acceptor(executor), tasks(executor, log_of) {}

  Result<> bind(const std::string& at);
  static asio::awaitable<void> accept(std::shared_ptr<State> self);
  static asio::awaitable<void> serve(std::shared_ptr<State> self, std::shared_ptr<Connection> connection);
  asio::awaitable<std::string> answer(Request request, std::string by, std::shared_ptr<Connection> connection);
  asio::awaitable<std::string> act(Act act, std::string by, std::shared_ptr<Connection> connection);
  asio::awaitable<std::string> refresh(dns::Name domain);
  asio::awaitable<std::string> send_reports(SendReports send);
  asio::awaitable<std::string> change_partners(ChangePartners change, std::string by,
                                               std::shared_ptr<Connection> connection);
  asio::awaitable<std::string> compact(std::string by, std::shared_ptr<Connection> connection);
  Result<std::string> admit(local::socket& socket) const;
  void tell(store::Action action, const store::Affected& affected, const std::string& by);
  void tell_batch(store::Action action, const store::Affected& batch, const std::string& by);
  void close();

  queue::Queue& queue;
  Log& log;
  Calls calls;
  std::string path;
  local::acceptor acceptor;
  std::set<Connection*> connections;
  net::TaskGroup tasks;
};

Result<> Server::State::bind(const std::string& at) {
  std::error_code ignored;
  const auto there = std::filesystem::symlink_status(at, ignored);
  if (there.type() == std::filesystem::file_type::socket) std::filesystem::remove(at, ignored);
  if (at.size() >= sizeof(sockaddr_un::sun_path)) {
    const std::size_t most = sizeof(sockaddr_un::sun_path) - 1;
    return fail(errc::filename_too_long, "the control socket's path '" + at + "' is longer than the " +
                                             std::to_string(most) + " octets that a socket's path may have");
  }
  error_code code;
  acceptor.open(local(), code);
  if (!code) acceptor.bind(local::endpoint(at), code);
  if (code) {
    error_code closed;
    acceptor.close(closed);
    return cannot(at, code);
  }
  path = at;
  // Nobody gets in before listen(): there is no moment with a wider mode.
  if (chmod(at.c_str(), 0660) != 0) return cannot(at, error_code(errno, boost::system::system_category()));
  acceptor.listen(asio::socket_base::max_listen_connections, code);
  if (code) return cannot(at, code);
  return {};
}

void Server::State::close() {
  error_code ignored;
  acceptor.close(ignored);
  if (!path.empty()) unlink(path.c_str());
  path.clear();
  for (Connection* one : connections) {
    if (one->at == Connection::At::rest) one->socket.close(ignored);
  }
}

asio::awaitable<void> Server::State::accept(std::shared_ptr<State> self) {
  for (;;) {
    auto [code, socket] = co_await self->acceptor.async_accept(asio::as_tuple(asio::use_awaitable));
    if (!self->acceptor.is_open()) co_return;
    if (code) {
      asio::steady_timer pause(self->acceptor.get_executor(), shortage_pause);
      co_await pause.async_wait(asio::use_awaitable);
      continue;
    }
    if (self->connections.size() >= most_connections) continue;  // the socket closes
    auto connection = std::make_shared<Connection>(std::move(socket));
    self->tasks.spawn("control", serve(self, std::move(connection)));
  }
}

// The user's name, when it may give orders.
Result<std::string> Server::State::admit(local::socket& socket) const {
  const auto peer = peer_of(socket.native_handle());
  if (!peer) return peer.error();
  struct stat file {};
  if (stat(path.c_str(), &file) != 0) return fail(errc::no_such_file_or_directory, "the control socket is gone");
  const std::string name = user_name(peer->uid);
  if (!may_control(*peer, geteuid(), file.st_gid))
    return fail(errc::operation_not_permitted, "user " + name + " may not control this daemon");
  return name;
}

asio::awaitable<void> Server::State::serve(std::shared_ptr<State> self, std::shared_ptr<Connection> connection) {
  struct Listed {
    Listed(std::set<Connection*>& of, Connection* one) : all(of), connection(one) { all.insert(one); }
    ~Listed() { all.erase(connection); }
    std::set<Connection*>& all;
    Connection* connection;
  } const listed(self->connections, connection.get());
  auto user = self->admit(connection->socket);
  Connection::expire_after(connection, patience);
  if (!user) {
    co_await write_line(connection, refusal_to_json(user.error().detail));
    connection->timer.cancel();
    co_return;
  }
  for (;;) {
    Connection::expire_after(connection, patience);
    auto line = co_await read_line(connection);
    connection->timer.cancel();
    if (!line) co_return;
    connection->at = Connection::At::work;
    auto request = parse_request(*line);
    std::string reply;
    if (request) {
      reply = co_await self->answer(std::move(*request), *user, connection);
    } else {
      reply = refusal_to_json(request.error().detail);
    }
    Connection::expire_after(connection, patience);
    const bool sent = co_await write_line(connection, std::move(reply));
    connection->timer.cancel();
    connection->at = Connection::At::rest;
    if (!sent || !self->acceptor.is_open()) co_return;
  }
}

asio::awaitable<std::string> Server::State::answer(Request request, std::string by,
                                                   std::shared_ptr<Connection> connection) {
  if (std::holds_alternative<AskActive>(request)) co_return to_json(queue.active());
  if (std::holds_alternative<AskWaiting>(request)) {
    if (!calls.waiting) co_return refusal_to_json("this daemon delivers nothing");
    co_return to_json(calls.waiting());
  }
  if (auto* order = std::get_if<Act>(&request)) {
    co_return co_await act(std::move(*order), std::move(by), std::move(connection));
  }
  if (auto* order = std::get_if<RefreshPolicy>(&request)) co_return co_await refresh(std::move(order->domain));
  if (auto* order = std::get_if<SendReports>(&request)) co_return co_await send_reports(std::move(*order));
  if (auto* order = std::get_if<ChangePartners>(&request))
    co_return co_await change_partners(std::move(*order), std::move(by), std::move(connection));
  if (std::holds_alternative<Reload>(request)) {
    if (!calls.reload) co_return refusal_to_json("this daemon reloads nothing");
    co_return reloaded_to_json(calls.reload());
  }
  if (std::holds_alternative<Compact>(request)) co_return co_await compact(std::move(by), std::move(connection));
  Status status;
  if (calls.status) status = co_await calls.status();
  status.version = HOPLOCK_VERSION;
  status.pid = getpid();
  status.counts["active"] = static_cast<std::int64_t>(queue.active().size());
  co_return to_json(status);
}

asio::awaitable<std::string> Server::State::act(Act act, std::string by, std::shared_ptr<Connection> connection) {
  act.selection.by_whom = by;
  auto progress = progress_to(std::move(connection));
  if (act.action == store::Action::bounce) {
    if (!calls.bounce) co_return refusal_to_json("this daemon bounces nothing");
    const auto bounced = co_await calls.bounce(std::move(act.selection), std::move(progress));
    if (!bounced) co_return refusal_to_json("the queue cannot be changed now: " + bounced.error().detail);
    co_return to_json(*bounced);
  }
  const bool bulk = act.selection.by != store::Selection::By::ids;
  // At once with each batch, in the order of the transactions: whatever cuts the order short, what was done has its line.
  queue::Queue::Follow follow;
  follow.progress = std::move(progress);
  follow.done = [this, action = act.action, by, bulk](const store::Affected& batch) {
    bulk ? tell_batch(action, batch, by) : tell(action, batch, by);
  };
  const bool due = act.action == store::Action::retry || act.action == store::Action::release;
  if (due && calls.kick) calls.kick();  // what is remembered of sites holds nothing of it back meanwhile
  const auto affected = co_await queue.act(act.action, std::move(act.selection), calls.clock(), std::move(follow));
  if (!affected) co_return refusal_to_json("the queue cannot be changed now: " + affected.error().detail);
  if (due && calls.kick) calls.kick();
  co_return to_json(*affected);
}

asio::awaitable<std::string> Server::State::refresh(dns::Name domain) {
  if (!calls.refresh_policy) co_return refusal_to_json("this daemon keeps no policies");
  const route::PolicyEvent news = co_await calls.refresh_policy(std::move(domain));
  co_return to_json(news);
}

asio::awaitable<std::string> Server::State::send_reports(SendReports send) {
  if (!calls.send_reports) co_return refusal_to_json("this daemon sends no reports");
  store::ReportSelection which;
  which.day = send.day;
  which.domain = std::move(send.domain);
  const auto result = co_await calls.send_reports(std::move(which));
  if (!result) co_return refusal_to_json(result.error().detail);
  co_return to_json(*result);
}

asio::awaitable<std::string> Server::State::change_partners(ChangePartners change, std::string by,
                                                            std::shared_ptr<Connection> connection) {
  if (!calls.change_partners) co_return refusal_to_json("this daemon keeps no partners");
  std::vector<partners::Order>& orders = connection->orders;
  std::move(change.orders.begin(), change.orders.end(), std::back_inserter(orders));
  if (orders.size() > partners::most_orders) {
    orders.clear();
    partners::Done refused;
    refused.refused = "too many at once; allowed: " + std::to_string(partners::most_orders);
    co_return to_json(refused);
  }
  if (change.more == ChangePartners::More::follow) co_return to_json(partners::Done{});
  std::vector<partners::Order> all = std::exchange(orders, {});
  auto done = co_await calls.change_partners(std::move(all), std::move(by));
  if (!done) co_return refusal_to_json("partners cannot be changed now: " + done.error().detail);
  co_return to_json(*done);
}

// A little at a time, with a breath between, so that mail does not wait for it.
asio::awaitable<std::string> Server::State::compact(std::string by, std::shared_ptr<Connection> connection) {
  if (!calls.compact) co_return refusal_to_json("this daemon keeps no store");
  auto progress = progress_to(std::move(connection));
  asio::steady_timer breath(acceptor.get_executor());
  std::optional<std::uint64_t> first;
  std::uint64_t last = UINT64_MAX;
  for (;;) {
    const auto free = co_await calls.compact();
    if (!free) co_return refusal_to_json(free.error().detail);
    if (!first) first = *free;
    if (*free == 0 || *free >= last) {
      last = *free;
      break;
    }
    last = *free;
    co_await progress(last);
    breath.expires_after(compact_breath);
    co_await breath.async_wait(asio::use_awaitable);
    if (!acceptor.is_open()) break;
  }
  const Compacted compacted{calls.store_octets(), *first - std::min(*first, last)};
  log.write(Event(Level::info, "compacted").add("by", by).add("pages", static_cast<std::int64_t>(compacted.pages)));
  co_return to_json(compacted);
}

void Server::State::tell(store::Action action, const store::Affected& affected, const std::string& by) {
  for (const store::Id id : affected.ids) {
    log.write(Event(Level::info, event_of(action)).add("id", id.text()).add("by", by));
  }
}

void Server::State::tell_batch(store::Action action, const store::Affected& batch, const std::string& by) {
  Event event(Level::info, event_of(action));
  if (batch.ids.size() == 1) event.add("id", batch.ids.front().text());
  std::string ids;
  for (const store::Id id : batch.ids) ids += (ids.empty() ? "" : ",") + id.text();
  log.write(event.add("by", by).add("count", static_cast<std::int64_t>(batch.messages)).add("ids", ids));
}

Server::Server(asio::any_io_executor executor, queue::Queue& queue, Log& log, Calls calls)
    : state_(std::make_shared<State>(std::move(executor), queue, log, std::move(calls))) {}

Server::~Server() {
  state_->close();
  state_->tasks.stop();
}

Result<> Server::open(const std::string& path) {
  if (auto bound = state_->bind(path); !bound) return bound.error();
  state_->tasks.spawn("control", State::accept(state_));
  return {};
}

asio::awaitable<void> Server::stop(net::SteadyTime deadline) {
  const auto state = state_;
  state->close();
  co_await state->tasks.join(deadline);
  state->tasks.stop();
  co_await state->tasks.join(deadline + patience);
}

}  // namespace hoplock::control
