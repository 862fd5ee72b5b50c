// SPDX-License-Identifier: Apache-2.0
// Everything in a PostgreSQL that several nodes share. data_dir holds what is this machine's alone: the lock, the control socket, the
// certificate that it made, and the last timeline that was seen.
#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "daemon/left_mail.h"
#include "daemon/options.h"
#include "daemon/store_options.h"
#include "daemon/stores.h"
#include "disk/lock.h"
#include "net/task_group.h"
#include "postgres/database.h"
#include "postgres/errors.h"
#include "store_postgres/ledger_store.h"
#include "store_postgres/mail_store.h"
#include "store_postgres/partner_store.h"
#include "store_postgres/policy_store.h"
#include "store_postgres/statistics_store.h"

namespace hoplock::daemon {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds look_at_nodes{2};
constexpr int measured_each = 8;  // of these looks: sizes and dead rows

// What the server measures of itself.
struct Measured {
  std::uint64_t database = 0;
  std::uint64_t dead_rows = 0;
};

class PostgresStores final : public Stores {
 public:
  PostgresStores(asio::any_io_executor loop, const config::Loaded& loaded, Log& log, disk::Lock lock)
      : loaded_(loaded),
        log_(log),
        lock_(std::move(lock)),
        node_(node_options(loaded.config).name),
        place_(postgres::describe(postgres_options(loaded.config))),
        readers_(daemon::readers(loaded.config)),
        tasks_(loop, log),
        pause_(loop),
        database_(loop, log, postgres_options(loaded.config), node_options(loaded.config), postgres_migrations()) {
    database_.on_news(
        [this](const postgres::NodeNews& news) { std::visit([this](const auto& one) { heard(one); }, news); });
    database_.on_notify([this](std::string_view /*payload*/) { tell_of_work(); });
  }

  store::MailStore& mail() override { return mail_; }
  store::StatisticsStore& statistics() override { return statistics_; }
  store::LedgerStore& ledger() override { return ledger_; }
  store::PolicyStore& policies() override { return policies_; }
  store::PartnerStore& partners() override { return partners_; }
  store::ReadersPtr readers() const override { return readers_; }

  asio::awaitable<std::optional<StartFailure>> join() override {
    const auto lease = co_await database_.start();
    if (!lease) co_return failure_of(lease.error());
    tasks_.spawn("nodes", look(*this));
    co_return std::nullopt;
  }
  asio::awaitable<void> leave(net::SteadyTime deadline) override {
    pause_.cancel();
    tasks_.stop();
    co_await database_.stop(deadline);
  }
  std::vector<disk::News> close() override { return {}; }
  void on_news(std::function<void(const disk::News&)> call) override { news_ = std::move(call); }
  void on_work(std::function<void()> call) override { work_ = std::move(call); }
  void on_senders(std::function<void(std::size_t)> call) override { senders_ = std::move(call); }
  void lost(const std::vector<store::Lease>& leases) override;

  std::string place() const override { return place_; }
  bool shared() const override { return true; }
  bool broken() const override { return false; }
  // A server that is away is no reason to start again.
  asio::awaitable<void> answer() override { co_return; }
  asio::awaitable<Result<std::uint64_t>> compact() override {
    co_return fail(errc::operation_not_supported, "the server cleans up by itself (autovacuum)");
  }
  Facts facts() const override;

 private:
  StartFailure failure_of(const Error& error) const;
  monitor::ClusterStatus cluster() const;
  static asio::awaitable<void> look(PostgresStores& self);
  void count_senders();
  void compare_routes();
  asio::awaitable<void> measure();
  void tell_of_work() {
    if (work_) work_();
  }
  void heard(const postgres::Joined& joined);
  void heard(const postgres::Left& left);
  void heard(const postgres::Fenced& fenced);
  void heard(const postgres::TakenOver& taken);
  void heard(const postgres::WritesLost& lost);
  void heard(const postgres::Failing& failing);
  void heard(const postgres::Recovered& recovered);

