// SPDX-License-Identifier: Apache-2.0
// The sweep in the background: every stored chunk is read from time to time and held against its checksum, and so are the rows that
// find mail.
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "queue/queue_impl.h"

namespace hoplock::queue {

namespace {

constexpr int slices_at_once = 64;
constexpr std::chrono::milliseconds pause_between{80};  // two slices

// bad_message is kept for the rows that find mail: without a body, the others are well.
Error about_bodies(Id id, const Error& error) {
  if (error.code != errc::bad_message) return error;
  return fail(errc::io_error,
              "what is left of " + id.text() + " cannot be removed, its pages are damaged: " + error.detail);
}

}  // namespace

// As far as one call may go. Damage that it finds is an error bad_message; where something cannot be read it goes on behind it, and says
// so when it is done.
asio::awaitable<Result<>> Queue::Core::inspect_some() {
  asio::steady_timer pause(co_await asio::this_coro::executor);
  Result<> read;
  for (int slices = 0; slices < slices_at_once; ++slices) {
    const auto looked = co_await mail.inspect_some();
    if (!looked) co_return looked.error();
    if (looked->unread) read = *looked->unread;
    if (looked->at == Inspection::At::end) {
      inspected_once = true;
      break;
    }
    if (looked->at == Inspection::At::next) continue;
    pause.expires_after(pause_between);
    co_await pause.async_wait(asio::use_awaitable);
  }
  co_return read;
}

// Chunks whose session died while the store could not be written. What became a message meanwhile is none any more.
asio::awaitable<Result<>> Queue::Core::drop_orphans() {
  const auto found = co_await mail.drafts();
  if (!found) co_return found.error();
  Result<> all;
  for (const Id id : *found) {
    if (drafts.contains(id)) continue;
    const auto dropped = co_await drop_draft(id, Deadline::max());
    if (!dropped) all = about_bodies(id, dropped.error());
  }
  co_return all;
}

asio::awaitable<Result<Queue::Swept>> Queue::sweep(std::size_t bytes) {
  Core& core = *core_;
  Swept swept;
  const auto note = [&swept](const Result<>& done) {
    if (!done) swept.unread = done.error();
  };
  const auto sound = co_await core.inspect_some();
  if (!sound && sound.error().code == errc::bad_message) co_return sound.error();
  note(sound);
  if (auto left = std::exchange(core.left, std::nullopt)) swept.unread = std::move(left);
  swept.rows = core.inspected_once;
  for (std::size_t read = 0; read < bytes && !swept.end;) {
    auto looked = co_await core.mail.verify_some(bytes - read);
    if (!looked) co_return looked.error();
    core.report_damage(looked->damaged);
    swept.damaged.insert(swept.damaged.end(), looked->damaged.begin(), looked->damaged.end());
    if (looked->unread) swept.unread = std::move(looked->unread);
    swept.end = looked->end;
    read += looked->octets;
  }
  if (swept.end) note(co_await core.drop_orphans());
  co_return swept;
}

}  // namespace hoplock::queue
