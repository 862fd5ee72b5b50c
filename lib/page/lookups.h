// SPDX-License-Identifier: Apache-2.0
// What the pages of a domain and of a message read from the store: beside the loop, by one worker, a bounded part
// each. Changes nothing.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "page/domain.h"
#include "page/message.h"
#include "statistics/series.h"
#include "store/readers.h"

namespace hoplock::page {

// On the calling thread; some milliseconds, whatever is queued.
DomainLook look_at_domain(const store::Readers& readers, const dns::Name& domain, Time now);
MessageLook look_at_message(const store::Readers& readers, store::Id id, const std::vector<store::Lease>& active);

// What somebody sought, and what there is.
struct Sought {
  std::vector<store::Id> ids;       // that begin so
  std::optional<dns::Name> domain;  // it may be one
  std::vector<Story> stories;       // of an address, newest first
  bool by_address = false;
  std::string error;
};
Sought seek(const store::Readers& readers, const std::string& word);

// For the pictures.
struct FiguresLook {
  std::optional<statistics::Series> shown;
  std::optional<statistics::Series> week;  // from which it is known what is usual
  std::string error;
};
FiguresLook look_at_figures(const store::Readers& readers, statistics::Span span, Time now);

class Lookups {
 public:
  // Questions at once; beyond them the newest is not answered.
  static constexpr std::size_t most_waiting = 32;

  Lookups(boost::asio::any_io_executor loop, store::ReadersPtr readers);
  // Waits for the look-up that is being made.
  ~Lookups();
  Lookups(const Lookups&) = delete;
  Lookups& operator=(const Lookups&) = delete;

  // Null: too many ask. REQUIRES: `this` outlives the task that awaits.
  boost::asio::awaitable<std::shared_ptr<const DomainLook>> domain(dns::Name domain, Time now);
  boost::asio::awaitable<std::shared_ptr<const MessageLook>> message(store::Id id, std::vector<store::Lease> active);
  boost::asio::awaitable<std::shared_ptr<const Sought>> sought(std::string word);
  boost::asio::awaitable<std::shared_ptr<const FiguresLook>> figures(statistics::Span span, Time now);

 private:
  struct State;
  template <class Look>
  boost::asio::awaitable<std::shared_ptr<const Look>> ask(std::function<Look(const store::Readers&)> read);
  std::shared_ptr<State> state_;
  boost::asio::thread_pool worker_{1};
};

}  // namespace hoplock::page
