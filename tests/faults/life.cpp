// SPDX-License-Identifier: Apache-2.0
#include "tests/faults/life.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cstring>
#include <map>
#include <thread>

#include "disk/disk.h"
#include "queue/queue.h"
#include "store_sqlite/mail_store.h"
#include "store_sqlite/rows.h"
#include "tests/queue/world.h"

namespace hoplock::faults {

using namespace hoplock::queue;
using namespace hoplock::store;
using namespace hoplock::store_sqlite;
using queue::test::at;
using queue::test::t0;

namespace {

constexpr int accepted = 20;
constexpr int delivered = 10;
constexpr int bounced = 5;
constexpr unsigned longest_life = 30;  // seconds

// The body tells its own length, so that a torn one shows.
std::string body_of(int number) {
  const std::size_t size = number % 10 == 4 ? 70'000 : 1500;  // some of several chunks
  std::string body = "Subject: " + std::to_string(size) + "\r\n\r\n";
  body.resize(size, static_cast<char>('a' + number % 26));
  return body;
}

// --- the child ---------------------------------------------------------------------------------------------------------

class Life {
 public:
  Life(std::filesystem::path directory, int pipe, Plan plan)
      : directory_(std::move(directory)), pipe_(pipe), plan_(plan) {}

  void whole() {
    if (plan_.fault.effect == storage_hangs) watch_for_hang();
    open(t0);
    for (int i = 0; i < accepted; ++i) accept(i);
    settle("one.test", delivered, Verdict::delivered);
    settle("two.test", bounced, Verdict::bounced);
    order(Action::hold, {accepted - 1, accepted - 3, accepted - 5});
    order(Action::release, {accepted - 3, accepted - 5});
    order(Action::remove, {accepted - 1, accepted - 5, accepted - 7});
    order(Action::hold, {accepted - 9});
    started_ = false;
    forget();
    close();
    open(at(5000));
    order(Action::release, {accepted - 9});
    order(Action::hold, {accepted - 9});
    accept(accepted);
    settle("one.test", 1, Verdict::delivered);
    close();
    tell("f");
  }

  void beginning() {
    open(t0);
    for (int i = 0; i < 6; ++i) accept(100 + i);
  }

  void tell(const std::string& line) {
    const std::string out = line + "\n";
    if (::write(pipe_, out.data(), out.size()) != static_cast<ssize_t>(out.size())) ::_exit(9);
  }

  [[noreturn]] void stop(const char* how) {
    tell(std::string("w ") + storage_where());
    if (storage_struck()) tell("s");
    std::string counts = "n";
    for (int kind = 0; kind < storage_kinds; ++kind)
      counts += " " + std::to_string(storage_calls(static_cast<storage_kind>(kind)));
    tell(counts);
    tell(how);
    ::_exit(0);
  }

 private:
  void open(Time now) {
    started_ = false;
    disk::Options options;
    options.directory = directory_;
    options.migrations = mail_migrations();
    options.migrations.push_back(history_migration());
    options.checkpoint_bytes = 96 << 10;
    auto disk = disk::Disk::open(loop_.executor(), options);
    if (!disk) end(disk.error());
    disk_ = std::move(*disk);
    Options wanted;
    wanted.min_free_space = 0;
    wanted.history = Recording::on;
    mail_ = std::make_unique<SqliteMailStore>(*disk_);
    queue_ = std::make_unique<Queue>(*mail_, wanted, [](const dns::Name& domain) { return domain.text(); });
    if (const auto good = loop_.run(queue_->start(now)); !good) end(good.error());
    loop_.io().poll();
    started_ = true;
  }

  void close() {
    started_ = false;
    queue_.reset();
    disk_.reset();
  }

  // As hoplockd does: the start fails, or the store says that it cannot go on; the reason is told, and that is the end.
  [[noreturn]] void end(const Error& error) {
    tell("e " + error.detail);
    stop("E");
  }

  void failed(const Error& error) { tell("e " + error.detail); }

