// SPDX-License-Identifier: Apache-2.0
#include "daemon/app.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <limits>

#include "base/version.h"
#include "config/check.h"
#include "daemon/file_check.h"
#include "daemon/journal.h"
#include "daemon/memory.h"
#include "daemon/reverse_check.h"
#include "daemon/signing_keys.h"
#include "net/clock.h"
#include "net/tls_server.h"
#include "store/errors.h"

namespace hoplock::daemon {

namespace {

constexpr std::chrono::seconds last_words{2};                // beyond shutdown_timeout, for what must be stored
constexpr std::chrono::milliseconds shortest_pause{50};      // between two reloads
constexpr std::chrono::seconds to_close{20};                 // beyond it, for last words and the database
constexpr std::chrono::milliseconds broken_patience{1'000};  // for sessions, when nothing can be stored any more
constexpr std::chrono::seconds sweep_pause{60},
    sweep_soon{1};                                     // between two parts of the sweep; until it has seen all rows
constexpr std::chrono::milliseconds prune_breath{80};  // between two slices of forgetting old history
constexpr std::chrono::milliseconds prune_least{1'000}, prune_most{std::chrono::hours{1}};
constexpr std::chrono::seconds store_again{1};       // a shared store that is away is asked again
constexpr std::chrono::seconds store_wait_told{10};  // that we still wait for it
constexpr std::chrono::seconds look_often{5};        // for what other nodes gave back
constexpr std::size_t sweep_octets = 4U << 20U;

using net::now;

// Sessions in and out and the resolver's sockets want more descriptors than the 1024 that a login shell hands down.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::uint64_t descriptor_limit() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : std::numeric_limits<std::uint64_t>::max();
}

// Only the loop's thread takes signals, and only while the loop runs: the others start with them blocked, and a second SIGTERM
// while the end is under way must not turn it into a death by signal.
void take_signals(int how) {
  sigset_t ours{};
  sigemptyset(&ours);
  sigaddset(&ours, SIGTERM);
  sigaddset(&ours, SIGINT);
  sigaddset(&ours, SIGHUP);
  pthread_sigmask(how, &ours, nullptr);
}

// The key at fault.
std::string place_of(const listener::ListenError& error) {
  const std::string listener = "listeners[" + std::to_string(error.index) + "].";
  switch (error.what) {
    case listener::ListenError::What::address:
      return listener + "address";
    case listener::ListenError::What::certificate:
      return listener + "certificate";
    case listener::ListenError::What::users_file:
      return listener + "users_file";
    case listener::ListenError::What::client_ca:
      break;
  }
  return listener + "client_ca";
}

DnsWatch::Consequences dns_consequences(const config::Config& config) {
  if (uses_mx(config))
    return {"mail routed by MX waits until somebody does", "mail routed by MX waits until it works again"};
  if (has_named_hosts(config))
    return {"mail to next hops that are names waits until somebody does",
            "mail to next hops that are held to DANE waits until it works again"};
  return {"routes to addresses take all mail, which goes on; policies and reports wait until somebody does",
          "routes to addresses take all mail, which goes on"};
}

}  // namespace

App::App(config::Loaded loaded, std::string path) : loop_(1), loaded_(std::move(loaded)), path_(std::move(path)) {}

App::~App() = default;

int App::run() {
  umask(0027);
  return_large_blocks();
  keep_to_small_pages();
  ::signal(SIGPIPE, SIG_IGN);
  // a file that may not grow (LimitFSIZE) is an error of that write, and the store tells it
  ::signal(SIGXFSZ, SIG_IGN);
  raise_descriptor_limit();
  take_signals(SIG_BLOCK);
  auto log = LogWriter::open(log_options(loaded_.config));
  if (!log) {
    std::cerr << stderr_priority(Level::error) << loaded_.where("log.file") << ": " << log.error().detail << "\n";
    return cannot_create;
  }
  writer_ = std::move(*log);
  log_ = std::make_unique<monitor::CountingLog>(*writer_, loop_.get_executor());
  if (const auto failure = open()) {
    start_failed(*failure);
    return exit_;
  }
  tasks_->spawn("start", start());
  tasks_->spawn("hangups", serve_hangups());
  tasks_->spawn("end", serve_end());
  take_signals(SIG_UNBLOCK);
  loop_.run();
  take_signals(SIG_BLOCK);
  for (const auto& news : stores_->close()) tell(news);
  if (exit_ == ok && stores_->broken()) exit_ = io_error;
  writer_->flush();
  return exit_;
}

// When the store can be written no more, the end that makes the service manager start us again.
void App::heard(const disk::News& news) {
  tell(news);
  if (news.gravity == disk::News::Gravity::fatal) raise(SIGTERM);
}

// What befell the store.
void App::tell(const disk::News& news) {
  using Gravity = disk::News::Gravity;
  const bool fatal = news.gravity == Gravity::fatal;
  const Level level = news.gravity == Gravity::information ? Level::info
                      : news.gravity == Gravity::warning   ? Level::warn
                                                           : Level::error;
  log_->write(Event(level, level == Level::info ? "store-recovered" : "store-failed").add("error", news.text));
  if (fatal) exit_ = io_error;
}

void App::start_failed(const StartFailure& failure) {
  exit_ = failure.code;
  log_->write(Event(Level::error, "start-failed").add("error", failure.text));
  writer_->flush();
  // the complaint as the contract words it, for whoever started us by hand
  if (failure.code == config_error || loaded_.config.log.file != "-")
    std::cerr << stderr_priority(Level::error) << failure.text << "\n";
}

std::optional<StartFailure> App::open() {
  const auto executor = loop_.get_executor();
  tasks_ = std::make_unique<net::TaskGroup>(executor, *log_);
  ends_ = std::make_unique<boost::asio::signal_set>(loop_, SIGTERM, SIGINT);
  hangups_ = std::make_unique<boost::asio::signal_set>(loop_, SIGHUP);
  if (auto failure = open_store()) return failure;
  if (auto failure = open_keys()) return failure;
  return open_network();
}

std::optional<StartFailure> App::open_keys() {
  config::Loaded looked_at = loaded_;
  keyring_ = load_keyring(looked_at);
  if (!keyring_) return StartFailure{config_error, looked_at.errors.front()};
  return std::nullopt;
}

std::optional<StartFailure> App::open_store() {
  const auto& config = loaded_.config;
  std::error_code error;
  const bool made = std::filesystem::create_directories(config.data_dir, error);
  if (error) {
    return StartFailure{cannot_create, loaded_.where("data_dir") + ": the directory '" + config.data_dir +
                                           "' cannot be made: " + error.message()};
  }
  if (made) chmod(config.data_dir.c_str(), 0750);
  auto opened = Stores::open(loop_.get_executor(), loaded_, *log_);
  if (auto* failure = std::get_if<StartFailure>(&opened)) return std::move(*failure);
  stores_ = std::get<std::unique_ptr<Stores>>(std::move(opened));
  stores_->on_news([this](const disk::News& news) { heard(news); });
  stores_->on_work([this] {
    if (joined_ && !std::exchange(follows_, true)) tasks_->spawn("store-news", follow_store());
  });
  stores_->on_senders([this](std::size_t senders) { scheduler_->share(senders); });
  partners_ = std::make_unique<route::Partners>(stores_->partners(), *log_);
  partners_->set_min_free_space(config.queue.min_free_space);
  partners_->on_change([this](partners::BookPtr book, std::vector<dns::Pattern> changed) {
    follow_partners(std::move(book), std::move(changed));
  });
  const auto files = self_signed_files(config);
  if (!std::filesystem::exists(files.certificate, error)) {
    const auto written = net::write_self_signed(hostname(config).text(), files);
    if (!written) return StartFailure{cannot_create, written.error().detail};
  }
  return std::nullopt;
}

// What the tool asks of services that are there by now.
control::Calls App::control_calls() {
  control::Calls calls;
  delivery::Scheduler& scheduler = *scheduler_;
  calls.waiting = [&scheduler] { return scheduler.in_line(); };
  calls.kick = [&scheduler] { scheduler.notify(); };
  calls.bounce = [&scheduler](store::Selection selection, queue::Queue::Progress progress) {
    return scheduler.bounce(std::move(selection), std::move(progress));
  };
  calls.status = [this] { return status(); };
  calls.reload = [this] { return reload(); };
  route::PolicyCache& policies = *policies_;
  calls.refresh_policy = [&policies](dns::Name domain) { return policies.refresh(std::move(domain)); };
  reports::Sender& sender = *report_sender_;
  calls.send_reports = [&sender](store::ReportSelection which) { return sender.send_now(std::move(which), now()); };
  route::Partners& partners = *partners_;
  calls.change_partners = [&partners](std::vector<partners::Order> orders, std::string by) {
    return partners.carry_out(std::move(orders), std::move(by));
  };
  Stores& stores = *stores_;
  calls.compact = [&stores] { return stores.compact(); };
  calls.store_octets = [&stores] { return stores.facts().sizes.database; };
  calls.clock = now;
  return calls;
}

std::optional<StartFailure> App::open_network() {
  const auto& config = loaded_.config;
  const auto executor = loop_.get_executor();
  auto tls = net::ClientTls::load(config.tls);
  if (!tls) return StartFailure{config_error, loaded_.where("tls.ca_file") + ": " + tls.error().detail};
  client_tls_ = std::move(*tls);
  auto resolver = resolver::Unbound::open(executor, config.dns);
  if (!resolver) return StartFailure{config_error, loaded_.where("dns") + ": " + resolver.error().detail};
  resolver_ = std::move(*resolver);
  dns_watch_ = std::make_unique<DnsWatch>(*resolver_, *log_);
  dns_watch_->set(config.dns, dns_consequences(config));
  watched_ = std::make_unique<WatchedResolver>(*resolver_, *dns_watch_);
  policy_fetch_ = std::make_unique<route::HttpsPolicyFetch>(*resolver_);
  policy_fetch_->set(fetch_options(config), config.fetch.https_port, client_tls_);
  const route::PolicyCache::Parts parts{stores_->policies(), *resolver_, *policy_fetch_, *log_, now};
  policies_ = std::make_unique<route::PolicyCache>(parts, policy_options(config));
  const std::mt19937_64 random(std::random_device{}());
  const route::Router::Parts router_parts{*watched_, policies_.get(), now};
  router_ = std::make_unique<route::Router>(router_parts, routing(config), random);
  route::Router& router = *router_;
  queue_ = std::make_unique<queue::Queue>(stores_->mail(), queue_options(config), [&router](const dns::Name& domain) {
    return router.table().destination(domain, now());
  });
  queue_->on_lost([stores = stores_.get()](const std::vector<store::Lease>& leases) { stores->lost(leases); });
  scheduler_ = std::make_unique<delivery::Scheduler>(delivery::Services{executor, *queue_, *router_, *log_, now});
  scheduler_->set(delivery_options(config), client_tls_);
  scheduler_->sign_with(keyring_);
  partner_news_ = std::make_unique<PartnerNews>(*queue_, *router_, *log_, [this] { scheduler_->notify(); });
  report_post_ = std::make_unique<reports::HttpsPost>(*resolver_);
  const reports::Sender::Parts report_parts{executor, stores_->ledger(), *resolver_, *queue_, *report_post_, *log_,
                                            now};
  report_sender_ = std::make_unique<reports::Sender>(report_parts, random);
  set_reports(config);
  listener_ = std::make_unique<listener::Server>(executor, *queue_, *log_, now);
  listener_->pass_bounces_to(
      [from = report_sender_.get()](std::string content) { return from->take_bounce(std::move(content)); });
  control_ = std::make_unique<control::Server>(executor, *queue_, *log_, control_calls());
  certificates_ = std::make_unique<CertificateWatch>(*log_, [this] { return take_up_certificates(); });
  StatusServer::Parts seen{executor, *log_,       *writer_,       *stores_,    *queue_,   *resolver_,
                           *router_, *dns_watch_, *certificates_, *scheduler_, *listener_};
  status_server_ = std::make_unique<StatusServer>(std::move(seen));
  return std::nullopt;
}

asio::awaitable<control::Status> App::status() {
  control::Status status;
  status.started = status_server_->started();
  status.config = loaded_.file;
  const auto counts = scheduler_->counts();
  status.counts = {{"connections", static_cast<std::int64_t>(listener_->counts().open)},
                   {"sessions", static_cast<std::int64_t>(counts.workers)},
                   {"delivered", static_cast<std::int64_t>(counts.delivered)},
                   {"deferred", static_cast<std::int64_t>(counts.deferred)}};
  const auto problems = co_await status_server_->health();
  for (const monitor::Problem& one : problems) {
    control::Status::Problem problem{std::string(one.name), one.text};
    status.problems.push_back(std::move(problem));
  }
  status.failures = status_server_->failures();
  co_return status;
}

void App::set_reports(const config::Config& config) {
  report_post_->set(post_options(config), client_tls_);
  report_sender_->set(sender_options(config), keyring_);
}

route::Options App::routing(const config::Config& config) const {
  route::Options options = route_options(config, own_addresses(endpoints(config), interface_addresses()));
  options.partners = partners_->book();
  return options;
}

listener::Options App::listening(const config::Config& config) {
  listener::Options options = listener_options(config);
  options.limits.connections = connections_within(config, descriptor_limit());
  if (!config.node.accept) options.addresses.clear();
  return options;
}

void App::give_up(ExitCode code, std::string text) {
  start_failed({code, std::move(text)});
  raise(SIGTERM);
}

// Others may share the store, which may be away: then clients are told at the door to take another node, and READY waits.
asio::awaitable<void> App::start() {
  if (stores_->shared() && !open_doors()) co_return;
  const bool opened = co_await open_queue();
  if (!opened || stops_) co_return;
  if (!stores_->shared() && !open_doors()) co_return;
  begin_services();
}

asio::awaitable<bool> App::open_queue() {
  if (stores_->shared()) tasks_->spawn("store-wait", wait_for_store());
  const auto failure = co_await stores_->join();
  if (stops_) co_return false;
  if (failure) {
    give_up(failure->code, failure->text);
    co_return false;
  }
  asio::steady_timer pause(loop_);
  for (;;) {
    auto opened = co_await partners_->load();
    if (!opened) opened = fail(opened.error().code, stores_->place() + ": " + opened.error().detail);
    if (opened) opened = co_await queue_->start(now());
    if (opened) break;
    if (!stores_->shared() || !store::is_unavailable(opened.error())) {
      give_up(exit_code(opened.error()), opened.error().detail);
      co_return false;
    }
    pause.expires_after(store_again);
    co_await pause.async_wait(boost::asio::use_awaitable);
  }
  joined_ = true;
  co_return true;
}

// The service manager's patience is not for servers that are away.
asio::awaitable<void> App::wait_for_store() {
  asio::steady_timer pause(loop_);
  while (!joined_) {
    supervision_.waits_for(stores_->place());
    pause.expires_after(store_wait_told);
    co_await pause.async_wait(boost::asio::use_awaitable);
  }
}

bool App::open_doors() {
  listener::Options options = listening(loaded_.config);
  if (const auto error = listener_->open(std::move(options))) {
    give_up(config_error, loaded_.where(place_of(*error)) + ": " + error->error.detail);
    return false;
  }
  if (const auto opened = control_->open(control_path(loaded_.config)); !opened) {
    give_up(cannot_create, opened.error().detail);
    return false;
  }
  auto page = status_server_->prepare(loaded_.config);
  if (const auto* failure = std::get_if<StatusServer::Failure>(&page)) {
    give_up(config_error, loaded_.where(failure->key) + ": " + failure->error.detail);
    return false;
  }
  status_server_->serve(std::get<StatusServer::Plan>(std::move(page)));
  return true;
}

void App::begin_services() {
  Log& log = *log_;
  tasks_->spawn("dns", dns_watch_->listen());
  tasks_->spawn("dnssec", dns_watch_->validate());
  certificates_->set(loaded_.config);
  tasks_->spawn("certificates", certificates_->run());
  tasks_->spawn("dns-files", resolver_->watch_files([this, &log](const std::string& files, const Result<>& done) {
    if (done)
      router_->reload(routing(loaded_.config));  // what was found under the old files, secure or not, counts no more
    Event event(done ? Level::info : Level::error, "dns-files-changed");
    event.add("files", files).add_bare("ok", done ? "true" : "false").add("error", done ? "" : done.error().detail);
    log.write(event);
  }));
  tasks_->spawn("memory", give_memory_back());
  const bool delivers = loaded_.config.node.deliver;
  scheduler_->start(delivers ? delivery::Scheduler::Sends::mail : delivery::Scheduler::Sends::nothing);
  follow_routes();  // for what the start had no time
  tasks_->spawn("routes", watch_routes());
  tasks_->spawn("partners", partners_->watch());
  tasks_->spawn("sweep", sweep());
  tasks_->spawn("prune", prune());
  tasks_->spawn("policies", policies_->maintain());
  if (delivers) tasks_->spawn("reports", report_sender_->run());
  if (stores_->shared()) tasks_->spawn("look", look_for_work());
  tasks_->spawn("series", status_server_->record());
  warn_all();
  check_keys();
  check_names();
  follow_log_server();
  log_->write(Event(Level::info, "started").add("version", HOPLOCK_VERSION).add("config", loaded_.file));
  supervision_.ready();
  Stores& stores = *stores_;
  tasks_->spawn("watchdog", supervision_.feed([&stores] { return stores.answer(); }, *tasks_));
}

// More may be due, and what was leased may be in other hands: this node is registered anew, or another one is gone.
asio::awaitable<void> App::follow_store() {
  asio::steady_timer pause(loop_);
  follows_ = false;  // what comes from now on is followed anew
  for (;;) {
    const auto followed = co_await queue_->renew();
    if (followed || !store::is_unavailable(followed.error())) break;
    pause.expires_after(store_again);
    co_await pause.async_wait(boost::asio::use_awaitable);
  }
  scheduler_->look();
}

// Other nodes give mail back, and what tells of it may be lost on the way.
asio::awaitable<void> App::look_for_work() {
  asio::steady_timer pause(loop_);
  for (;;) {
    pause.expires_after(look_often);
    co_await pause.async_wait(boost::asio::use_awaitable);
    scheduler_->look();
  }
}

void App::check_keys() {
  const auto expire = loaded_.config.delivery.expire;
  RecordTools tools{*resolver_, *log_, signing_past_path(loaded_.config), expire};
  tasks_->spawn("dkim-records", watch_records(keyring_, report_domain(loaded_.config), std::move(tools)));
}

void App::follow_log_server() {
  if (auto place = writer_->unfollowed_place()) tasks_->spawn("log-server", follow_syslog(place, *resolver_));
}

void App::check_names() {
  checked_ = std::make_shared<const config::Config>(loaded_.config);
  tasks_->spawn("reverse-dns", check_addresses(checked_, *resolver_, *log_));
}

void App::warn_all() const {
  for (const auto& warning : loaded_.warnings) log_->write(Event(Level::warn, "config-warning").add("error", warning));
  const std::uint64_t descriptors = descriptor_limit();
  const std::uint32_t fit = connections_within(loaded_.config, descriptors);
  if (fit == loaded_.config.limits.connections) return;
  log_->write(Event(Level::warn, "config-warning")
                  .add("error", loaded_.where("limits.connections") + ": the system allows " +
                                    std::to_string(descriptors) + " open files, which is enough for " +
                                    std::to_string(fit) + " connections; raise LimitNOFILE in the unit (ulimit -n)"));
}

asio::awaitable<void> App::serve_end() {
  co_await ends_->async_wait(boost::asio::use_awaitable);
  stops_ = true;
  co_await stop();
}

// However fast they come, reloads take at most half of the loop's time, and the last one comes after the last signal.
asio::awaitable<void> App::serve_hangups() {
  for (;;) {
    co_await hangups_->async_wait(boost::asio::use_awaitable);
    if (!std::exchange(reload_waits_, true)) tasks_->spawn("reload", reload_soon());
  }
}

asio::awaitable<void> App::reload_soon() {
  asio::steady_timer turn(loop_, reload_next_);
  co_await turn.async_wait(boost::asio::use_awaitable);
  reload_waits_ = false;
  if (stops_) co_return;
  const auto began = std::chrono::steady_clock::now();
  reload();
  const auto now = std::chrono::steady_clock::now();
  reload_next_ = now + std::max(now - began, std::chrono::steady_clock::duration(shortest_pause));
}

asio::awaitable<void> App::stop() {
  supervision_.stopping(loaded_.config.shutdown_timeout + to_close);
  log_->write(Event(Level::info, "stopping").add("version", HOPLOCK_VERSION).add("config", loaded_.file));
  // where nothing can be stored, waiting for what is under way only makes more of it come twice
  const auto patience = loaded_.config.shutdown_timeout;
  const auto deadline =
      std::chrono::steady_clock::now() + (stores_->broken() ? std::min(patience, broken_patience) : patience);
  // Clients and peers share the time: both get until the deadline.
  auto listening = std::make_shared<net::TaskGroup>(loop_.get_executor(), *log_);
  listening->spawn("stop-listener", listener_->stop(deadline));
  report_sender_->stop();
  co_await scheduler_->stop(deadline);
  co_await listening->join(deadline + last_words);
  co_await stores_->leave(std::max(deadline, std::chrono::steady_clock::now()) + last_words);
  co_await control_->stop(std::chrono::steady_clock::now() + last_words);
  status_server_->end_recording();
  co_await status_server_->stop(std::chrono::steady_clock::now() + last_words);
  tasks_->stop();
  loop_.stop();
}

std::optional<std::string> App::reload() {
  supervision_.reloading();
  // the file may have been rotated, whatever becomes of the rest
  if (auto log = writer_->prepare(log_options(loaded_.config))) writer_->take(std::move(*log));
  auto loaded = path_.empty() ? config::defaults() : config::load(path_);
  if (loaded.errors.empty()) check_file_contents(loaded);
  std::optional<std::string> error;
  if (!loaded.errors.empty()) {
    for (const auto& one : loaded.errors) log_->write(Event(Level::error, "config-error").add("error", one));
    error = loaded.errors.front();
  } else {
    error = apply(std::move(loaded));
    follow_log_server();
  }
  Event event(error ? Level::error : Level::info, "reloaded");
  event.add("version", HOPLOCK_VERSION).add("config", loaded_.file);
  event.add_bare("ok", error ? "false" : "true").add("error", error.value_or(""));
  log_->write(event);
  supervision_.reloaded();
  return error;
}

// What may change while the daemon runs: everything is prepared, and then taken up. An error leaves everything as it was. Where data lies is
// settled at the start.
std::optional<std::string> App::apply(config::Loaded loaded) {
  const auto& config = loaded.config;
  if (database_path(config) != database_path(loaded_.config))
    return loaded.where("data_dir") + ": data_dir changes only with a restart";
  if (control_path(config) != control_path(loaded_.config))
    return loaded.where("control_socket") + ": control_socket changes only with a restart";
  if (config.store.place != loaded_.config.store.place)
    return loaded.where("store") + ": store changes only with a restart (hoplock store copy takes the mail along)";
  const bool shared = !config.store.place.is_sqlite();  // else the keys beside it have no effect
  if (shared && config.store != loaded_.config.store)
    return loaded.where("store") + ": store and the keys that belong to it change only with a restart";
  if (shared && config.node != loaded_.config.node) return loaded.where("node") + ": node changes only with a restart";
  auto tls = net::ClientTls::load(config.tls);
  if (!tls) return loaded.where("tls.ca_file") + ": " + tls.error().detail;
  config::Loaded looked_at = loaded;  // its warnings are known
  auto keyring = load_keyring(looked_at);
  if (!keyring) return looked_at.errors.front();
  auto log = writer_->prepare(log_options(config));
  if (!log) return loaded.where("log.file") + ": " + log.error().detail;
  auto served = prepare_servers(config);
  if (const auto* failure = std::get_if<StatusServer::Failure>(&served))
    return loaded.where(failure->key) + ": " + failure->error.detail;
  if (!resolver_->is_current(config.dns)) {  // the last that can fail, and by itself it changes all or nothing
    if (const auto reloaded = resolver_->reload(config.dns); !reloaded)
      return loaded.where("dns") + ": " + reloaded.error().detail;
  }
  writer_->take(std::move(*log));
  serve(std::get<ServerPlans>(std::move(served)));
  client_tls_ = std::move(*tls);
  keyring_ = std::move(keyring);
  loaded_ = std::move(loaded);
  take_up();
  return std::nullopt;
}

// By the configuration that counts from now on.
void App::take_up() {
  const auto& config = loaded_.config;
  dns_watch_->set(config.dns, dns_consequences(config));
  policy_fetch_->set(fetch_options(config), config.fetch.https_port, client_tls_);
  policies_->reload(policy_options(config));
  router_->reload(routing(config));
  scheduler_->set(delivery_options(config), client_tls_);
  scheduler_->sign_with(keyring_);
  set_reports(config);
  queue_->set_min_free_space(config.queue.min_free_space);
  partners_->set_min_free_space(config.queue.min_free_space);
  queue_->set_history(queue_options(config).history);
  certificates_->set(config);
  warn_all();
  check_keys();
  check_names();
  follow_routes();
}

std::variant<App::ServerPlans, StatusServer::Failure> App::prepare_servers(const config::Config& config) {
  auto mail = listener_->prepare(listening(config));
  if (const auto* error = std::get_if<listener::ListenError>(&mail))
    return StatusServer::Failure{place_of(*error), error->error};
  auto page = status_server_->prepare(config);
  if (const auto* failure = std::get_if<StatusServer::Failure>(&page)) return *failure;
  return ServerPlans{std::get<std::shared_ptr<listener::Server::Plan>>(std::move(mail)),
                     std::get<StatusServer::Plan>(std::move(page))};
}

void App::serve(ServerPlans plans) {
  listener_->serve(std::move(plans.mail));
  status_server_->serve(std::move(plans.page));
}

// The same configuration, with what its certificate files hold now. An error leaves everything as it was. Routes read theirs for each
// session.
Result<> App::take_up_certificates() {
  auto served = prepare_servers(loaded_.config);
  if (const auto* failure = std::get_if<StatusServer::Failure>(&served))
    return fail(failure->error.code, failure->key + ": " + failure->error.detail);
  serve(std::get<ServerPlans>(std::move(served)));
  return {};
}

// What waits goes where the routes say now, beside the deliveries.
void App::follow_routes() {
  tasks_->spawn("reroute", [](queue::Queue& queue, Log& log, delivery::Scheduler& scheduler) -> asio::awaitable<void> {
    const auto rerouted = co_await queue.reroute(now());
    if (!rerouted) log.write(Event(Level::error, "queue-failed").add("error", rerouted.error().detail));
    scheduler.notify();
  }(*queue_, *log_, *scheduler_));
}

// From now on mail goes on the new terms.
void App::follow_partners(partners::BookPtr book, std::vector<dns::Pattern> changed) {
  router_->set_partners(std::move(book));
  if (!changed.empty()) tasks_->spawn("partners-changed", PartnerNews::follow(*partner_news_, std::move(changed)));
}

// A route whose time is over is told about once a day.
asio::awaitable<void> App::watch_routes() {
  for (;;) {
    for (const auto& route : router_->table().expired(now())) {
      Event event(Level::warn, "route-expired");
      event.add("match", route->match.empty() ? "" : dns::to_text(route->match.front())).add("note", route->note);
      log_->write(event);
    }
    boost::asio::steady_timer day(loop_, std::chrono::hours(24));
    co_await day.async_wait(boost::asio::use_awaitable);
  }
}

// What left the queue longer ago than history.keep is forgotten, in parts that keep nobody waiting.
asio::awaitable<void> App::prune() {
  boost::asio::steady_timer pause(loop_);
  for (;;) {
    const auto keep = loaded_.config.history;
    for (std::optional<store::PruneFrom> from(std::in_place); from;) {
      auto pruned = co_await queue_->prune(now() - keep, *from);
      if (!pruned) break;
      from = std::move(*pruned);
      pause.expires_after(prune_breath);
      co_await pause.async_wait(boost::asio::use_awaitable);
    }
    pause.expires_after(std::clamp<std::chrono::milliseconds>(keep / 20, prune_least, prune_most));
    co_await pause.async_wait(boost::asio::use_awaitable);
  }
}

// CONTRACT: damaged bodies are also found by a sweep in the background; and so is, what the start had no time for, damage to the rows
// that find mail. Such a database is left as it is.
asio::awaitable<void> App::sweep() {
  boost::asio::steady_timer pause(loop_);
  std::string told;
  for (auto wait = sweep_soon;;) {
    pause.expires_after(wait);
    co_await pause.async_wait(boost::asio::use_awaitable);
    const auto swept = co_await queue_->sweep(sweep_octets);  // tells of bodies as any other read does
    if (swept && swept->rows) wait = sweep_pause;
    if (!swept && swept.error().code == errc::bad_message) co_return damaged(swept.error());
    const auto unread = swept ? swept->unread : std::optional<Error>(swept.error());
    const std::string what = unread ? unread->detail : "";
    if (unread && what != told) log_->write(Event(Level::error, "store-failed").add("error", "the sweep: " + what));
    told = what;
  }
}

void App::damaged(const Error& error) {
  exit_ = io_error;
  const std::string what = stores_->place() + ": the database is damaged: " + error.detail;
  log_->write(Event(Level::error, "store-damaged").add("error", what));
  raise(SIGTERM);
}

}  // namespace hoplock::daemon
