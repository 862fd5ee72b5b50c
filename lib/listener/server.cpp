// SPDX-License-Identifier: Apache-2.0
#include "listener/server.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <optional>
#include <unordered_set>

#include "listener/refusals.h"
#include "listener/server_session.h"
#include "net/listening.h"
#include "net/task_group.h"

namespace hoplock::listener {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds refusal_time{5};
constexpr std::size_t most_refusals = 100;  // 421s under way; beyond them the connection is just closed
constexpr std::chrono::seconds relief_pause{1};

// One address. The profile is replaced by a reload; sessions keep the one they began with.
struct Bound {
  std::shared_ptr<net::Listening> socket;
  std::shared_ptr<const Profile> profile;
};

asio::awaitable<void> refuse(net::Stream stream, std::string reply) {
  stream.expires_after(refusal_time);
  co_await stream.write(reply);
  co_await stream.shutdown();
}

}  // namespace

using BoundAddresses = std::map<net::Endpoint, std::shared_ptr<Bound>>;  // by the address in the options

struct Server::Plan {
  Limits limits;
  SendersLimit senders_limit;
  BoundAddresses bound;
  std::vector<std::pair<std::shared_ptr<Bound>, std::shared_ptr<const Profile>>> kept;
};

struct Server::State : std::enable_shared_from_this<Server::State> {
  State(asio::any_io_executor on, queue::Queue& into, Log& to, net::Clock by)
      : executor(on),
        queue(into),
        log(to),
        clock(std::move(by)),
        sessions(on, to),
        refusals(on, to),
        accepting(on, to) {}

  asio::any_io_executor executor;
  queue::Queue& queue;
  Log& log;
  net::Clock clock;
  Logins logins;
  Senders senders;
  Strangers strangers;
  Passwords passwords{executor, logins};
  BoundAddresses bound;
  Places places;
  std::unordered_set<ServerSession*> open;
  Counts counts;
  BounceSink bounces;
  Refusals lines{executor, log, counts};
  bool stopping = false;
  bool relieving = false;
  net::TaskGroup sessions;
  net::TaskGroup refusals;
  net::TaskGroup accepting;

  Services services() { return {queue, log, clock, counts, passwords, logins, senders, strangers, lines, bounces}; }
  void admit(net::Stream stream, std::shared_ptr<const Profile> profile);
  void turn_away(net::Stream stream, const Profile& profile, const smtp::Reply& reply);
  static asio::awaitable<void> accept_all(std::shared_ptr<State> self, std::shared_ptr<Bound> at);
  static asio::awaitable<void> relieve(std::shared_ptr<State> self);
  static asio::awaitable<void> serve(std::shared_ptr<State> self, net::Stream stream,
                                     std::shared_ptr<const Profile> profile, std::shared_ptr<Places::Place> place);
};

namespace {
// A session is counted from its beginning until its frame is gone.
template <class State>
class Counted {
 public:
  Counted(State& state, ServerSession& session) : state_(state), session_(session) {
    state_.open.insert(&session_);
    state_.counts.open = state_.open.size();
  }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() {
    state_.open.erase(&session_);
    state_.counts.open = state_.open.size();
  }

 private:
  State& state_;
  ServerSession& session_;
};
}  // namespace

asio::awaitable<void> Server::State::serve(std::shared_ptr<State> self, net::Stream stream,
                                           std::shared_ptr<const Profile> profile,
                                           std::shared_ptr<Places::Place> place) {
  ServerSession session(std::move(stream), std::move(profile), self->services(), std::move(place));
  const Counted counted(*self, session);
  if (self->stopping) session.end();
  co_await session.run();
}

void Server::State::admit(net::Stream stream, std::shared_ptr<const Profile> profile) {
  ++counts.connections;
  const Ip client = stream.peer().ip;
  if (!queue.available()) {
    const smtp::Reply reply = smtp::Session::store_away(profile->hostname.text());
    return turn_away(std::move(stream), *profile, reply);
  }
  const auto now = std::chrono::steady_clock::now();
  const bool known = may_relay(*profile, client) || logins.is_known(site_of(client), now);
  auto admission = places.admit(client, known ? Standing::known : Standing::stranger, now);
  if (!relieving && places.under_pressure()) {
    relieving = true;
    accepting.spawn("relieve", relieve(shared_from_this()));
  }
  if (!admission.place) {
    const smtp::Reply reply = smtp::Session::too_many_connections(profile->hostname.text());
    return turn_away(std::move(stream), *profile, reply);
  }
  sessions.spawn("session",
                 serve(shared_from_this(), std::move(stream), std::move(profile), std::move(admission.place)));
}

void Server::State::turn_away(net::Stream stream, const Profile& profile, const smtp::Reply& reply) {
  lines.tell(stream.peer().ip, reply);
  // TLS from the first octet: nothing that this client could read is said in clear
  if (profile.address.tls == smtp::TlsMode::implicit || refusals.size() >= most_refusals) return;
  refusals.spawn("refusal", refuse(std::move(stream), reply.to_wire()));
}

