// Accepts connections and gives each a Conversation. Owns the sockets, the count of clients, and the way to an orderly end. What
// may be said in a session is smtp::Session's; where messages go is queue::Queue's.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <memory>

#include "base/log.h"
#include "base/result.h"
#include "listener/options.h"
#include "net/signal.h"
#include "queue/queue.h"

namespace hoplock::listener {

struct Counts {
  std::uint64_t connections = 0;  // since the start
  std::size_t open = 0;
  std::uint64_t accepted = 0;  // messages
  std::uint64_t rejected = 0;  // replies of 4xx and 5xx that ended a command
};

// Which address of `Options` could not be served, and why.
struct ListenError {
  std::size_t index = 0;
  enum class What : std::uint8_t { address, certificate, users_file, client_ca } what = What::address;
  Error error;
};

class Server {
 public:
  // REQUIRES: queue and log outlive it, and the loop's last run.
  Server(boost::asio::any_io_executor executor, queue::Queue& queue, Log& log);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Binds all addresses and begins to accept; on an error nothing is changed. Called again (reload): addresses that stay keep
  // their sockets, sessions that run keep what they began with, new ones get the new options.
  std::optional<ListenError> open(Options options);
  // Stops accepting, says 421 4.3.2 to whoever is between commands, waits for messages under way until `deadline`, then cuts. When
  // it returns, no session is left.
  boost::asio::awaitable<void> stop(net::SteadyTime deadline);

  // As bound: a port 0 of the options has become a real one.
  std::vector<net::Endpoint> bound() const;
  const Counts& counts() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace hoplock::listener
