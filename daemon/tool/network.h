// SPDX-License-Identifier: Apache-2.0
// What `check` and `tlsa` look at the world with: a resolver, a router and TLS of the tool's own, as the configuration has them,
// and a loop to run one task on. The daemon is not asked.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "config/config.h"
#include "daemon/tool/tool.h"
#include "partners/book.h"
#include "probe/check.h"
#include "probe/name_servers.h"
#include "resolver/unbound.h"

namespace hoplock::daemon::tool {

// refused: what would lead back to this relay is left alone, as delivery does.
enum class OwnHosts : std::uint8_t { refused, allowed };

inline constexpr std::string_view broke_off = "the look-up broke off";

class Network {
 public:
  // The error says what in the configuration is of no use.
  static Result<std::unique_ptr<Network>> open(const config::Config& config, Console console, OwnHosts own_hosts);
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  probe::Tools tools();
  // What was agreed on with whom mail goes to; before that nothing was.
  void set_partners(partners::BookPtr book);
  // Nothing: somebody answers on port 53 who is asked for one of these names. Asked before look-ups whose own patience is longer than a
  // person's.
  std::optional<probe::Silence> silence(const std::vector<dns::Name>& names);
  // To its end. Nothing: it broke off, and standard error says why.
  template <class T>
  std::optional<T> run(boost::asio::awaitable<T> task) {
    auto result = std::make_shared<std::optional<T>>();
    drive(keep(std::move(task), result));
    return std::move(*result);
  }

 private:
  class ErrorLog;
  struct Parts;
  explicit Network(std::unique_ptr<Parts> parts);
  template <class T>
  static boost::asio::awaitable<void> keep(boost::asio::awaitable<T> task, std::shared_ptr<std::optional<T>> result) {
    *result = co_await std::move(task);
  }
  void drive(boost::asio::awaitable<void> task);
  std::unique_ptr<Parts> parts_;
};

}  // namespace hoplock::daemon::tool
