// SPDX-License-Identifier: Apache-2.0
// Every coroutine that runs on its own is spawned here, so that it can be stopped and waited for, and so that its
// exception is told (event `internal-error`) and ends that task only. One loop; not for use across threads.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <memory>
#include <string_view>

#include "base/log.h"
#include "net/condition.h"

namespace hoplock::net {

class TaskGroup {
 public:
  TaskGroup(boost::asio::any_io_executor executor, Log& log);
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  // Stops. Tasks that still run are told to end; what they refer to must outlive the loop's last run, or be joined
  // first.
  ~TaskGroup();

  // Starts `task` from the loop, never inside this call. `name` (a literal) is what `internal-error` calls it.
  // After stop() the task is dropped unstarted.
  void spawn(std::string_view name, boost::asio::awaitable<void> task);

  // Cancels every task: what it awaits ends with operation_canceled and its next co_await throws, which is not an
  // error.
  void stop();
  // Waits until no task is left, or until the deadline; how many still run. Called by a coroutine that is not one of
  // them.
  boost::asio::awaitable<std::size_t> join(SteadyTime deadline);
  std::size_t size() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace hoplock::net
