// SPDX-License-Identifier: Apache-2.0
#include "postgres/connection.h"

#include <fcntl.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "postgres/errors.h"

namespace hoplock::postgres {
namespace {

using std::chrono::steady_clock;

Statement timeline_of_server() {
  return statement("SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint");
}

}  // namespace

// Whether libpq's socket is ready, by a descriptor of our own: libpq closes its one whenever it fails, and the number may be another's
// before Asio has let go of it. What Asio still waits for holds it.
class Connection::Watch : public std::enable_shared_from_this<Watch> {
 public:
  explicit Watch(const asio::any_io_executor& loop) : descriptor_(loop) {}

  // Again when libpq has opened another socket.
  void assign(int socket) {
    if (descriptor_.is_open() && watched_ == socket) return;
    release();
    watched_ = socket;
    boost::system::error_code ignored;
    const int own = ::fcntl(socket, F_DUPFD_CLOEXEC, 0);
    if (own >= 0) descriptor_.assign(own, ignored);
  }
  void release() {
    boost::system::error_code ignored;
    if (descriptor_.is_open()) descriptor_.close(ignored);
    reading_ = writing_ = false;
    ++assigned_;
  }
  asio::awaitable<net::Woken> wait(Link::Wants wants, net::SteadyTime deadline) {
    if (wants.read) arm(asio::posix::stream_descriptor::wait_read, &Watch::reading_);
    if (wants.write) arm(asio::posix::stream_descriptor::wait_write, &Watch::writing_);
    return ready_.wait_until(deadline);
  }
  void wake() { ready_.notify_all(); }

 private:
  void arm(asio::posix::stream_descriptor::wait_type type, bool Watch::*armed) {
    if (this->*armed || !descriptor_.is_open()) return;
    this->*armed = true;
    descriptor_.async_wait(type,
                           [self = shared_from_this(), armed, assigned = assigned_](const boost::system::error_code&) {
                             if (self->assigned_ != assigned) return;
                             (*self).*armed = false;
                             self->ready_.notify_all();
                           });
  }

