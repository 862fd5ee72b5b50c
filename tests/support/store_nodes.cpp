// SPDX-License-Identifier: Apache-2.0
#include "tests/support/store_nodes.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fstream>
#include <iostream>
#include <thread>

#include "queue/queue.h"
#include "store_postgres/mail_store.h"
#include "tests/store/postgres.h"
#include "tests/support/memory_log.h"
#include "tests/support/settled.h"

namespace hoplock::support::store_nodes {

namespace asio = boost::asio;
using namespace store_postgres;
using std::chrono::steady_clock;

namespace {

Time now() { return std::chrono::time_point_cast<Milliseconds>(std::chrono::system_clock::now()); }

// Lines that stand whole in a file whoever else writes there.
class Lines {
 public:
  explicit Lines(const std::string& path) : file_(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600)) {}
  ~Lines() { close(file_); }
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;
  void add(const std::string& line) {
    const std::string text = line + "\n";
    if (write(file_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) _exit(3);
  }

 private:
  int file_;
};

class World {
 public:
  World(const Plan& plan, const std::string& name)
      : plan_(plan),
        sink_(plan.sink),
        acks_(plan.acks),
        database_(io_.get_executor(), log_, plan.options, node(name), contract_migrations()),
        mail_(database_, mail_options()),
        queue_(mail_, {}, [](const dns::Name& domain) { return domain.text(); }),
        signals_(io_, SIGTERM) {}

  void run() {
    signals_.async_wait([this](const boost::system::error_code& error, int) { ending_ = !error; });
    asio::co_spawn(io_, begin(), [this](std::exception_ptr thrown) { ended(thrown); });
    io_.run();
  }

 private:
  static std::vector<postgres::Migration> contract_migrations() { return store::contract::postgres_migrations(); }
  postgres::NodeOptions node(const std::string& name) const {
    postgres::NodeOptions made = store::contract::postgres_node(name);
    made.ttl = plan_.ttl;
    made.beat = plan_.beat;
    made.watch = plan_.watch;
    return made;
  }
  static MailOptions mail_options() {
    MailOptions options;
    options.look_again = Milliseconds(500);
    options.commit_deadline = Milliseconds(5000);
    return options;
  }
  void ended(const std::exception_ptr& thrown) {
    if (!thrown) return;
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& error) {
      std::cerr << "node: " << error.what() << std::endl;
    }
    _exit(2);
  }
  asio::awaitable<void> sleep(std::chrono::milliseconds time) {
    asio::steady_timer timer(io_, time);
    co_await timer.async_wait(asio::use_awaitable);
  }

  asio::awaitable<void> begin() {
    while (true) {
      auto started = co_await database_.start();
      if (started) break;
      std::cerr << "start: " << started.error().detail << std::endl;
      co_await sleep(std::chrono::milliseconds(200));
    }
    while (true) {
      auto started = co_await queue_.start(now());
      if (started) break;
      co_await sleep(std::chrono::milliseconds(200));
    }
    const auto tell = [this](std::exception_ptr thrown) { ended(thrown); };
    for (int i = 0; i < plan_.producers; ++i) asio::co_spawn(io_, produce(i), tell);
    co_await deliver();
    signals_.cancel();
    co_await database_.stop(steady_clock::now() + std::chrono::seconds(2));
    _exit(0);
  }

