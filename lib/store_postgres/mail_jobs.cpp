// SPDX-License-Identifier: Apache-2.0
#include "store_postgres/mail_jobs.h"

#include <optional>
#include <utility>

#include "store/stored.h"

namespace hoplock::store_postgres {

using namespace store;

namespace {

Due due_of(const postgres::Row& row) {
  Due due;
  due.seq = static_cast<std::uint32_t>(row.integer(1));
  due.address = row.text(2);
  if (auto domain = dns::Name::parse(row.text(3))) due.domain = std::move(*domain);
  due.attempts = static_cast<std::uint32_t>(row.integer(4));
  due.interval = Milliseconds(row.integer(5));
  if (!row.null(6)) due.last = row.time(6);
  due.orcpt = row.text(7);
  const auto notify = static_cast<std::uint8_t>(row.integer(8));
  due.notify = notify & ~told_of_delay & 0xffU;
  due.told_delay = (notify & told_of_delay) != 0;
  return due;
}

// Nothing: its body is damaged.
std::optional<store::Job> job_of(const postgres::Row& row, const std::string& destination) {
  store::Job job;
  job.id = Id{row.integer(0)};
  job.destination = destination;
  job.received = row.time(10);
  job.size = static_cast<std::uint64_t>(row.integer(11));
  job.chunks = static_cast<std::uint32_t>(row.integer(12));
  job.envelope = with_flags(std::move(job.envelope), row.integer(13));
  job.envelope.sender = row.text(14);
  job.envelope.client = row.text(15);
  job.envelope.envid = row.text(16);
  if (destination.empty() || job.chunks != 1) return job;
  if (row.null(18)) return {};
  job.body = row.bytea(18);
  if (row.integer(17) != checksum(job.body)) return {};
  return job;
}

}  // namespace

Jobs read_jobs(const postgres::Rows& rows, const Passing::Look& look, const std::string& destination) {
  Jobs read;
  std::optional<Id> last;
  bool wanted = false;
  for (const auto row : rows) {
    const Id id{row.integer(0)};
    if (last != id) {
      last = id;
      wanted = !look.outdated(id);
      read.outdated = read.outdated || !wanted;
      if (wanted) {
        auto job = job_of(row, destination);
        wanted = job.has_value();
        if (job)
          read.jobs.push_back(std::move(*job));
        else
          read.damaged.push_back(id);
      }
    }
    if (!wanted) continue;
    Due due = due_of(row);
    if (destination.empty()) due.reply = row.text(9);
    read.jobs.back().recipients.push_back(std::move(due));
  }
  return read;
}

}  // namespace hoplock::store_postgres
