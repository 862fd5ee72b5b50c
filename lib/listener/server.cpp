#include "listener/server.h"

#include <algorithm>
#include <map>
#include <unordered_set>
#include <variant>

#include "listener/conversation.h"
#include "net/acceptor.h"
#include "net/task_group.h"

namespace hoplock::listener {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds refusal_time{5};
constexpr std::size_t most_refusals = 100;  // 421s under way; beyond them the connection is just closed

// One bound address. The profile is replaced by a reload; sessions keep the one they began with.
struct Bound {
  net::Acceptor acceptor;
  std::shared_ptr<const Profile> profile;
};

asio::awaitable<void> refuse(net::Stream stream, std::string reply) {
  stream.expires_after(refusal_time);
  co_await stream.write(reply);
  co_await stream.shutdown();
}

}  // namespace

struct Server::State : std::enable_shared_from_this<Server::State> {
  State(asio::any_io_executor on, queue::Queue& into, Log& to)
      : executor(on), queue(into), log(to), sessions(on, to), refusals(on, to), accepting(on, to) {}

  asio::any_io_executor executor;
  queue::Queue& queue;
  Log& log;
  Passwords passwords{executor};
  FailedLogins failed_logins;
  Limits limits;
  std::map<net::Endpoint, std::shared_ptr<Bound>> bound;  // by the address in the options
  std::map<Ip, std::size_t> clients;
  std::unordered_set<Conversation*> open;
  Counts counts;
  bool stopping = false;
  net::TaskGroup sessions;
  net::TaskGroup refusals;
  net::TaskGroup accepting;

  Services services() { return {queue, log, counts, passwords, failed_logins}; }
  void admit(net::Stream stream, std::shared_ptr<const Profile> profile);
  static asio::awaitable<void> accept_all(std::shared_ptr<State> self, std::shared_ptr<Bound> at);
  static asio::awaitable<void> serve(std::shared_ptr<State> self, net::Stream stream,
                                     std::shared_ptr<const Profile> profile);
};

// A client is counted from here until its session's frame is gone.
namespace {
template <class State>
class Counted {
 public:
  Counted(State& state, const Ip& client, Conversation& conversation)
      : state_(state), client_(client), conversation_(conversation) {
    state_.open.insert(&conversation_);
    state_.counts.open = state_.open.size();
  }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() {
    state_.open.erase(&conversation_);
    state_.counts.open = state_.open.size();
    const auto found = state_.clients.find(client_);
    if (found != state_.clients.end() && --found->second == 0) state_.clients.erase(found);
  }

 private:
  State& state_;
  Ip client_;
  Conversation& conversation_;
};
}  // namespace

asio::awaitable<void> Server::State::serve(std::shared_ptr<State> self, net::Stream stream,
                                           std::shared_ptr<const Profile> profile) {
  const Ip client = stream.peer().ip;
  Conversation conversation(std::move(stream), std::move(profile), self->services());
  const Counted counted(*self, client, conversation);
  if (self->stopping) conversation.end();
  co_await conversation.run();
}

void Server::State::admit(net::Stream stream, std::shared_ptr<const Profile> profile) {
  ++counts.connections;
  const Ip client = stream.peer().ip;
  const bool full = sessions.size() >= limits.connections;
  if (full || clients[client] >= limits.connections_per_client) {
    if (clients[client] == 0) clients.erase(client);
    ++counts.rejected;
    const smtp::Reply reply = smtp::Session::too_many_connections(profile->hostname.text());
    log.write(Event(Level::info, "rejected")
                  .add("client", client.text())
                  .add("code", std::int64_t{reply.code})
                  .add("reply", reply.one_line()));
    // TLS from the first octet: nothing that this client could read is said in clear
    if (profile->address.tls == smtp::TlsMode::implicit || refusals.size() >= most_refusals) return;
    refusals.spawn("refusal", refuse(std::move(stream), reply.to_wire()));
    return;
  }
  ++clients[client];
  sessions.spawn("session", serve(shared_from_this(), std::move(stream), std::move(profile)));
}

asio::awaitable<void> Server::State::accept_all(std::shared_ptr<State> self, std::shared_ptr<Bound> at) {
  for (;;) {
    auto stream = co_await at->acceptor.accept();
    if (!stream) co_return;
    self->admit(std::move(*stream), at->profile);
  }
}