  asio::awaitable<void> produce(int number) {
    for (int i = number; !ending_; i += 7) {
      queue::Writer writer = queue_.begin(now());
      const std::string id = writer.id().text();
      std::string body = "Subject: x\r\n\r\n" + std::string(static_cast<std::size_t>(200 + i % 3000), 'x') + "\r\n";
      if (i % 50 == 0) body += std::string(150'000, 'y');
      auto written = co_await writer.write(std::move(body));
      if (!written) {
        co_await sleep(std::chrono::milliseconds(100));
        continue;
      }
      Envelope envelope;
      envelope.sender = "sender@example.net";
      std::vector<NewRecipient> recipients(1);
      recipients[0].domain = dns::Name::parse("d" + std::to_string(i % plan_.domains) + ".test").value();
      recipients[0].address = "u@" + recipients[0].domain.text();
      auto committed = co_await writer.commit(std::move(envelope), std::move(recipients));
      if (committed) acks_.add(id);
      co_await sleep(committed ? plan_.pause : std::chrono::milliseconds(100));
    }
  }

  asio::awaitable<void> deliver() {
    for (int quiet = 0;;) {
      auto work = co_await queue_.ready(now(), 100, {});
      bool any = false;
      if (work) {
        for (const Ready& ready : work->ready) {
          const bool sent = co_await deliver_to(ready.destination);
          any = any || sent;
        }
      }
      const bool empty = work && !any && co_await is_empty();
      quiet = empty && ending_ ? quiet + 1 : 0;
      if (quiet >= 3) co_return;
      if (!any) co_await sleep(std::chrono::milliseconds(20));
    }
  }

  asio::awaitable<bool> is_empty() {
    if (!ending_) co_return false;
    auto asked = postgres::statement("SELECT count(*) FROM message");
    auto rows = co_await database_.run(std::move(asked));
    co_return rows && (*rows)[0].integer(0) == 0;
  }

  asio::awaitable<bool> deliver_to(std::string destination) {
    queue::LeaseLimit limit;
    limit.messages = 16;
    auto jobs = co_await queue_.lease(std::move(destination), now(), limit);
    if (!jobs || jobs->empty()) co_return false;
    Results results;
    results.now = now();
    for (const store::Job& job : *jobs) {
      const bool first = job.recipients.at(0).attempts == 0;
      const bool deferred = first && job.id.value / 16 % 10 == 0;
      const bool ours = queue_.lease_term() == job.term;
      Settled settled = support::settled_all(job, deferred || !ours ? Verdict::deferred : Verdict::delivered,
                                             now() + Milliseconds(300));
      if (!ours) settled.recipients.clear();
      if (ours && !deferred) sink_.add(job.id.text());  // the final dot
      results.settled.push_back(std::move(settled));
    }
    for (;;) {
      Results copy = results;
      auto applied = co_await queue_.apply(std::move(copy));
      if (applied) co_return true;
      co_await sleep(std::chrono::milliseconds(50));
    }
  }

  const Plan plan_;
  Lines sink_, acks_;
  asio::io_context io_{1};
  support::MemoryLog log_;
  postgres::Database database_;
  PostgresMailStore mail_;
  queue::Queue queue_;
  asio::signal_set signals_;
  bool ending_ = false;
};

std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

}  // namespace

Node::Node(const Plan& plan, std::string name) : name_(std::move(name)), pid_(fork()) {
  if (pid_ != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  try {
    World world(plan, name_);
    world.run();
  } catch (const std::exception& error) {
    std::cerr << "node: " << error.what() << std::endl;
  }
  _exit(1);
}

Node::~Node() { kill(); }

void Node::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void Node::freeze() { ::kill(pid_, SIGSTOP); }
void Node::thaw() { ::kill(pid_, SIGCONT); }

void Node::retire() { ::kill(pid_, SIGTERM); }

bool Node::finish(std::chrono::seconds within) {
  for (const auto until = steady_clock::now() + within; steady_clock::now() < until;) {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      return WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  kill();
  return false;
}

std::vector<std::string> Judged::lost() const {
  std::vector<std::string> ids;
  for (const std::string& id : acknowledged)
    if (!sent.contains(id)) ids.push_back(id);
  return ids;
}

int Judged::twice() const {
  int count = 0;
  for (const auto& [id, times] : sent) count += times - 1;
  return count;
}

int Judged::unasked() const {
  int count = 0;
  for (const auto& [id, times] : sent) count += acknowledged.contains(id) ? 0 : 1;
  return count;
}

Judged judge(const Plan& plan) {
  Judged judged;
  for (std::string& id : lines_of(plan.acks)) judged.acknowledged.insert(std::move(id));
  for (const std::string& id : lines_of(plan.sink)) ++judged.sent[id];
  return judged;
}

}  // namespace hoplock::support::store_nodes