  const config::Loaded loaded_;
  Log& log_;
  disk::Lock lock_;
  std::string node_;
  std::string place_;
  store::ReadersPtr readers_;
  std::function<void(const disk::News&)> news_;
  std::function<void()> work_;
  std::function<void(std::size_t)> senders_;
  std::size_t told_senders_ = 1;
  std::string fenced_;
  std::int64_t incarnation_ = 0;  // the last that this process had
  bool routes_differ_ = false;
  std::uint64_t lost_ = 0;
  Measured measured_;
  net::TaskGroup tasks_;
  asio::steady_timer pause_;
  postgres::Database database_;
  store_postgres::PostgresMailStore mail_{database_, {place_}};
  store_postgres::PostgresStatisticsStore statistics_{database_};
  store_postgres::PostgresLedgerStore ledger_{database_};
  store_postgres::PostgresPolicyStore policies_{database_};
  store_postgres::PostgresPartnerStore partners_{database_};
};

StartFailure PostgresStores::failure_of(const Error& error) const {
  const std::string text = place_ + ": " + error.detail;
  if (error.code == errc::permission_denied) {
    // who is let in and lacks a right, or names no database, has the right password
    const bool by_file = !loaded_.config.store.password_file.empty() && postgres::sqlstate(error).starts_with("28");
    return {config_error, loaded_.where(by_file ? "store_password_file" : "store") + ": " + text};
  }
  if (error.code == errc::invalid_argument) return {config_error, loaded_.where("store") + ": " + text};
  if (error.code == errc::address_in_use || error.code == errc::device_or_resource_busy)
    return {unavailable, loaded_.where("node") + ": " + text};
  return {io_error, text};
}

// --- what befalls it ---------------------------------------------------------------------------------------------------

void PostgresStores::heard(const postgres::Joined& joined) {
  fenced_.clear();
  incarnation_ = joined.lease.incarnation;
  Event event(Level::info, "node-joined");
  event.add("node", node_).add("incarnation", joined.lease.incarnation);
  event.add("slot", std::int64_t{joined.lease.slot}).add("store", place_);
  log_.write(event);
  tell_of_work();
}

void PostgresStores::heard(const postgres::Left& /*left*/) {
  log_.write(Event(Level::info, "node-left").add("node", node_).add("incarnation", incarnation_));
}

void PostgresStores::heard(const postgres::Fenced& fenced) {
  fenced_ = fenced.why.empty() ? "its beat stood still" : fenced.why;
  Event event(Level::error, "fenced");
  event.add("node", node_).add("incarnation", fenced.incarnation).add("error", fenced_);
  log_.write(event);
}

void PostgresStores::heard(const postgres::TakenOver& taken) {
  Event event(Level::warn, "takeover");
  event.add("node", taken.name).add("incarnation", taken.incarnation);
  event.add("seconds", std::chrono::duration_cast<std::chrono::seconds>(taken.quiet).count());
  log_.write(event);
  tell_of_work();
}

void PostgresStores::heard(const postgres::WritesLost& lost) {
  Event event(Level::error, "writes-lost");
  event.add("node", node_).add("incarnation", lost.incarnation).add("count", lost.batches);
  event.add("error", "the server that was promoted lacks what was acknowledged (store_synchronous is not require)");
  log_.write(event);
}

void PostgresStores::heard(const postgres::Failing& failing) {
  if (news_) news_({disk::News::Gravity::error, place_ + ": " + failing.why});
}

void PostgresStores::heard(const postgres::Recovered& /*recovered*/) {
  if (news_) news_({disk::News::Gravity::information, ""});
  tell_of_work();
}

void PostgresStores::lost(const std::vector<store::Lease>& leases) {
  lost_ += leases.size();
  for (const store::Lease& one : leases) {
    Event event(Level::warn, "lease-lost");
    event.add("node", node_).add("incarnation", incarnation_);
    event.add("id", one.id.text()).add("recipient", std::int64_t{one.seq});
    log_.write(event);
  }
}

// --- what is seen of it ------------------------------------------------------------------------------------------------

void PostgresStores::count_senders() {
  std::size_t senders = 0;
  for (const postgres::NodeInfo& node : database_.nodes())
    if (node.state == postgres::NodeState::alive && node.sources != sends_nothing) ++senders;
  senders = std::max<std::size_t>(senders, 1);
  if (std::exchange(told_senders_, senders) != senders && senders_) senders_(senders);
}

bool routes_differ_from(const std::vector<postgres::NodeInfo>& nodes, const std::string& routes, std::string& which) {
  for (const postgres::NodeInfo& node : nodes) {
    if (node.state != postgres::NodeState::alive || node.routes == routes) continue;
    which = node.name;
    return true;
  }
  return false;
}

// Said once for as long as it lasts.
void PostgresStores::compare_routes() {
  std::string other;
  const bool now = routes_differ_from(database_.nodes(), node_options(loaded_.config).routes, other);
  if (now && !routes_differ_) {
    Event event(Level::warn, "routes-differ");
    event.add("node", other);
    event.add("error", "that node has other routes: where mail goes depends on which of them sends it");
    log_.write(event);
  }
  routes_differ_ = now;
}

asio::awaitable<void> PostgresStores::measure() {
  auto asked = postgres::statement(
      "SELECT pg_database_size(current_database())::bigint, "
      "(SELECT coalesce(sum(n_dead_tup), 0)::bigint FROM pg_stat_user_tables)");
  const auto rows = co_await database_.run(std::move(asked));
  if (!rows || rows->empty()) co_return;
  measured_.database = static_cast<std::uint64_t>((*rows)[0].integer(0));
  measured_.dead_rows = static_cast<std::uint64_t>((*rows)[0].integer(1));
}

asio::awaitable<void> PostgresStores::look(PostgresStores& self) {
  for (int turn = 0;; ++turn) {
    self.count_senders();
    self.compare_routes();
    if (turn % measured_each == 0) co_await self.measure();
    self.pause_.expires_after(look_at_nodes);
    co_await self.pause_.async_wait(asio::use_awaitable);
  }
}

monitor::ClusterStatus PostgresStores::cluster() const {
  monitor::ClusterStatus to;
  const postgres::OwnLease lease = database_.lease();
  to.node = node_;
  to.incarnation = lease.incarnation;
  to.server = place_;
  if (const auto writable = database_.writable(); !writable) {
    const error_code code = writable.error().code;
    if (code == errc::io_error)
      to.replication = writable;
    else if (code != errc::owner_dead && code != errc::no_space_on_device)
      to.store = writable;
  }
  to.lease = lease.valid();
  to.lease_seconds = std::chrono::duration<double>(lease.valid_until - postgres::BootClock::now()).count();
  if (lease.incarnation == 0) to.lease_seconds = 0;
  to.fenced = fenced_;
  to.clock_offset = database_.clock_offset();
  std::string other;
  to.routes_differ = routes_differ_from(database_.nodes(), node_options(loaded_.config).routes, other);
  for (const postgres::NodeInfo& node : database_.nodes()) {
    std::string state(postgres::to_text(node.state));
    ++to.nodes[state];
    to.seen.push_back({node.name, std::move(state), node.version, node.quiet, node.self});
  }
  const postgres::Replication replication = database_.replication();
  to.synchronous = replication.synchronous;
  to.lag_octets = replication.lag_bytes;
  const postgres::Counters counters = database_.counters();
  to.unknown = counters.unknown;
  to.replayed = counters.replayed;
  to.takeovers = counters.takeovers;
  to.leases_lost = lost_;
  to.round_trips = counters.round_trips;
  to.dead_rows = measured_.dead_rows;
  return to;
}

Stores::Facts PostgresStores::facts() const {
  Facts to;
  to.sizes.database = measured_.database;
  to.commits = database_.commits();
  to.cluster = cluster();
  return to;
}

}  // namespace

Stores::Opened open_postgres(asio::any_io_executor loop, const config::Loaded& loaded, Log& log) {
  auto lock = disk::Lock::take(loaded.config.data_dir);
  if (!lock) return StartFailure{exit_code(lock.error()), lock.error().detail};
  if (const auto checked = postgres::check(postgres_options(loaded.config)); !checked)
    return StartFailure{config_error, loaded.where("store") + ": " + checked.error().detail};
  if (const std::uint64_t left = left_in_file(loaded.config); left > 0) {
    Event event(Level::warn, "mail-left-behind");
    event.add("file", database_path(loaded.config)).add("messages", static_cast<std::int64_t>(left));
    event.add("error", "nobody sends it: " + std::string(advice_for_left));
    log.write(event);
  }
  return std::make_unique<PostgresStores>(std::move(loop), loaded, log, std::move(*lock));
}

}  // namespace hoplock::daemon
