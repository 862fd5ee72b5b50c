// SPDX-License-Identifier: Apache-2.0
// What the daemon keeps everything in, whichever engine is behind: the five stores, their readers, and what befalls them as a whole. The
// only place that knows which there are; App and its services know the interfaces of lib/store.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/histogram.h"
#include "base/log.h"
#include "config/reader.h"
#include "daemon/system.h"
#include "disk/disk.h"
#include "monitor/cluster_status.h"
#include "net/clock.h"
#include "store/ledger_store.h"
#include "store/mail_store.h"
#include "store/partner_store.h"
#include "store/policy_store.h"
#include "store/readers.h"
#include "store/statistics_store.h"

namespace hoplock::daemon {

// Why the daemon does not start: one line for people, and the exit code.
struct StartFailure {
  ExitCode code = software;
  std::string text;
};
ExitCode exit_code(const Error& error);

class Stores {
 public:
  using Opened = std::variant<std::unique_ptr<Stores>, StartFailure>;
  // The one that `store` names. Nothing is waited for: a server that is away is join()'s affair. REQUIRES: loop and log outlive it.
  static Opened open(boost::asio::any_io_executor loop, const config::Loaded& loaded, Log& log);

  Stores() = default;
  Stores(const Stores&) = delete;
  Stores& operator=(const Stores&) = delete;
  virtual ~Stores() = default;

  virtual store::MailStore& mail() = 0;
  virtual store::StatisticsStore& statistics() = 0;
  virtual store::LedgerStore& ledger() = 0;
  virtual store::PolicyStore& policies() = 0;
  virtual store::PartnerStore& partners() = 0;
  virtual store::ReadersPtr readers() const = 0;

  // Before anything is asked of them: at once, or, with other nodes, when the server answered and this one is registered there, as long
  // as that takes. Good: they can be used. Nothing comes after a failure.
  virtual boost::asio::awaitable<std::optional<StartFailure>> join() = 0;
  // What this node has is the others' from now on; nothing is asked of them afterwards.
  virtual boost::asio::awaitable<void> leave(net::SteadyTime deadline) = 0;
  // The end, behind the loop's last run: what nobody heard of before.
  virtual std::vector<disk::News> close() = 0;

  // Called on the loop. Set them before join(). More mail may be due than was: another node is gone, or told of it.
  virtual void on_news(std::function<void(const disk::News&)> call) = 0;
  virtual void on_work(std::function<void()> call) = 0;
  // Results came when other nodes had these already, who may send them again.
  virtual void lost(const std::vector<store::Lease>& leases) = 0;
  // How many nodes that are alive send mail, this one among them; whenever that changes.
  virtual void on_senders(std::function<void(std::size_t)> call) = 0;

  virtual std::string place() const = 0;  // for people: a file, or the servers
  // Whether others share them: these may change what is due at any time.
  virtual bool shared() const = 0;
  // Nothing is written any more: the process ends with exit 74 even when asked to end.
  virtual bool broken() const = 0;
  // For the watchdog: comes back when what works for the stores does.
  virtual boost::asio::awaitable<void> answer() = 0;
  virtual boost::asio::awaitable<Result<std::uint64_t>> compact() = 0;

  struct Facts {
    Result<> health;  // the last transaction
    disk::Sizes sizes;
    Histogram commits{{}};  // seconds of each
    std::optional<monitor::ClusterStatus> cluster;
  };
  virtual Facts facts() const = 0;
};

// Of `store: sqlite`.
Stores::Opened open_sqlite(boost::asio::any_io_executor loop, const config::Loaded& loaded);
// Of a URL.
Stores::Opened open_postgres(boost::asio::any_io_executor loop, const config::Loaded& loaded, Log& log);

}  // namespace hoplock::daemon