  void acknowledged() {
    if (!storage_struck()) return;
    tell("+");
    if (plan_.acknowledged_after > 0 && ++after_ >= plan_.acknowledged_after) stop("k");
  }

  void accept(int number) {
    if (!queue_->accepting()) return tell("e " + queue_->accepting().error().detail);
    auto writer = queue_->begin(at(number));
    ids_[number] = writer.id();
    const std::string id = std::to_string(writer.id().value);
    tell("t " + id);
    if (const auto good = loop_.run(writer.write(body_of(number))); !good) return failed(good.error());
    auto to = queue::test::World::recipients({number % 2 == 0 ? "a@one.test" : "b@two.test"});
    auto envelope = queue::test::World::envelope("sender@example.net");
    const auto committed = loop_.run(writer.commit(std::move(envelope), std::move(to)));
    if (!committed) return failed(committed.error());
    tell("c " + id);
    acknowledged();
    loop_.io().poll();
  }

  static Notice about(const Job& job) {
    Notice notice;
    notice.about = job.id;
    notice.seqs = {0};
    notice.recipient.address = "sender@example.net";
    notice.recipient.domain = queue::test::name("example.net");
    notice.what = "failed";
    notice.envelope.kind = Kind::notice;
    notice.compose = [](std::string_view) {
      NoticeText text;
      text.head = "Subject: notice\r\n\r\nfailed\r\n";
      return text;
    };
    return notice;
  }

  void settle(const std::string& destination, int count, Verdict verdict) {
    for (int done = 0; done < count;) {
      LeaseLimit limit;
      limit.messages = static_cast<std::size_t>(std::min(5, count - done));
      limit.bytes = 10 << 20;
      auto jobs = loop_.run(queue_->lease(destination, at(1000), limit));
      if (!jobs) return failed(jobs.error());
      if (jobs->empty()) return;
      Results results;
      results.now = at(1000);
      for (const auto& job : *jobs) {
        results.settled.push_back(queue::test::World::all(job, verdict));
        if (verdict == Verdict::bounced) results.notices.push_back(about(job));
        tell((verdict == Verdict::bounced ? "B " : "a ") + std::to_string(job.id.value));
      }
      if (!store(results)) return;
      for (const auto& job : *jobs) tell("d " + std::to_string(job.id.value));
      acknowledged();
      done += static_cast<int>(jobs->size());
      loop_.io().poll();
    }
  }

  // An operator's, to those of our own that were accepted: "h" and "r" before it, "H" and "R" when it was said to be done.
  void order(Action action, const std::vector<int>& numbers) {
    const char word = action == Action::hold ? 'h' : action == Action::release ? 'r' : 'x';
    const auto tell_all = [this](char what, const std::vector<Id>& ids) {
      for (const Id id : ids) tell(what + (" " + std::to_string(id.value)));
    };
    Selection selection;
    selection.by_whom = "faults";
    for (const int number : numbers)
      if (const auto known = ids_.find(number); known != ids_.end()) selection.ids.push_back(known->second);
    std::sort(selection.ids.begin(), selection.ids.end());
    tell_all(word, selection.ids);
    Queue::Follow follow;
    follow.done = [&](const Affected& batch) { tell_all(static_cast<char>(word - 'a' + 'A'), batch.ids); };
    const auto done = loop_.run(queue_->act(action, std::move(selection), at(2000), std::move(follow)));
    if (!done) return failed(done.error());
    acknowledged();
    loop_.io().poll();
  }

  bool store(const Results& results) {
    for (int attempt = 0; attempt < 3; ++attempt) {
      Results copy = results;
      const auto good = loop_.run(queue_->apply(std::move(copy)));
      if (good) return true;
      failed(good.error());
    }
    return false;
  }

  void forget() {
    std::optional<PruneFrom> from = PruneFrom{};
    while (from) {
      auto next = loop_.run(queue_->prune(at(4000), *from));
      if (!next) return failed(next.error());
      from = *next;
    }
  }