Server::Server(asio::any_io_executor executor, queue::Queue& queue, Log& log)
    : state_(std::make_shared<State>(executor, queue, log)) {}

Server::~Server() {
  for (auto& [address, bound] : state_->bound) bound->acceptor.close();
  state_->accepting.stop();
  state_->refusals.stop();
  state_->sessions.stop();
}

namespace {

using What = ListenError::What;
struct Refused {
  What what;
  Error error;
};

std::variant<std::shared_ptr<const Profile>, Refused> make_profile(const Options& options, const Address& address) {
  auto profile = std::make_shared<Profile>();
  profile->address = address;
  profile->limits = options.limits;
  profile->hostname = options.hostname;
  profile->postmaster = options.postmaster;
  profile->report_sender = options.report_sender;
  if (address.tls == smtp::TlsMode::none) return std::shared_ptr<const Profile>(std::move(profile));
  auto identity = net::ServerTls::load(address.certificate);
  if (!identity) return Refused{What::certificate, identity.error()};
  profile->tls = std::move(*identity);
  if (!address.client_ca.empty()) {
    auto asking = net::ServerTls::load(address.certificate, address.client_ca);
    if (!asking) return Refused{What::client_ca, asking.error()};
    profile->tls = std::move(*asking);
  }
  if (!address.users_file.empty()) {
    auto users = Users::load(address.users_file);
    if (!users) return Refused{What::users_file, users.error()};
    profile->users = std::move(*users);
  }
  return std::shared_ptr<const Profile>(std::move(profile));
}

}  // namespace

std::optional<ListenError> Server::open(Options options) {
  std::map<net::Endpoint, std::shared_ptr<Bound>> next;
  std::vector<std::pair<std::shared_ptr<Bound>, std::shared_ptr<const Profile>>> kept;
  for (std::size_t i = 0; i < options.addresses.size(); ++i) {
    const Address& address = options.addresses[i];
    auto made = make_profile(options, address);
    if (auto* refused = std::get_if<Refused>(&made)) return ListenError{i, refused->what, std::move(refused->error)};
    const auto profile = std::get<std::shared_ptr<const Profile>>(std::move(made));
    if (const auto old = state_->bound.find(address.at); old != state_->bound.end()) {
      kept.emplace_back(old->second, profile);
      next.emplace(address.at, old->second);
      continue;
    }
    auto acceptor = net::Acceptor::listen(state_->executor, address.at);
    if (!acceptor) return ListenError{i, What::address, acceptor.error()};
    next.emplace(address.at, std::make_shared<Bound>(Bound{std::move(*acceptor), profile}));
  }
  // Nothing can fail any more.
  for (auto& [bound, profile] : kept) bound->profile = profile;
  for (auto& [address, bound] : state_->bound) {
    if (next.count(address) == 0) bound->acceptor.close();
  }
  for (auto& [address, bound] : next) {
    if (state_->bound.count(address) == 0) state_->accepting.spawn("accept", State::accept_all(state_, bound));
  }
  state_->bound = std::move(next);
  state_->limits = options.limits;
  return std::nullopt;
}

asio::awaitable<void> Server::stop(net::SteadyTime deadline) {
  state_->stopping = true;
  for (auto& [address, bound] : state_->bound) bound->acceptor.close();
  for (Conversation* one : state_->open) one->end();
  const std::size_t left = co_await state_->sessions.join(deadline);
  if (left > 0) {
    for (Conversation* one : state_->open) one->cut();
    state_->sessions.stop();
  }
  state_->refusals.stop();
  state_->accepting.stop();
  // What still runs then only waits for the disk, whose jobs cannot be called back.
  co_await state_->sessions.join(net::SteadyTime::max());
  co_await state_->refusals.join(net::SteadyTime::max());
  co_await state_->accepting.join(net::SteadyTime::max());
}

std::vector<net::Endpoint> Server::bound() const {
  std::vector<net::Endpoint> found;
  for (const auto& [address, bound] : state_->bound) found.push_back(bound->acceptor.local());
  return found;
}

const Counts& Server::counts() const { return state_->counts; }

}  // namespace hoplock::listener
