#include "daemon/tool/network.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <random>

#include "daemon/options.h"
#include "daemon/system.h"
#include "daemon/tool/text.h"
#include "net/task_group.h"
#include "resolver/unbound.h"

namespace hoplock::daemon::tool {

namespace asio = boost::asio;

namespace {

// A person waits: no server may take as long as it may when mail is delivered.
constexpr std::chrono::seconds most_to_connect{15};
constexpr std::chrono::seconds most_for_a_command{60};

// Warnings and errors for the person at the terminal.
class ErrorLog : public Log {
 public:
  explicit ErrorLog(const Console& console) : console_(console) {}
  bool enabled(Level level) const override { return level >= Level::warn; }
  void write(const Event& event) override {
    if (enabled(event.level())) console_.err << "hoplock: " << to_logfmt(event, console_.now) << '\n';
  }

 private:
  const Console& console_;
};

route::Options routing(const config::Config& config, Whose whose) {
  if (whose == Whose::ours) return route_options(config, own_addresses(endpoints(config), interface_addresses()));
  auto options = route_options(config, {});
  options.hostname = dns::Name();
  return options;
}

delivery::Options conversation(const config::Config& config) {
  auto options = delivery_options(config);
  options.connect_timeout = std::min<Milliseconds>(options.connect_timeout, most_to_connect);
  options.command_timeout = std::min<Milliseconds>(options.command_timeout, most_for_a_command);
  return options;
}

using Task = std::function<asio::awaitable<void>(probe::Tools)>;

asio::awaitable<void> run_and_stop(asio::io_context& loop, Task task, probe::Tools tools, bool& done) {
  struct Stop {
    asio::io_context& loop;
    ~Stop() { loop.stop(); }
  } const stop{loop};
  co_await task(std::move(tools));
  done = true;
}

}  // namespace

Result<> with_network(const config::Config& config, const Console& console, Whose whose, Task task) {
  asio::io_context loop{1};
  ErrorLog log(console);
  auto tls = net::ClientTls::load(tls_options(config));
  if (!tls) return tls.error();
  auto resolver = resolver::Unbound::open(loop.get_executor(), resolver_options(config));
  if (!resolver) return resolver.error();
  route::Router router(**resolver, routing(config, whose), std::mt19937_64(std::random_device{}()));
  bool done = false;
  {
    net::TaskGroup tasks(loop.get_executor(), log);
    probe::Tools tools{**resolver, router, log, std::move(*tls), conversation(config)};
    tasks.spawn("tool", run_and_stop(loop, std::move(task), std::move(tools), done));
    loop.run();
  }
  if (!done) return fail(errc::state_not_recoverable, "the look-up broke off; standard error says why");
  return {};
}

}  // namespace hoplock::daemon::tool
