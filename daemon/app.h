// SPDX-License-Identifier: Apache-2.0
// Builds everything in floor order, starts it, stops it, reloads it. Owns every service; the services know each other only through the
// references that are handed over here.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "config/reader.h"
#include "control/server.h"
#include "daemon/certificates.h"
#include "daemon/dns_watch.h"
#include "daemon/log_writer.h"
#include "daemon/options.h"
#include "daemon/partner_news.h"
#include "daemon/status_server.h"
#include "daemon/stores.h"
#include "daemon/supervision.h"
#include "daemon/system.h"
#include "delivery/scheduler.h"
#include "dkim/signer.h"
#include "listener/server.h"
#include "monitor/counting_log.h"
#include "net/task_group.h"
#include "queue/queue.h"
#include "reports/sender.h"
#include "resolver/unbound.h"
#include "route/partners.h"
#include "route/router.h"
#include "route/sts.h"

namespace hoplock::daemon {

namespace asio = boost::asio;

class App {
 public:
  // REQUIRES: `loaded` has no errors. `path`: the file that SIGHUP reads again; "": the defaults.
  App(config::Loaded loaded, std::string path);
  ~App();
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  // Runs until SIGTERM or SIGINT; the process's exit code.
  int run();

 private:
  std::optional<StartFailure> open();
  std::optional<StartFailure> open_store();
  std::optional<StartFailure> open_keys();
  std::optional<StartFailure> open_network();
  control::Calls control_calls();
  asio::awaitable<void> start();
  asio::awaitable<bool> open_queue();
  bool open_doors();
  void begin_services();
  asio::awaitable<void> wait_for_store();
  asio::awaitable<void> look_for_work();
  asio::awaitable<void> follow_store();
  asio::awaitable<void> serve_end();
  asio::awaitable<void> serve_hangups();
  asio::awaitable<void> reload_soon();
  asio::awaitable<void> stop();
  asio::awaitable<void> watch_routes();
  asio::awaitable<void> sweep();
  void damaged(const Error& error);
  void follow_routes();
  void follow_partners(partners::BookPtr book, std::vector<dns::Pattern> changed);
  asio::awaitable<void> prune();
  std::optional<std::string> reload();  // the complaint when it is refused
  asio::awaitable<control::Status> status();
  std::optional<std::string> apply(config::Loaded loaded);
  void take_up();
  // What listens, ready to serve.
  struct ServerPlans {
    std::shared_ptr<listener::Server::Plan> mail;
    StatusServer::Plan page;
  };
  std::variant<ServerPlans, StatusServer::Failure> prepare_servers(const config::Config& config);
  void serve(ServerPlans plans);
  Result<> take_up_certificates();
  void warn_all() const;
  void check_keys();
  void check_names();
  void follow_log_server();  // its name, where it has changed
  void set_reports(const config::Config& config);
  void heard(const disk::News& news);
  void tell(const disk::News& news);
  void start_failed(const StartFailure& failure);
  void give_up(ExitCode code, std::string text);
  route::Options routing(const config::Config& config) const;
  static listener::Options listening(const config::Config& config);

  boost::asio::io_context loop_;
  config::Loaded loaded_;
  std::string path_;
  std::unique_ptr<LogWriter> writer_;
  std::unique_ptr<monitor::CountingLog> log_;  // writes to it
  Supervision supervision_;
  int exit_ = ok;

  // in floor order; destroyed in reverse
  std::shared_ptr<const net::ClientTls> client_tls_;
  std::shared_ptr<const dkim::Keyring> keyring_;
  std::shared_ptr<const config::Config> checked_;  // whose addresses are looked at in the DNS
  std::unique_ptr<Stores> stores_;
  std::unique_ptr<resolver::Unbound> resolver_;
  std::unique_ptr<DnsWatch> dns_watch_;
  std::unique_ptr<WatchedResolver> watched_;
  std::unique_ptr<route::HttpsPolicyFetch> policy_fetch_;
  std::unique_ptr<route::PolicyCache> policies_;
  std::unique_ptr<route::Partners> partners_;
  std::unique_ptr<route::Router> router_;
  std::unique_ptr<queue::Queue> queue_;
  std::unique_ptr<reports::HttpsPost> report_post_;
  std::unique_ptr<reports::Sender> report_sender_;
  std::unique_ptr<delivery::Scheduler> scheduler_;
  std::unique_ptr<PartnerNews> partner_news_;
  std::unique_ptr<listener::Server> listener_;
  std::unique_ptr<control::Server> control_;
  std::unique_ptr<CertificateWatch> certificates_;
  std::unique_ptr<StatusServer> status_server_;
  std::unique_ptr<net::TaskGroup> tasks_;
  std::unique_ptr<boost::asio::signal_set> ends_;
  std::unique_ptr<boost::asio::signal_set> hangups_;
  bool joined_ = false;   // the store can be used
  bool follows_ = false;  // what befell the store
  bool stops_ = false;
  bool reload_waits_ = false;
  std::chrono::steady_clock::time_point reload_next_{};
};

}  // namespace hoplock::daemon
