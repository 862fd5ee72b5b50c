// SPDX-License-Identifier: Apache-2.0
#include "control/server.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/mp11/algorithm.hpp>
#include <cerrno>
#include <filesystem>
#include <iterator>
#include <optional>
#include <utility>

#include "base/version.h"
#include "control/described.h"
#include "control/peer.h"
#include "http/server.h"
#include "net/task_group.h"

namespace hoplock::control {

namespace asio = boost::asio;
namespace mp11 = boost::mp11;
using local = asio::local::stream_protocol;

namespace {

constexpr std::size_t most_connections = 32;
constexpr std::chrono::seconds patience{30};  // between requests, and for a reply to be taken
constexpr std::chrono::milliseconds shortage_pause{100};
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

// What is said to a tool from before HTTP, in its own words.
constexpr const char* to_an_older_tool =
    R"({"ok":false,"error":"hoplockd )" HOPLOCK_VERSION
    R"( does not understand this hoplock, which is older; use the one that came with it"})"
    "\n";

http::Settings settings(net::Clock clock) {
  http::Settings to;
  to.connections = most_connections;
  to.body = max_request;
  to.request = to.idle = patience;
  to.clock = std::move(clock);
  to.not_http = to_an_older_tool;
  return to;
}

Error no(std::string why) { return fail(errc::operation_not_permitted, std::move(why)); }

http::Reply reply_of(unsigned status, std::string body) {
  http::Reply reply;
  reply.status = status;
  reply.type = "application/json";
  reply.body = std::move(body);
  return reply;
}

// One connection.
struct Session {
  Result<std::string> user;             // who may give orders
  std::vector<partners::Order> orders;  // of which more follow
};

// Where a request came from.
struct Call {
  std::shared_ptr<Session> session;
  queue::Queue::Progress progress;
  const std::string& by() const { return *session->user; }
};

template <class T>
using Answer = asio::awaitable<Result<T>>;

}  // namespace

struct Server::State {
  State(asio::any_io_executor executor, queue::Queue& queue_of, Log& log_of, Calls calls_of)
      : queue(queue_of),
        log(log_of),
        calls(std::move(calls_of)),
        acceptor(executor),
        connections(executor, log_of, nullptr, settings(calls.clock)),
        accepting(executor, log_of) {}

  Result<> bind(const std::string& at);
  static asio::awaitable<void> accept(std::shared_ptr<State> self);
  Result<std::string> admit(local::socket& socket) const;
  static asio::awaitable<http::Reply> answer(std::shared_ptr<State> self, std::shared_ptr<Session> session,
                                             http::Request request);
  template <class R>
  asio::awaitable<http::Reply> answer_to(std::string body, Call call);
  Answer<store::Affected> handle(Act act, Call call);
  Answer<std::vector<store::Lease>> handle(AskActive, Call);
  Answer<std::vector<queue::InLine>> handle(AskWaiting, Call);
  Answer<Status> handle(AskStatus, Call);
  Answer<std::optional<std::string>> handle(Reload, Call);
  Answer<route::PolicyEvent> handle(RefreshPolicy refresh, Call);
  Answer<reports::Sender::SendNowResult> handle(SendReports send, Call);
  Answer<partners::Done> handle(ChangePartners change, Call call);
  Answer<Compacted> handle(Compact, Call call);
  void tell(store::Action action, const store::Affected& affected, const std::string& by);
  void tell_batch(store::Action action, const store::Affected& batch, const std::string& by);
  void close();

