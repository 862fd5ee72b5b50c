// SPDX-License-Identifier: Apache-2.0
// `hoplock store copy --to URL`: the mail of this machine's queue.db into a store that several nodes share. The daemon is stopped; what was
// copied is noted in the target with each page, so that the command may be given again wherever it was cut off.
#include <unistd.h>

#include <chrono>
#include <filesystem>

#include "config/store.h"
#include "daemon/options.h"
#include "daemon/store_options.h"
#include "daemon/system.h"
#include "daemon/tool/commands.h"
#include "daemon/tool/json.h"
#include "daemon/tool/text.h"
#include "disk/lock.h"
#include "disk/migrations.h"
#include "postgres/blocking.h"
#include "postgres/migrations.h"
#include "store/copied.h"
#include "store/stored.h"
#include "store_postgres/copy.h"
#include "store_sqlite/copy.h"

namespace hoplock::daemon::tool {

namespace {

constexpr Milliseconds copy_connects{10'000};
constexpr std::chrono::milliseconds told_every{200};

// One line that is written over, where somebody watches.
class CopyProgress {
 public:
  CopyProgress(const Console& console, std::int64_t of) : console_(console), of_(of) {}
  ~CopyProgress() {
    if (shown_) console_.err << '\n' << std::flush;
  }
  CopyProgress(const CopyProgress&) = delete;
  CopyProgress& operator=(const CopyProgress&) = delete;
  void operator()(std::int64_t done) {
    const auto now = std::chrono::steady_clock::now();
    if (isatty(STDERR_FILENO) == 0 || now - last_ < told_every) return;
    last_ = now;
    shown_ = true;
    console_.err << "\rcopied: " << done << " of " << of_ << " messages" << std::flush;
  }

 private:
  const Console& console_;
  std::int64_t of_;
  std::chrono::steady_clock::time_point last_{};
  bool shown_ = false;
};

int copy_code(const Error& error) {
  if (error.code == errc::device_or_resource_busy) return unavailable;
  return error.code == errc::permission_denied || error.code == errc::invalid_argument ? config_error : io_error;
}

void count(store::CopiedTotals& to, const std::vector<store::CopiedMessage>& page) {
  for (const store::CopiedMessage& one : page) {
    ++to.messages;
    to.recipients += static_cast<std::int64_t>(one.recipients.size());
    bool damaged = one.chunks != static_cast<std::int64_t>(one.bodies.size());
    for (const store::CopiedChunk& chunk : one.bodies) {
      ++to.chunks;
      to.octets += static_cast<std::int64_t>(chunk.octets.size());
      damaged = damaged || store::checksum(chunk.octets) != chunk.sum;
    }
    to.damaged += damaged ? 1 : 0;
  }
}

Result<> compare(const store::CopiedTotals& read, const store::CopiedTotals& put) {
  const auto told = [](const store::CopiedTotals& of) {
    return std::to_string(of.messages) + " messages, " + std::to_string(of.recipients) + " recipients, " +
           std::to_string(of.chunks) + " chunks of " + std::to_string(of.octets) + " octets (sum " +
           std::to_string(of.sums) + ") and " + std::to_string(of.history) + " lines of history";
  };
  if (told(read) == told(put)) return {};
  return fail(errc::io_error,
              "queue.db has " + told(read) + ", and copied were " + told(put) + ": it is not marked as moved");
}

// All of the source that the target does not have yet; what was copied now and before, `damaged` only now.
Result<store::CopiedTotals> copy_all(store::CopySource& from, store::CopyTarget& to, std::int64_t source,
                                     const Console& console) {
  const auto all = from.totals();
  if (!all) return all.error();
  auto after = to.mail_done(source);
  if (!after) return after.error();
  store::CopiedTotals copied;
  CopyProgress progress(console, all->messages);
  for (;;) {
    const auto page = from.mail(*after);
    if (!page) return page.error();
    if (page->empty()) break;
    if (const auto put = to.put_mail(source, *after, *page); !put) return put.error();
    count(copied, *page);
    progress(copied.messages);
    after = page->back().id;
  }
  after = to.history_done(source);
  if (!after) return after.error();
  for (;;) {
    const auto page = from.history(*after);
    if (!page) return page.error();
    if (page->empty()) break;
    if (const auto put = to.put_history(source, *after, *page); !put) return put.error();
    for (const store::CopiedHistory& one : *page) copied.history += static_cast<std::int64_t>(one.entries.size());
    after = page->back().id;
  }
  const auto holds = from.holds();
  if (!holds) return holds.error();
  const auto policies = from.policies();
  if (!policies) return policies.error();
  const auto partners = from.partners();
  if (!partners) return partners.error();
  const auto last = from.last_id();
  if (!last) return last.error();
  if (const auto put = to.put_rest(*holds, *policies, *partners, *last); !put) return put.error();
  const auto put = to.totals(source);
  if (!put) return put.error();
  if (const auto same = compare(*all, *put); !same) return same.error();
  store::CopiedTotals told = *put;
  told.damaged = copied.damaged;
  return told;
}

struct Target {
  std::unique_ptr<store::CopyTarget> store;
  std::string database;  // its name for good
};

Result<Target> open_target(const Call& call, const std::string& url) {
  auto place = config::StorePlace::parse(url);
  if (!place) return fail(errc::invalid_argument, "--to: " + place.error().detail);
  if (place->is_sqlite())
    return fail(errc::invalid_argument, "--to: a URL such as postgresql://hoplock@db1,db2/hoplock");
  config::Config config = call.loaded.config;
  config.store.place = std::move(*place);
  const postgres::Options options = postgres_options(config);
  if (const auto fits = postgres::check(options); !fits) return fits.error();
  auto connection = postgres::BlockingConnection::open(options, postgres::Use::read_write, copy_connects);
  if (!connection) return connection.error();
  if (const auto safe = store_postgres::check_standby(*connection, options.synchronous); !safe) return safe.error();
  const auto made = postgres::migrate(*connection, postgres_migrations());
  if (!made) return made.error();
  auto store = store_postgres::copy_target(std::move(*connection), options.synchronous);
  if (!store) return store.error();
  return Target{std::move(*store), made->installation};
}

int say_copied(const Call& call, const store::CopiedTotals& copied, const std::string& url) {
  const Console& console = call.console;
  if (call.arguments.json) {
    json::object to;
    to["to"] = clean(url);
    to["messages"] = copied.messages;
    to["recipients"] = copied.recipients;
    to["octets"] = copied.octets;
    to["history"] = copied.history;
    to["damaged"] = copied.damaged;
    console.out << to_line(to) << '\n';
    return ok;
  }
  console.out << "copied to " << printable(url) << ": "
              << counted(static_cast<std::uint64_t>(copied.messages), "message") << ", "
              << counted(static_cast<std::uint64_t>(copied.recipients), "recipient") << ", "
              << size(static_cast<std::uint64_t>(copied.octets)) << " of bodies, all checksums compared";
  if (copied.damaged > 0) console.out << " (" << copied.damaged << " were damaged before)";
  console.out << ";\nqueue.db is marked as moved: hoplockd refuses it from now on. Counts for TLS reports and the "
                 "figures of audit and "
                 "status page stay there, and can be read from it with the configuration that it had\n";
  return ok;
}

}  // namespace

int store_copy(const Call& call) {
  const Console& console = call.console;
  const auto url = call.arguments.get("--to");
  if (!url) return complain(console, usage, "say where to; usage: hoplock store copy --to URL");
  if (!call.loaded.config.store.place.is_sqlite())
    return complain(console, usage, "only queue.db is copied, and the configuration names another store");
  const std::filesystem::path database = database_path(call.loaded.config);
  const auto options = disk_options(call.loaded.config);
  const auto found = disk::examine(database, options.migrations);
  if (!found) return complain(console, copy_code(found.error()), found.error().detail);
  if (*found == disk::Found::nothing) return complain(console, no, database.string() + ": there is no store in it");
  if (*found == disk::Found::older)
    return complain(console, no, database.string() + ": an older version wrote it; start hoplockd on it once");
  if (const auto moved = store_sqlite::moved_to(database))
    return complain(console, no, database.string() + ": its mail was copied to " + *moved + " already");
  const auto lock = disk::Lock::take(options.directory);
  if (!lock) return complain(console, copy_code(lock.error()), lock.error().detail);
  const auto target = open_target(call, *url);
  if (!target) return complain(console, copy_code(target.error()), target.error().detail);
  auto source = store_sqlite::copy_source(database);
  if (!source) return complain(console, copy_code(source.error()), source.error().detail);
  const auto number = (*source)->number();
  if (!number) return complain(console, copy_code(number.error()), number.error().detail);
  if (const auto marked = (*source)->mark_moving(*url, target->database); !marked)
    return complain(console, copy_code(marked.error()), database.string() + ": " + marked.error().detail);
  const auto copied = copy_all(**source, *target->store, *number, console);
  if (!copied)
    return complain(console, copy_code(copied.error()), copied.error().detail + "; give the command again to go on");
  if (const auto marked = (*source)->mark_moved(*url); !marked)
    return complain(console, io_error, marked.error().detail);
  return say_copied(call, *copied, *url);
}

}  // namespace hoplock::daemon::tool