  // While a call of the store hangs the loop must go on: it answers before the call is let go.
  void watch_for_hang() {
    std::thread([this] {
      while (storage_hanging() == 0) ::usleep(200);
      if (started_ && storage_hanging() == 2) tell("l");
      storage_release();
    }).detach();
  }

  std::filesystem::path directory_;
  int pipe_;
  Plan plan_;
  int after_ = 0;
  std::map<int, Id> ids_;  // of what it accepted, by number
  std::atomic<bool> started_ = false;
  support::Loop loop_;
  std::unique_ptr<disk::Disk> disk_;
  std::unique_ptr<SqliteMailStore> mail_;
  std::unique_ptr<Queue> queue_;
};

// --- the parent --------------------------------------------------------------------------------------------------------

void note(Ledger& ledger, const std::string& line) {
  const std::string rest = line.size() > 2 ? line.substr(2) : "";
  const auto message = [&]() -> Ledger::Fate& { return ledger.messages[std::stoll(rest)]; };
  switch (line[0]) {
    case 't':
      message().tried = true;
      break;
    case 'c':
      message().accepted = true;
      break;
    case 'a':
      message().settling = true;
      break;
    case 'B':
      message().settling = message().bounced = true;
      break;
    case 'd':
      message().settled = true;
      break;
    case 'h':
    case 'r':
      message().hold = Ledger::Hold::maybe;
      break;
    case 'H':
      message().hold = Ledger::Hold::yes;
      break;
    case 'R':
      message().hold = Ledger::Hold::no;
      break;
    case 'x':
      message().removing = true;
      break;
    case 'X':
      message().removed = true;
      break;
    case 'e':
      ledger.errors.push_back(rest);
      break;
    case 'w':
      ledger.where = rest;
      break;
    case 's':
      ledger.struck = true;
      break;
    case 'l':
      ledger.loop_hung = true;
      break;
    case '+':
      ++ledger.acknowledged_after_strike;
      break;
    case 'n': {
      std::size_t used = 0;
      for (std::string left = rest; !left.empty() && ledger.calls.size() < storage_kinds;
           left = left.substr(std::min(left.size(), used + 1)))
        ledger.calls.push_back(std::stol(left, &used));
      break;
    }
    case 'f':
      ledger.end = Ledger::End::finished;
      break;
    case 'k':
      ledger.end = Ledger::End::stopped;
      break;
    case 'E':
      ledger.end = Ledger::End::ended;
      break;
    default:
      break;
  }
}

template <class F>
void in_child(Ledger& ledger, F run) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(longest_life);
    run(ends[1]);
    ::_exit(0);
  }
  ::close(ends[1]);
  ledger.end = Ledger::End::crashed;
  std::string text;
  char block[4096];
  for (ssize_t n = 0; (n = ::read(ends[0], block, sizeof block)) > 0;) text.append(block, static_cast<std::size_t>(n));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  for (std::size_t from = 0, to = 0; (to = text.find('\n', from)) != std::string::npos; from = to + 1)
    if (to > from) note(ledger, text.substr(from, to - from));
  if (WIFSIGNALED(status)) ledger.end = WTERMSIG(status) == SIGALRM ? Ledger::End::hung : Ledger::End::crashed;
}

}  // namespace

void prepare(const std::filesystem::path& directory, Ledger& ledger) {
  in_child(ledger, [&](int pipe) {
    Life life(directory, pipe, Plan{});
    life.beginning();
    life.stop("k");
  });
}

void live(const std::filesystem::path& directory, const std::filesystem::path& shadow, const Plan& plan,
          Ledger& ledger) {
  in_child(ledger, [&](int pipe) {
    storage_watch(directory.c_str(), shadow.c_str());
    storage_arm(&plan.fault);
    Life life(directory, pipe, plan);
    try {
      life.whole();
      life.stop("f");
    } catch (const std::exception& error) {
      life.tell(std::string("e exception: ") + error.what());
      ::_exit(9);
    }
  });
}

}  // namespace hoplock::faults