// For as long as strangers hold most of their places, those that do nothing lose theirs.
asio::awaitable<void> Server::State::relieve(std::shared_ptr<State> self) {
  asio::steady_timer pause(self->executor);
  while (self->places.relieve(std::chrono::steady_clock::now())) {
    pause.expires_after(relief_pause);
    co_await pause.async_wait(asio::use_awaitable);
  }
  self->relieving = false;
}

asio::awaitable<void> Server::State::accept_all(std::shared_ptr<State> self, std::shared_ptr<Bound> at) {
  for (;;) {
    auto stream = co_await at->socket->accept(self->log);
    if (!stream) co_return;
    self->admit(std::move(*stream), at->profile);
  }
}

Server::Server(asio::any_io_executor executor, queue::Queue& queue, Log& log, net::Clock clock)
    : state_(std::make_shared<State>(executor, queue, log, std::move(clock))) {}

Server::~Server() {
  for (auto& [address, bound] : state_->bound) bound->socket->close();
  state_->accepting.stop();
  state_->refusals.stop();
  state_->sessions.stop();
  state_->lines.stop();
}

std::variant<std::shared_ptr<Server::Plan>, ListenError> Server::prepare(Options options) {
  auto plan = std::make_shared<Plan>();
  plan->limits = options.limits;
  plan->senders_limit = options.senders_limit;
  for (std::size_t i = 0; i < options.addresses.size(); ++i) {
    const net::Endpoint at = options.addresses[i].at;
    auto made = make_profile(options, i);
    if (auto* refused = std::get_if<ListenError>(&made)) return std::move(*refused);
    const auto profile = std::get<std::shared_ptr<const Profile>>(std::move(made));
    if (const auto old = state_->bound.find(at); old != state_->bound.end()) {
      plan->kept.emplace_back(old->second, profile);
      plan->bound.emplace(at, old->second);
      continue;
    }
    auto socket = net::Listening::open(state_->executor, at);
    if (!socket) return ListenError{i, ListenError::What::address, socket.error()};
    auto bound = std::make_shared<Bound>();
    bound->socket = std::move(*socket);
    bound->profile = profile;
    plan->bound.emplace(at, std::move(bound));
  }
  return plan;
}

void Server::serve(std::shared_ptr<Plan> plan) {
  for (auto& [bound, profile] : plan->kept) bound->profile = profile;
  for (auto& [address, bound] : state_->bound) {
    if (plan->bound.count(address) == 0) bound->socket->close();
  }
  for (auto& [address, bound] : plan->bound) {
    if (state_->bound.count(address) == 0) state_->accepting.spawn("accept", State::accept_all(state_, bound));
  }
  state_->bound = std::move(plan->bound);
  state_->senders.set(plan->senders_limit);
  state_->places.set({plan->limits.connections, plan->limits.connections_per_client});
}

std::optional<ListenError> Server::open(Options options) {
  auto prepared = prepare(std::move(options));
  if (auto* refused = std::get_if<ListenError>(&prepared)) return std::move(*refused);
  serve(std::get<std::shared_ptr<Plan>>(std::move(prepared)));
  return std::nullopt;
}

asio::awaitable<void> Server::stop(net::SteadyTime deadline) {
  state_->stopping = true;
  for (auto& [address, bound] : state_->bound) bound->socket->close();
  for (ServerSession* one : state_->open) one->end();
  const std::size_t left = co_await state_->sessions.join(deadline);
  if (left > 0) {
    for (ServerSession* one : state_->open) one->cut();
    state_->sessions.stop();
  }
  state_->refusals.stop();
  state_->accepting.stop();
  state_->lines.stop();
  // What still runs then only waits for the disk, whose jobs cannot be called back.
  co_await state_->sessions.join(net::SteadyTime::max());
  co_await state_->refusals.join(net::SteadyTime::max());
  co_await state_->accepting.join(net::SteadyTime::max());
  co_await state_->lines.joined();
}

void Server::pass_bounces_to(BounceSink sink) { state_->bounces = std::move(sink); }

std::vector<net::Endpoint> Server::bound() const {
  std::vector<net::Endpoint> found;
  for (const auto& [address, bound] : state_->bound) {
    if (const auto local = bound->socket->local()) found.push_back(*local);
  }
  return found;
}

std::vector<std::string> Server::missing() const {
  std::vector<std::string> found;
  for (const auto& [address, bound] : state_->bound) {
    if (!bound->socket->local()) found.push_back(bound->socket->error());
  }
  return found;
}

const Counts& Server::counts() const { return state_->counts; }
Places::Counts Server::places() const { return state_->places.counts(); }

}  // namespace hoplock::listener
