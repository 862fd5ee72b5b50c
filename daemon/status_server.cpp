// SPDX-License-Identifier: Apache-2.0
#include "daemon/status_server.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <fstream>
#include <utility>

#include "daemon/options.h"
#include "net/clock.h"

namespace hoplock::daemon {

namespace asio = boost::asio;

namespace {

constexpr std::size_t most_damaged = 1000;                      // remembered
constexpr Milliseconds wrong_login{1000}, longest_pause{5000};  // before a wrong password at the page is answered

using net::now;

Result<> one_more_descriptor() {
  const int descriptor = ::open("/", O_PATH | O_CLOEXEC);
  if (descriptor < 0) {
    const error_code code(errno, boost::system::system_category());
    return fail(code, code.message());
  }
  ::close(descriptor);
  return {};
}

std::uint64_t resident_octets() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t pages = 0;
  std::uint64_t resident = 0;
  statm >> pages >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

double processor_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

monitor::Surveyor::Options survey_options(store::ReadersPtr readers) {
  monitor::Surveyor::Options options;
  options.readers = std::move(readers);
  return options;
}

}  // namespace

StatusServer::StatusServer(Parts parts)
    : parts_(std::move(parts)),
      started_(now()),
      passwords_(parts_.executor, logins_),
      proven_([this](std::shared_ptr<const listener::Users> users, listener::Passwords::Attempt attempt) {
        return passwords_.check(std::move(users), std::move(attempt));
      }),
      surveyor_(parts_.executor, survey_options(parts_.stores.readers()),
                [&queue = parts_.queue] { return queue.active(); }),
      recorder_(parts_.executor, parts_.stores.statistics(), parts_.log, surveyor_),
      lookups_(parts_.executor, parts_.stores.readers()),
      pages_(page_parts()),
      endpoints_(
          surveyor_, parts_.log.counters(), [this] { return status(); },
          [this](http::Request request) { return pages_.answer(std::move(request)); }),
      server_(parts_.executor, parts_.log,
              [this](http::Request request) { return endpoints_.answer(std::move(request)); }) {
  parts_.queue.on_damage([this](store::Id id) { damaged(id); });
}

page::Pages::Parts StatusServer::page_parts() {
  page::Pages::Parts to{surveyor_, parts_.log.counters(), lookups_, nullptr, nullptr, nullptr};
  to.status = [this] { return status(); };
  to.active = [&queue = parts_.queue] { return queue.active(); };
  to.routes = [&router = parts_.router]() -> const route::Table& { return router.table(); };
  return to;
}

std::variant<StatusServer::Plan, StatusServer::Failure> StatusServer::prepare(const config::Config& config) {
  const config::Http& http = config.http;
  http::Listening listening;
  listening.at = http.address;
  listening.hosts = http.hosts;
  listening.trusted_header = http.trusted_proxy_header;
  if (!http.certificate.certificate.empty()) {
    auto tls = net::ServerTls::load(http.certificate);
    if (!tls) return Failure{"http.certificate", tls.error()};
    listening.tls = std::move(*tls);
  }
  std::shared_ptr<const listener::Users> users;
  if (!http.users_file.empty()) {
    auto loaded = listener::Users::load(http.users_file);
    if (!loaded) return Failure{"http.users_file", loaded.error()};
    users = std::move(*loaded);
  }
  listening.admission = admission(http, std::move(users));
  auto http_plan = server_.prepare(std::move(listening));
  if (!http_plan) return Failure{"http.address", http_plan.error()};
  return Plan{std::move(*http_plan), hostname(config).text(), config.queue.min_free_space, uses_mx(config),
              config.node.accept};
}

void StatusServer::serve(Plan plan) {
  hostname_ = std::move(plan.hostname);
  min_free_space_ = plan.min_free_space;
  uses_mx_ = plan.uses_mx;
  accepts_ = plan.accepts;
  server_.serve(std::move(plan.http));
}

std::function<asio::awaitable<bool>(http::Requester)> StatusServer::admission(
    const config::Http& http, std::shared_ptr<const listener::Users> users) {
  const bool by_proxy = !http.trusted_proxy_header.empty();
  if (!users && !by_proxy) return nullptr;
  return [this, users, by_proxy](http::Requester client) -> asio::awaitable<bool> {
    // the header is the proxy's word only where nobody else can connect
    if (by_proxy && client.has_trusted_header && client.address.unmapped().is_loopback()) co_return true;
    if (!users || !client.login) co_return false;
    listener::Passwords::Attempt attempt{client.address, client.login->first, client.login->second};
    const auto found = co_await proven_.check(users, std::move(attempt));
    const auto now = std::chrono::steady_clock::now();
    if (found == listener::Credentials::right) logins_.right(client.address, client.login->first, now);
    if (found == listener::Credentials::wrong) {
      const auto pause = logins_.wrong(client.address, client.login->first, now, wrong_login);
      asio::steady_timer timer(parts_.executor, std::min(pause, longest_pause));
      co_await timer.async_wait(asio::use_awaitable);
    }
    co_return found == listener::Credentials::right;
  };
}

// CONTRACT: an error log, /healthz red; the message is held already.
void StatusServer::damaged(store::Id id) {
  parts_.log.write(Event(Level::error, "body-damaged")
                       .add("id", id.text())
                       .add("error", "its checksum does not fit; the message is held"));
  parts_.log.count(counted::Once::body_damaged);
  if (damaged_.size() >= most_damaged) damaged_.erase(damaged_.begin());
  damaged_.push_back({id, now()});
}

std::vector<control::Status::Failure> StatusServer::failures() const {
  constexpr std::size_t most = 20;
  std::vector<control::Status::Failure> all;
  for (auto& one : parts_.log.counters().failures_last_day(std::chrono::steady_clock::now())) {
    if (all.size() == most) break;
    all.push_back({std::move(one.outcome), std::move(one.reason), static_cast<std::int64_t>(one.count)});
  }
  return all;
}

monitor::DaemonStatus::Places StatusServer::places() const {
  const listener::Places::Counts from = parts_.listener.places();
  monitor::DaemonStatus::Places to;
  to.limit = from.places;
  to.strangers = from.strangers;
  to.refused = from.refused;
  to.gave_way = from.gave_way;
  to.full = from.full_at && std::chrono::steady_clock::now() - *from.full_at < std::chrono::minutes(1);
  return to;
}

monitor::DaemonStatus StatusServer::status() const {
  monitor::DaemonStatus status;
  status.hostname = hostname_;
  status.started = started_;
  status.now = now();
  const listener::Counts& clients = parts_.listener.counts();
  status.connections = clients.connections;
  status.open_connections = clients.open;
  status.listeners = parts_.listener.bound().size();
  status.missing_listeners = parts_.listener.missing();
  if (std::string missing = server_.missing(); !missing.empty()) status.missing_listeners.push_back(std::move(missing));
  status.places = places();
  const delivery::Counts deliveries = parts_.scheduler.counts();
  status.workers = deliveries.workers;
  status.destinations = deliveries.destinations;
  status.stalled = deliveries.stalled;
  const Stores::Facts store = parts_.stores.facts();
  status.accepts = accepts_;
  status.cluster = store.cluster;
  status.free_octets = parts_.stores.mail().free_bytes();
  status.min_free_octets = min_free_space_;
  status.accepting = parts_.queue.accepting();
  status.store = store.health;
  status.database_octets = store.sizes.database;
  status.log_octets = store.sizes.log;
  status.commits = store.commits;
  if (uses_mx_) {
    status.dns_silence = parts_.dns.silence();
    status.validation_failure = parts_.resolver.validation_failure();
  }
  status.descriptors = one_more_descriptor();
  status.damaged = damaged_;
  status.certificates = parts_.certificates.all();
  status.resident_octets = resident_octets();
  status.processor_seconds = processor_seconds();
  LogState log = parts_.writer.state();
  status.log_problem = std::move(log.problem);
  status.log_lines_dropped = log.dropped;
  return status;
}

}  // namespace hoplock::daemon
