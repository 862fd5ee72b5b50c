#include "daemon/lookout.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <utility>

#include "daemon/options.h"
#include "net/clock.h"

namespace hoplock::daemon {

namespace {

constexpr std::size_t most_damaged = 1000;  // remembered

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

control::Surveyor::Options survey_options(const disk::Disk& disk) {
  control::Surveyor::Options options;
  options.database = disk.path();
  return options;
}

}  // namespace

Lookout::Lookout(Parts parts)
    : parts_(std::move(parts)),
      started_(now()),
      surveyor_(parts_.executor, survey_options(parts_.disk), [&queue = parts_.queue] { return queue.active(); }),
      watch_(surveyor_, parts_.log.counters(), [this] { return facts(); }),
      server_(parts_.executor, parts_.log,
              [this](control::HttpRequest request) { return watch_.answer(std::move(request)); }) {
  parts_.queue.on_damage([this](queue::Id id) { damaged(id); });
}

Result<> Lookout::open(const config::Config& config) {
  std::optional<net::Endpoint> at;
  if (config.http.address) at = net::Endpoint{config.http.address->ip, config.http.address->port};
  if (auto opened = server_.open(at, config.http.hosts); !opened) return opened;
  hostname_ = hostname(config).text();
  min_free_space_ = queue_options(config).min_free_space;
  uses_mx_ = uses_mx(config);
  return {};
}

// CONTRACT: an error log, /healthz red; the message is held already.
void Lookout::damaged(queue::Id id) {
  parts_.log.write(Event(Level::error, "body-damaged")
                       .add("id", id.text())
                       .add("error", "its checksum does not fit; the message is held"));
  if (damaged_.size() >= most_damaged) damaged_.erase(damaged_.begin());
  damaged_.push_back({id, now()});
}

control::Facts::Places Lookout::places() const {
  const listener::Places::Counts from = parts_.listener.places();
  control::Facts::Places to;
  to.limit = from.places;
  to.strangers = from.strangers;
  to.refused = from.refused;
  to.gave_way = from.gave_way;
  to.full = from.full_at && std::chrono::steady_clock::now() - *from.full_at < std::chrono::minutes(1);
  return to;
}

control::Facts Lookout::facts() const {
  control::Facts facts;
  facts.hostname = hostname_;
  facts.started = started_;
  facts.now = now();
  const listener::Counts& clients = parts_.listener.counts();
  facts.connections = clients.connections;
  facts.open_connections = clients.open;
  facts.listeners = parts_.listener.bound().size();
  facts.missing_listeners = parts_.listener.missing();
  facts.places = places();
  const delivery::Counts deliveries = parts_.scheduler.counts();
  facts.lanes = deliveries.lanes;
  facts.destinations = deliveries.destinations;
  facts.stalled = deliveries.stalled;
  facts.free_octets = parts_.disk.free_bytes();
  facts.min_free_octets = min_free_space_;
  facts.accepting = parts_.queue.accepting();
  facts.store = parts_.disk.health();
  const disk::Sizes sizes = parts_.disk.sizes();
  facts.database_octets = sizes.database;
  facts.log_octets = sizes.log;
  facts.commits = parts_.disk.commits();
  if (uses_mx_) facts.validation_failure = parts_.resolver.validation_failure();
  facts.descriptors = one_more_descriptor();
  facts.damaged = damaged_;
  facts.resident_octets = resident_octets();
  facts.processor_seconds = processor_seconds();
  LogState log = parts_.writer.state();
  facts.log_problem = std::move(log.problem);
  facts.log_lines_dropped = log.dropped;
  return facts;
}

}  // namespace hoplock::daemon
