// What `check` and `tlsa` need to look at the world: a resolver, a router and TLS of the tool's own, as the configuration has them,
// and a loop to run one task on. The daemon is not asked.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string>

#include "config/config.h"
#include "daemon/tool/tool.h"
#include "probe/check.h"

namespace hoplock::daemon::tool {

// ours: refuse what would lead back to this relay, as delivery does; anyone's: look at any host.
enum class Whose : std::uint8_t { ours, anyones };

// Runs the task; the error says what in the configuration is of no use, or that the task did not end.
Result<> with_network(const config::Config& config, const Console& console, Whose whose,
                      std::function<boost::asio::awaitable<void>(probe::Tools)> task);

}  // namespace hoplock::daemon::tool
