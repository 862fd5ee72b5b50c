// SPDX-License-Identifier: Apache-2.0
#include "queue/writer.h"

#include <boost/asio/this_coro.hpp>

#include "queue/writer_impl.h"

namespace hoplock::queue {

namespace {
// In the log, and in the database when the log is copied.
constexpr std::uint64_t places_of_an_octet = 2;
}  // namespace

Writer::Writer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Writer::Writer(Writer&&) noexcept = default;

Writer::~Writer() {
  if (!state_ || state_->committed || state_->chunks == 0) return;
  const auto core = state_->core.lock();
  if (!core) return;  // swept at the next start
  core->drafts.erase(state_->id);
  core->mail.discard(state_->id);
}

Id Writer::id() const { return state_->id; }
std::uint64_t Writer::size() const { return state_->size; }

asio::awaitable<Result<>> Writer::State::stream(Queue::Core& queue) {
  if (chunks + 1 >= max_chunks) co_return fail(errc::file_too_large, "the message is larger than the queue can hold");
  const Claim passing(queue.passing, places_of_an_octet * chunk_bytes);
  // who announced it has a right to it; the others keep out of what is announced
  const bool announced_it = announced && announced->octets() > 0;
  if (queue.room_beside(announced_it ? 0 : *queue.announced) == 0)
    co_return fail(errc::no_space_on_device, "what is free beyond limits.min_free_space is taken");
  if (announced) announced->reduce(chunk_bytes);
  std::string octets;
  if (buffer.size() < 2 * chunk_bytes) {
    std::string rest = buffer.substr(chunk_bytes);
    buffer.resize(chunk_bytes);
    octets = std::exchange(buffer, std::move(rest));
  } else {
    octets = buffer.substr(0, chunk_bytes);
    buffer.erase(0, chunk_bytes);
  }
  queue.drafts.insert(id);
  co_return co_await queue.mail.append_chunk(id, chunks++, std::move(octets));
}

asio::awaitable<Result<>> Writer::write(std::string octets) {
  State& state = *state_;
  Queue::Core* core = state.core.lock().get();  // not kept alive from here
  if (!core) co_return fail(errc::operation_canceled, "the queue is closed");
  state.size += octets.size();
  if (state.buffer.empty())
    state.buffer = std::move(octets);
  else
    state.buffer += octets;
  octets = std::string();
  while (state.buffer.size() > chunk_bytes) {
    auto streamed = co_await state.stream(*core);
    if (!streamed) co_return streamed.error();
  }
  co_return Result<>();
}

asio::awaitable<Result<Id>> Writer::commit(Envelope envelope, std::vector<NewRecipient> recipients) {
  return commit(std::move(envelope), std::move(recipients), std::nullopt);
}

asio::awaitable<Result<Id>> Writer::commit(Envelope envelope, std::vector<NewRecipient> recipients,
                                           std::optional<ReportMark> mark) {
  auto loop = co_await asio::this_coro::executor;
  State& state = *state_;
  Queue::Core* alive = state.core.lock().get();  // not kept alive from here
  if (!alive) co_return fail(errc::operation_canceled, "the queue is closed");
  Queue::Core& core = *alive;
  auto draft = std::make_shared<Draft>();
  draft->id = state.id;
  draft->received = state.received;
  draft->size = state.size;
  draft->streamed = state.chunks > 0;
  draft->chunks = state.chunks + 1;
  draft->last_chunk = std::move(state.buffer);
  draft->envelope = std::move(envelope);
  draft->destinations.reserve(recipients.size());
  for (const auto& recipient : recipients) draft->destinations.push_back(core.route(recipient.domain));
  draft->recipients = std::move(recipients);
  draft->mark = std::move(mark);
  const std::size_t bytes = draft->last_chunk->size() + draft->recipients.size() * 256;
  const Claim passing(core.passing, places_of_an_octet * bytes);
  state.announced.reset();
  auto enqueued = co_await core.mail.commit(draft);
  if (!enqueued) co_return enqueued.error();
  state.committed = true;
  core.drafts.erase(state.id);
  core.enqueued(std::move(*enqueued), draft);
  core.announce(loop, {});
  co_return state.id;
}

}  // namespace hoplock::queue
