// SPDX-License-Identifier: Apache-2.0
// The daemon's resolver: libunbound in the process, iterating (or forwarding) and validating by itself. Its worker
// thread reports through a descriptor that the loop watches; requests that wait stand in a table that this class owns,
// so no C callback ever points into a coroutine. It never reads /etc/resolv.conf or /etc/hosts and believes nobody's AD
// bit (DNS-03). RFC 4035.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "resolver/options.h"
#include "resolver/resolver.h"

namespace hoplock::resolver {

class Unbound final : public Resolver {
 public:
  // Reads unbound_conf, then lays the options over it. Errors name the file and what is wrong with it. `executor` must
  // be that of the one thread that calls the other members.
  static Result<std::unique_ptr<Unbound>> open(boost::asio::any_io_executor executor, Options options);
  // Look-ups that still wait end as failed; their coroutines may outlive this object.
  ~Unbound() override;
  Unbound(const Unbound&) = delete;
  Unbound& operator=(const Unbound&) = delete;

  // Identical questions that wait at the same time are asked once. The very first look-up waits for the check of
  // DNS-04.
  boost::asio::awaitable<dns::Answer> find(dns::Name name, dns::Type type) override;

  // DNS-04: nothing once the trust anchor's zone came back secure; `. SOA` for the root's anchor.
  std::optional<std::string> validation_failure() const override;

  // Called with every change of validation_failure(), and with the result of the first check.
  using Changed = std::function<void(const std::optional<std::string>& failure)>;
  // Repeats the check hourly, and every 30 s while it fails, until the coroutine is cancelled or this object goes.
  boost::asio::awaitable<void> watch(Changed changed);

  // Called when trust anchor, hints or unbound_conf had changed under their names: `files` names them. With an error the old ones
  // hold, until they change again.
  using Reread = std::function<void(const std::string& files, const Result<>& done)>;
  // Looks at the files now and then and reads them again when they changed, until the coroutine is cancelled or this object goes.
  boost::asio::awaitable<void> watch_files(Reread reread);
  // Whether these options, and the files that they name as they are now, are what it works by.
  bool is_current(const Options& options) const;

  // Starts afresh under other options, with empty caches; look-ups that wait end under the old ones. On an error nothing
  // changes.
  Result<> reload(Options options);

 private:
  class Impl;
  struct Current;
  explicit Unbound(std::shared_ptr<Current> current);
  static boost::asio::awaitable<void> watch_files_of(std::shared_ptr<Current> current, Reread reread);
  static boost::asio::awaitable<void> watch_current(std::shared_ptr<Current> current, Changed changed);
  std::shared_ptr<Current> current_;
};

}  // namespace hoplock::resolver
