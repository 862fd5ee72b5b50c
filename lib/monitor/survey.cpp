// SPDX-License-Identifier: Apache-2.0
#include "monitor/survey.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "monitor/since.h"
#include "route/table.h"

namespace hoplock::monitor {

namespace asio = boost::asio;
using std::chrono::steady_clock;

namespace {

constexpr int rest_share = 20;  // of the time that a survey takes: it uses a twentieth of one processor at most
constexpr int niceness = 10;    // Linux: of the calling thread alone
constexpr std::size_t events_looked_at = 64;         // of the oldest message of a domain that was tried in vain
constexpr std::size_t most_story_octets = 16 << 20;  // of all of them; then the last attempt stands for since when

// Why it could not be read; "": it was.
template <class Reader, class Read>
std::string read_with(Result<std::unique_ptr<Reader>> reader, Read read) {
  const Result<> done = reader ? read(**reader) : Result<>(reader.error());
  return done ? std::string() : done.error().detail;
}

template <class T>
Result<> keep(Result<T> read, T& into) {
  if (!read) return read.error();
  into = std::move(*read);
  return {};
}

// The first next hops are shown and judged; what fails at our own is told however little waits there.
void put_own_first(std::vector<store::Stats::NextHop>& hops) {
  std::stable_partition(hops.begin(), hops.end(),
                        [](const auto& hop) { return route::has_hosts(hop.name) && !hop.reason.empty(); });
}

// What the waits are shown with: the first domains of each next hop, and since when.
Result<> read_waits(store::MailReader& reader, Survey& survey) {
  auto waits = reader.waits(survey.queue, Survey::most_domains);
  if (!waits) return waits.error();
  std::size_t octets = 0;
  for (store::Wait& wait : *waits) {
    for (store::DomainWait& one : wait.shown) {
      if (!one.tried || octets > most_story_octets) continue;
      const auto tail = reader.tail(*one.tried, events_looked_at);
      if (!tail) return tail.error();
      for (const auto& event : tail->traced.events) octets += event.text.size();
      one.since = failing_since(tail->traced, one);
    }
  }
  survey.waits = std::move(*waits);
  return {};
}

}  // namespace

Survey survey(const store::Readers& readers, const std::vector<store::Lease>& active, Time now) {
  const auto began = steady_clock::now();
  Survey found;
  found.taken = now;
  found.unread.queue = read_with(readers.mail(), [&](store::MailReader& reader) -> Result<> {
    if (auto kept = keep(reader.stats(active), found.queue); !kept) return kept;
    put_own_first(found.queue.hops);
    if (auto kept = read_waits(reader, found); !kept) return kept;
    return keep(reader.damaged(Survey::most_damaged), found.damaged);
  });
  if (!found.unread.queue.empty()) {  // half of it would be a wrong figure
    found.queue = {};
    found.waits.clear();
    found.damaged.clear();
  }
  found.unread.reports = read_with(readers.ledger(), [&](store::LedgerReader& reader) {
    return keep(reader.summary(tlsrpt::day_of(now) - std::chrono::days(1)), found.reports);
  });
  found.unread.policies = read_with(
      readers.policies(), [&](store::PolicyReader& reader) { return keep(reader.summary(now), found.policies); });
  for (const std::string* why : {&found.unread.queue, &found.unread.reports, &found.unread.policies})
    if (found.error.empty()) found.error = *why;
  found.domains = found.queue.domains.size();
  if (found.domains > Survey::most_domains) {
    found.queue.domains.resize(Survey::most_domains);
    found.queue.domains.shrink_to_fit();
  }
  found.hops = found.queue.hops.size();
  if (found.hops > Survey::most_domains) {
    found.queue.hops.resize(Survey::most_domains);
    found.queue.hops.shrink_to_fit();
  }
  found.took = std::chrono::duration_cast<Milliseconds>(steady_clock::now() - began);
  return found;
}

struct Surveyor::State {
  asio::any_io_executor loop;
  Options options;
  std::function<std::vector<store::Lease>()> active;
  std::shared_ptr<const Survey> last;
  steady_clock::time_point stale{};  // from then on a new one is made
  bool under_way = false;
  net::Condition made;
};

Surveyor::Surveyor(asio::any_io_executor loop, Options options, std::function<std::vector<store::Lease>()> active)
    : state_(std::make_shared<State>()) {
  state_->loop = std::move(loop);
  state_->options = std::move(options);
  state_->active = std::move(active);
  asio::post(worker_, [] {
    ::pthread_setname_np(::pthread_self(), "survey");
    setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), niceness);
  });
}

Surveyor::~Surveyor() {
  worker_.stop();
  worker_.join();
}

void Surveyor::start() {
  state_->under_way = true;
  auto work = [state = state_, loop = state_->loop, options = state_->options, active = state_->active()]() mutable {
    auto made = std::make_shared<const Survey>(survey(*options.readers, active, options.clock()));
    auto done = [state = std::move(state), made = std::move(made)] {  // what the loop touches ends on the loop
      state->last = made;
      const auto rest = std::max<std::chrono::milliseconds>(state->options.fresh, made->took * rest_share);
      state->stale = steady_clock::now() + rest;
      state->under_way = false;
      state->made.notify_all();
    };
    asio::post(loop, std::move(done));
  };
  asio::post(worker_, std::move(work));
}

asio::awaitable<std::shared_ptr<const Survey>> Surveyor::look(std::chrono::milliseconds patience) {
  const auto state = state_;
  const auto deadline = steady_clock::now() + patience;
  if (state->last && steady_clock::now() < state->stale) co_return state->last;
  if (!state->under_way) start();
  while (state->under_way && steady_clock::now() < deadline) co_await state->made.wait_until(deadline);
  co_return state->last;
}

std::shared_ptr<const Survey> Surveyor::last() const { return state_->last; }

}  // namespace hoplock::monitor