  queue::Queue& queue;
  Log& log;
  Calls calls;
  std::string path;
  local::acceptor acceptor;
  http::Server connections;
  net::TaskGroup accepting;
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
    auto session = std::make_shared<Session>(Session{self->admit(socket), {}});
    self->connections.serve(net::Stream(std::move(socket)),
                            [weak = std::weak_ptr<State>(self), session](http::Request request) {
                              return answer(weak.lock(), session, std::move(request));
                            });
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

asio::awaitable<http::Reply> Server::State::answer(std::shared_ptr<State> self, std::shared_ptr<Session> session,
                                                   http::Request request) {
  if (!self) co_return reply_of(409, to_json(Refusal{"hoplockd is about to end"}));
  if (!session->user) co_return reply_of(403, to_json(Refusal{session->user.error().detail}));
  asio::awaitable<http::Reply> (State::*serve)(std::string, Call) = nullptr;
  mp11::mp_for_each<mp11::mp_transform<mp11::mp_identity, Requests>>([&](auto kind) {
    using R = typename decltype(kind)::type;
    if (request.path == R::path) serve = &State::answer_to<R>;
  });
  if (serve == nullptr) {
    co_return reply_of(404, to_json(Refusal{"hoplockd " HOPLOCK_VERSION " does not know '" + request.path +
                                            "': hoplock is of another version; after an upgrade, restart hoplockd"}));
  }
  Call call{std::move(session), std::move(request.progress)};
  co_return co_await (self.get()->*serve)(std::move(request.body), std::move(call));
}

template <class R>
asio::awaitable<http::Reply> Server::State::answer_to(std::string body, Call call) {
  auto request = from_json<R>(body);
  if (!request) co_return reply_of(400, to_json(Refusal{request.error().detail}));
  const auto reply = co_await handle(std::move(*request), std::move(call));
  if (!reply) co_return reply_of(409, to_json(Refusal{reply.error().detail}));
  co_return reply_of(200, to_json(*reply));
}

Answer<std::vector<store::Lease>> Server::State::handle(AskActive, Call) { co_return queue.active(); }

Answer<std::vector<queue::InLine>> Server::State::handle(AskWaiting, Call) {
  if (!calls.waiting) co_return no("this daemon delivers nothing");
  co_return calls.waiting();
}

Answer<Status> Server::State::handle(AskStatus, Call) {
  Status status;
  if (calls.status) status = co_await calls.status();
  status.version = HOPLOCK_VERSION;
  status.pid = getpid();
  status.counts["active"] = static_cast<std::int64_t>(queue.active().size());
  co_return status;
}

Answer<std::optional<std::string>> Server::State::handle(Reload, Call) {
  if (!calls.reload) co_return no("this daemon reloads nothing");
  co_return calls.reload();
}

Answer<store::Affected> Server::State::handle(Act act, Call call) {
  const std::string by = act.selection.by_whom = call.by();
  if (act.action == store::Action::bounce) {
    if (!calls.bounce) co_return no("this daemon bounces nothing");
    auto bounced = co_await calls.bounce(std::move(act.selection), std::move(call.progress));
    if (!bounced) co_return no("the queue cannot be changed now: " + bounced.error().detail);
    co_return bounced;
  }
  const bool bulk = act.selection.by != store::Selection::By::ids;
  // At once with each batch, in the order of the transactions: whatever cuts the order short, what was done has its line.
  queue::Queue::Follow follow;
  follow.progress = std::move(call.progress);
  follow.done = [this, action = act.action, by, bulk](const store::Affected& batch) {
    bulk ? tell_batch(action, batch, by) : tell(action, batch, by);
  };
  const bool due = act.action == store::Action::retry || act.action == store::Action::release;
  if (due && calls.kick) calls.kick();  // what is remembered of sites holds nothing of it back meanwhile
  auto affected = co_await queue.act(act.action, std::move(act.selection), calls.clock(), std::move(follow));
  if (!affected) co_return no("the queue cannot be changed now: " + affected.error().detail);
  if (due && calls.kick) calls.kick();
  co_return affected;
}

Answer<route::PolicyEvent> Server::State::handle(RefreshPolicy refresh, Call) {
  if (!calls.refresh_policy) co_return no("this daemon keeps no policies");
  co_return co_await calls.refresh_policy(std::move(refresh.domain));
}

Answer<reports::Sender::SendNowResult> Server::State::handle(SendReports send, Call) {
  if (!calls.send_reports) co_return no("this daemon sends no reports");
  store::ReportSelection which;
  which.day = send.day;
  which.domain = std::move(send.domain);
  co_return co_await calls.send_reports(std::move(which));
}

Answer<partners::Done> Server::State::handle(ChangePartners change, Call call) {
  if (!calls.change_partners) co_return no("this daemon keeps no partners");
  std::vector<partners::Order>& orders = call.session->orders;
  std::move(change.orders.begin(), change.orders.end(), std::back_inserter(orders));
  partners::Done nothing;
  if (orders.size() > partners::most_orders) {
    orders.clear();
    nothing.refused = "too many at once; allowed: " + std::to_string(partners::most_orders);
    co_return nothing;
  }
  if (change.more == ChangePartners::More::follow) co_return nothing;
  std::vector<partners::Order> all = std::exchange(orders, {});
  auto done = co_await calls.change_partners(std::move(all), call.by());
  if (!done) co_return no("partners cannot be changed now: " + done.error().detail);
  co_return done;
}

// A little at a time, with a breath between, so that mail does not wait for it.
Answer<Compacted> Server::State::handle(Compact, Call call) {
  if (!calls.compact) co_return no("this daemon keeps no store");
  asio::steady_timer breath(acceptor.get_executor());
  std::optional<std::uint64_t> first;
  std::uint64_t last = UINT64_MAX;
  for (;;) {
    const auto free = co_await calls.compact();
    if (!free) co_return no(free.error().detail);
    if (!first) first = *free;
    if (*free == 0 || *free >= last) {
      last = *free;
      break;
    }
    last = *free;
    co_await call.progress(last);
    breath.expires_after(compact_breath);
    co_await breath.async_wait(asio::use_awaitable);
    if (!acceptor.is_open()) break;
  }
  const Compacted compacted{calls.store_octets(), *first - std::min(*first, last)};
  log.write(
      Event(Level::info, "compacted").add("by", call.by()).add("pages", static_cast<std::int64_t>(compacted.pages)));
  co_return compacted;
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
  state_->accepting.stop();
}

Result<> Server::open(const std::string& path) {
  if (auto bound = state_->bind(path); !bound) return bound.error();
  state_->accepting.spawn("control", State::accept(state_));
  return {};
}

asio::awaitable<void> Server::stop(net::SteadyTime deadline) {
  const auto state = state_;
  state->close();
  co_await state->connections.stop(deadline);
  co_await state->accepting.join(deadline);
}

}  // namespace hoplock::control
