// SPDX-License-Identifier: Apache-2.0
#include "postgres/blocking.h"

#include <poll.h>

#include <chrono>

#include "postgres/link.h"
#include "postgres/timeline.h"
#include "postgres/transaction.h"

namespace hoplock::postgres {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

// False: the time is over.
bool wait(int socket, Link::Wants wants, SteadyTime deadline) {
  pollfd one{socket, static_cast<short>((wants.read ? POLLIN : 0) | (wants.write ? POLLOUT : 0)), 0};
  for (;;) {
    const auto left = std::chrono::ceil<Milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0) return false;
    const int ready = ::poll(&one, 1, static_cast<int>(left));
    if (ready > 0) return true;
  }
}

Result<Link> connect(const Target& target, const Host& host, const Options& options, Use use, SteadyTime deadline) {
  auto link = Link::start(target, host, options, use, "hoplock");
  if (!link) return link;
  for (Link::Wants wants{false, true}; wants.read || wants.write;) {
    if (!wait(link->socket(), wants, deadline)) return fail(errc::device_or_resource_busy, "no answer in time");
    auto next = link->connect(use);
    if (!next) return next.error();
    wants = *next;
  }
  return link;
}

}  // namespace

struct BlockingConnection::Inside {
  Link link;
};
struct BlockingConnection::Came {
  Segment segment;
  std::string warning;
  bool in_time = true;
};

BlockingConnection::BlockingConnection(std::unique_ptr<Inside> inside) : inside_(std::move(inside)) {}
BlockingConnection::BlockingConnection(BlockingConnection&&) noexcept = default;
BlockingConnection& BlockingConnection::operator=(BlockingConnection&&) noexcept = default;
BlockingConnection::~BlockingConnection() = default;

Result<BlockingConnection> BlockingConnection::open(const Options& options, Use use, Milliseconds timeout) {
  const auto target = parse(options);
  if (!target) return target.error();
  const SteadyTime deadline = std::chrono::steady_clock::now() + timeout;
  Error last = fail(errc::device_or_resource_busy, "no host is named");
  std::string all;
  bool unavailable = false;
  for (const Host& host : target->hosts) {
    auto link = connect(*target, host, options, use,
                        std::min(deadline, std::chrono::steady_clock::now() + options.connect_timeout));
    if (link) return BlockingConnection(std::make_unique<Inside>(Inside{std::move(*link)}));
    last = link.error();
    unavailable = unavailable || last.code == errc::device_or_resource_busy;
    all.append(all.empty() ? "" : "; ").append(to_text(host)).append(": ").append(last.detail);
  }
  last.detail = std::move(all);
  if (unavailable) last.code = errc::make_error_code(errc::device_or_resource_busy);
  return last;
}

bool BlockingConnection::is_open() const { return inside_ && !inside_->link.lost(); }

// REQUIRES: it is open.
BlockingConnection::Came BlockingConnection::exchange(const Batch& batch, Milliseconds timeout) {
  Link& link = inside_->link;
  Came came;
  const SteadyTime deadline = std::chrono::steady_clock::now() + timeout;
  link.send(batch, Filling());
  for (Link::Wants wants = link.advance(); !link.done() && !link.lost() && came.in_time; wants = link.advance())
    came.in_time = wait(link.socket(), wants, deadline);
  came.warning = link.warning();
  std::vector<Segment> segments = link.take();
  came.segment = std::move(segments.front());
  return came;
}

Result<Answer> BlockingConnection::run(const Batch& batch, Milliseconds timeout) {
  Link& link = inside_->link;
  if (link.lost()) return fail(errc::device_or_resource_busy, link.why());
  auto [segment, warning, in_time] = exchange(batch, timeout);
  if (segment.lost && !in_time) return fail(errc::timed_out, "the database did not answer in time");
  if (segment.lost) return fail(errc::device_or_resource_busy, link.why());
  if (segment.error) return *segment.error;
  return std::move(segment.answer);
}

Result<Rows> BlockingConnection::run(Statement statement) {
  Batch batch;
  batch.push_back(std::move(statement));
  auto answer = run(batch);
  if (!answer) return answer.error();
  return std::move(answer->front());
}

Result<> BlockingConnection::commit(const Batch& job, Synchronous synchronous, Milliseconds timeout) {
  Link& link = inside_->link;
  if (link.lost()) return fail(errc::device_or_resource_busy, link.why());
  Transaction transaction(synchronous, Durability::durable);
  transaction.add(job);
  const auto batch = transaction.finish();
  const auto [segment, warning, in_time] = exchange(*batch, timeout);
  if (segment.lost && !in_time) return fail(errc::timed_out, "the database did not answer in time");
  if (segment.lost) return fail(errc::device_or_resource_busy, link.why());
  const auto verdict = transaction.judge(segment, warning);
  if (verdict == Transaction::Verdict::good) return {};
  if (verdict == Transaction::Verdict::failed && segment.error) {
    static_cast<void>(run(statement("ROLLBACK")));  // what failed leaves its transaction open
    return *segment.error;
  }
  std::string said = "it is not known to be on the disk of a synchronous standby";
  if (!warning.empty()) said += " (" + warning + ")";
  return fail(errc::io_error, std::move(said));
}

}  // namespace hoplock::postgres
