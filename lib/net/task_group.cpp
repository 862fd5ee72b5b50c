// SPDX-License-Identifier: Apache-2.0
#include "net/task_group.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <exception>
#include <list>
#include <string>
#include <utility>

namespace hoplock::net {

namespace asio = boost::asio;

namespace {
// co_spawn must see the task suspended once before it may be cancelled: otherwise the cancellation would throw out of the loop
// instead of into the completion handler (Asio 1.81, co_spawn_entry_point).
asio::awaitable<void> start_later(asio::awaitable<void> task) {
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
  const auto state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() != asio::cancellation_type::none) co_return;
  co_await asio::this_coro::throw_if_cancelled(true);
  co_await std::move(task);
}
}  // namespace

struct TaskGroup::State {
  State(asio::any_io_executor on, Log& to) : executor(std::move(on)), log(&to) {}

  // What ended the task, unless it is how a cancelled task ends.
  std::string problem(const std::exception_ptr& exception) const {
    try {
      std::rethrow_exception(exception);
    } catch (const boost::system::system_error& error) {
      return stopped && error.code() == asio::error::operation_aborted ? "" : error.what();
    } catch (const std::exception& error) {
      return error.what();
    } catch (...) {
      return "an exception of an unknown kind";
    }
  }

  void tell(std::string_view name, const std::exception_ptr& exception) const {
    std::string what = problem(exception);
    if (what.empty()) return;
    Event event(Level::error, "internal-error");
    event.add("task", std::string(name));
    event.add("error", std::move(what));
    log->write(event);
  }

  asio::any_io_executor executor;
  Log* log;
  std::list<asio::cancellation_signal> tasks;
  Condition ended;
  bool stopped = false;
};

TaskGroup::TaskGroup(asio::any_io_executor executor, Log& log)
    : state_(std::make_shared<State>(std::move(executor), log)) {}

TaskGroup::~TaskGroup() { stop(); }

void TaskGroup::spawn(std::string_view name, asio::awaitable<void> task) {
  if (state_->stopped) return;
  const auto self = state_->tasks.emplace(state_->tasks.end());
  auto on_end = [state = state_, self, name](const std::exception_ptr& exception) {
    if (exception) state->tell(name, exception);
    state->tasks.erase(self);
    state->ended.notify_all();
  };
  asio::co_spawn(state_->executor, start_later(std::move(task)),
                 asio::bind_cancellation_slot(self->slot(), std::move(on_end)));
}

void TaskGroup::stop() {
  state_->stopped = true;
  // completions are posted, never run by emit: the list stands still
  for (auto& task : state_->tasks) task.emit(asio::cancellation_type::all);
}

asio::awaitable<std::size_t> TaskGroup::join(SteadyTime deadline) {
  const std::shared_ptr<State> state = state_;
  while (!state->tasks.empty() && std::chrono::steady_clock::now() < deadline) {
    co_await state->ended.wait_until(deadline);
  }
  co_return state->tasks.size();
}

std::size_t TaskGroup::size() const { return state_->tasks.size(); }

}  // namespace hoplock::net