  asio::posix::stream_descriptor descriptor_;
  net::Condition ready_;
  int watched_ = -1;
  bool reading_ = false, writing_ = false;
  std::uint64_t assigned_ = 0;
};

Connection::Connection(Connecting& shared, Link link, std::shared_ptr<Watch> watch)
    : shared_(shared), watch_(std::move(watch)), link_(std::move(link)) {}

Connection::~Connection() { watch_->release(); }

asio::awaitable<Result<std::unique_ptr<Connection>>> Connection::open(Connecting& shared, Use use,
                                                                      std::string application) {
  bool unavailable = false;
  Error last = fail(errc::device_or_resource_busy, "no host is named");
  std::string all;
  for (const Host& host : shared.target.hosts) {
    auto made = co_await open_host(shared, host, use, application);
    if (made) co_return made;
    last = made.error();
    unavailable = unavailable || last.code == errc::device_or_resource_busy;
    all.append(all.empty() ? "" : "; ").append(to_text(host)).append(": ").append(last.detail);
  }
  last.detail = std::move(all);
  // One that does not answer may be the primary.
  if (unavailable) last.code = errc::make_error_code(errc::device_or_resource_busy);
  co_return last;
}

asio::awaitable<std::vector<Host>> Connection::addresses_of(Host host, net::SteadyTime deadline) {
  std::vector<Host> hosts;
  boost::system::error_code not_numeric;
  asio::ip::make_address(host.name, not_numeric);
  if (host.is_local() || !host.numeric.empty() || !not_numeric) {
    hosts.push_back(std::move(host));
    co_return hosts;
  }
  const auto loop = co_await asio::this_coro::executor;
  const auto resolver = std::make_shared<asio::ip::tcp::resolver>(loop);
  asio::steady_timer timer(loop, deadline);
  timer.async_wait([resolver](const boost::system::error_code& error) {
    if (!error) resolver->cancel();
  });
  auto [error, found] = co_await resolver->async_resolve(host.name, host.port, asio::as_tuple(asio::use_awaitable));
  for (const auto& one : found) {
    host.numeric = one.endpoint().address().to_string();
    hosts.push_back(host);
  }
  co_return hosts;
}

asio::awaitable<Result<std::unique_ptr<Connection>>> Connection::open_host(Connecting& shared, Host host, Use use,
                                                                           std::string application) {
  const auto deadline = steady_clock::now() + shared.options.connect_timeout;
  const std::vector<Host> addresses = co_await addresses_of(host, deadline);
  if (addresses.empty()) co_return fail(errc::device_or_resource_busy, "its name has no address");
  Error last;
  for (const Host& address : addresses) {
    const auto until = steady_clock::now() + shared.options.connect_timeout;
    auto link = Link::start(shared.target, address, shared.options, use, application);
    if (!link) {
      last = link.error();
      continue;
    }
    auto watch = std::make_shared<Watch>(co_await asio::this_coro::executor);
    std::unique_ptr<Connection> made(new Connection(shared, std::move(*link), std::move(watch)));
    Result<Link::Wants> wants = Link::Wants{false, true};  // libpq's rule: as if PQconnectPoll had asked to write
    do {
      made->watch_->assign(made->link_.socket());
      const auto woken = co_await made->watch_->wait(*wants, until);
      if (woken == net::Woken::timed_out)
        wants = fail(errc::device_or_resource_busy, "no answer in time");
      else
        wants = made->link_.connect(use);
    } while (wants && (wants->read || wants->write));
    Result<> good;
    if (!wants)
      good = wants.error();
    else
      good = co_await made->check_timeline(use, until);
    if (good) co_return made;
    last = good.error();
  }
  co_return last;
}

asio::awaitable<Result<>> Connection::check_timeline(Use use, net::SteadyTime deadline) {
  Batch batch;
  batch.push_back(timeline_of_server());
  auto answer = co_await run(std::move(batch), deadline);
  if (!answer) co_return answer.error();
  co_return shared_.timeline.check((*answer)[0][0].integer(0), use == Use::read_write);
}

asio::awaitable<void> Connection::drive(net::SteadyTime deadline) {
  bool in_time = true;
  for (;;) {
    const Link::Wants wants = link_.advance();
    if (link_.done() || link_.lost() || !in_time) break;
    watch_->assign(link_.socket());
    const auto woken = co_await watch_->wait(wants, deadline);
    in_time = woken == net::Woken::notified;
  }
}

asio::awaitable<std::vector<Segment>> Connection::exchange(Batches batches, Filling filling, net::SteadyTime deadline) {
  for (const auto& batch : batches) {
    link_.send(*batch, filling);
    shared_.statements += batch->size();
  }
  ++shared_.round_trips;
  warning_.clear();
  co_await drive(deadline);
  warning_ = link_.warning();
  co_return link_.take();
}

asio::awaitable<Result<Answer>> Connection::run(Batch batch, net::SteadyTime deadline) {
  Batches batches;
  batches.push_back(std::make_shared<const Batch>(std::move(batch)));
  const std::vector<Segment> segments = co_await exchange(std::move(batches), Filling(), deadline);
  const Segment& segment = segments.front();
  if (segment.lost) co_return fail(errc::device_or_resource_busy, why());
  if (segment.error) co_return *segment.error;
  co_return segment.answer;
}

asio::awaitable<std::vector<std::string>> Connection::listen(net::SteadyTime deadline) {
  const Link::Wants wants = link_.advance();
  auto payloads = link_.notifications();
  if (!payloads.empty() || link_.lost()) co_return payloads;
  co_await watch_->wait({true, wants.write}, deadline);
  link_.advance();
  co_return link_.notifications();
}

void Connection::nudge() { watch_->wake(); }

}  // namespace hoplock::postgres
