// SPDX-License-Identifier: Apache-2.0
// A listener with the queue, the disk and the certificate that it needs, on a loop and a thread of its own: what a client
// meets. The test talks to it over sockets and looks into the database when it wants to know what was stored.
#pragma once
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "disk/disk.h"
#include "listener/server.h"
#include "queue/queue.h"
#include "tests/support/distant_store.h"
#include "tests/support/memory_log.h"
#include "tests/support/temp_directory.h"

namespace hoplock::support {

inline constexpr const char* intake_name = "relay.test";

class Intake {
 public:
  struct Stored {
    store::Id id;
    store::Envelope envelope;
    std::vector<std::string> recipients;
    std::string content;  // with our Received field
    // Without it.
    std::string body() const;
  };

  // What the listeners are; the first is 127.0.0.1 with STARTTLS, and any client of 127.0.0.1 may relay.
  explicit Intake(listener::Options options = usual(), queue::Options queue_options = roomy());
  ~Intake();

  static listener::Options usual();
  static queue::Options roomy();  // takes mail however full the test's file system is
  // Another address, 127.0.0.<last>, of the same options.
  static listener::Address address(int last, smtp::TlsMode tls);

  std::uint16_t port(std::size_t index = 0) const { return ports_.at(index); }
  MemoryLog& log() { return log_; }
  // All messages, oldest first.
  std::vector<Stored> stored() const;
  // Rows of a table of the database.
  std::int64_t rows(const std::string& table) const;
  // The store is elsewhere, and cannot be reached.
  enum class There : bool { no, yes };
  void set_store(There there);
  // Waits until no session is left.
  void wait_idle();
  // The queue's sweep in the background, once through all that is stored.
  void sweep();
  // Waits until the disk has done all that it was given so far.
  void wait_idle_disk();
  listener::Counts counts();
  // Reload; the certificate is filled in.
  std::optional<listener::ListenError> open(listener::Options options);
  // Another certificate from the next open() on.
  void renew_certificate();
  std::vector<net::Endpoint> bound();
  std::vector<std::string> missing();
  // Of a reload that fails elsewhere: whether the listener had no complaint.
  bool prepare_and_drop(listener::Options options);
  listener::Server& server() { return *server_; }  // only on_loop()
  void stop(std::chrono::milliseconds time);
  // stop(), begun and not waited for.
  std::future<void> begin_stop(std::chrono::milliseconds time);
  // Runs on the loop.
  template <class F>
  auto on_loop(F call) {
    std::packaged_task<std::invoke_result_t<F&>()> task(std::move(call));
    auto result = task.get_future();
    boost::asio::post(io_, [&task] { task(); });
    return result.get();
  }

 private:
  listener::Options with_certificate(listener::Options options) const;
  static boost::asio::awaitable<void> stop_by(listener::Server& server, std::chrono::milliseconds time);

  TempDirectory directory_;
  MemoryLog log_;
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{io_.get_executor()};
  net::CertificateFiles certificate_;
  int certificates_ = 0;
  std::unique_ptr<disk::Disk> disk_;
  std::optional<support::DistantMailStore> mail_;
  std::optional<queue::Queue> queue_;
  std::optional<listener::Server> server_;
  std::vector<std::uint16_t> ports_;
  std::thread thread_;
};

}  // namespace hoplock::support
