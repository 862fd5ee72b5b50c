// SPDX-License-Identifier: Apache-2.0
#include "listener/incoming.h"

#include <algorithm>
#include <utility>

namespace hoplock::listener {

namespace asio = boost::asio;

namespace {

using Decoder = std::variant<smtp::DataDecoder, smtp::ChunkDecoder>;

// What the queue can hold of one message, our own Received field aside.
constexpr std::uint64_t most_the_queue_takes = (store::max_chunks - 2) * std::uint64_t{store::chunk_bytes};

}  // namespace

std::uint64_t most_octets(const Profile& profile) {
  return std::min(profile.limits.message_size, most_the_queue_takes);
}

ServerSession::Incoming::Incoming(const Profile& profile, Framing framing, smtp::BareNewline mode, queue::Writer into)
    : decoder_(framing == Framing::dots ? Decoder(smtp::DataDecoder(mode, most_octets(profile)))
                                        : Decoder(smtp::ChunkDecoder(mode, most_octets(profile)))),
      scan_(profile.hostname.text()),
      writer_(std::move(into)) {}

std::size_t ServerSession::Incoming::feed(std::string_view octets) {
  const std::size_t before = content_.size();
  // Larger than one read: room for a whole chunk at once instead of by doubling.
  if (before > content_octets) content_.reserve(store::chunk_bytes + content_octets);
  std::size_t used = octets.size();
  if (auto* dots = std::get_if<smtp::DataDecoder>(&decoder_)) {
    used = dots->feed(octets, content_);
  } else {
    std::get<smtp::ChunkDecoder>(decoder_).feed(octets, content_);
  }
  scan(std::string_view(content_).substr(before));
  if (found() != smtp::Content::good) writer_.reset();
  if (!writer_) std::string().swap(content_);
  return used;
}

bool ServerSession::Incoming::ended() const {
  const auto* dots = std::get_if<smtp::DataDecoder>(&decoder_);
  return dots != nullptr && dots->finished();
}

void ServerSession::Incoming::finish() {
  if (auto* chunks = std::get_if<smtp::ChunkDecoder>(&decoder_)) {
    const std::size_t before = content_.size();
    chunks->finish(content_);
    scan(std::string_view(content_).substr(before));
  }
  scan_.finish();
}

void ServerSession::Incoming::scan(std::string_view decoded) {
  scan_.feed(decoded);
  if (beginning_.size() < most_of_beginning_) beginning_ += decoded.substr(0, most_of_beginning_ - beginning_.size());
}

smtp::Content ServerSession::Incoming::found() const {
  if (size() > most_) return smtp::Content::too_large;
  return std::visit([](const auto& decoder) { return decoder.content(); }, decoder_);
}
std::uint64_t ServerSession::Incoming::size() const {
  return std::visit([](const auto& decoder) { return decoder.size(); }, decoder_);
}
std::uint64_t ServerSession::Incoming::lone_newlines() const {
  return std::visit([](const auto& decoder) { return decoder.lone_newlines(); }, decoder_);
}

asio::awaitable<Result<>> ServerSession::Incoming::store() {
  std::string octets = std::exchange(content_, {});
  auto written = co_await writer_->write(std::move(octets));
  if (!written) {
    store_error_ = written.error();
    writer_.reset();
  }
  co_return written;
}

asio::awaitable<Result<store::Id>> ServerSession::Incoming::commit(store::Envelope envelope,
                                                                   std::vector<store::NewRecipient> recipients) {
  if (!content_.empty()) {
    const auto stored = co_await store();
    if (!stored) co_return stored.error();
  }
  co_return co_await writer_->commit(std::move(envelope), std::move(recipients));
}

}  // namespace hoplock::listener
