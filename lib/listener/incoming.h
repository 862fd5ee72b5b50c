// SPDX-License-Identifier: Apache-2.0
// One message on its way in: decoded, scanned, and handed to the queue's writer in pieces. For this module's own
// sources.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "listener/server_session.h"
#include "message/header_scan.h"
#include "queue/queue.h"
#include "smtp/chunk_decoder.h"
#include "smtp/data_decoder.h"

namespace hoplock::listener {

constexpr std::size_t content_octets = 16384;  // of one read of message content

// The largest message that this listener takes.
std::uint64_t most_octets(const Profile& profile);

class ServerSession::Incoming {
 public:
  enum class Framing : std::uint8_t { dots, chunks };  // DATA, BDAT
  Incoming(const Profile& profile, Framing framing, smtp::BareNewline mode, queue::Writer into);
  void put_first(std::string field) { content_ = std::move(field); }
  void limit(std::uint64_t octets) { most_ = octets; }  // below what the listener takes
  void keep_beginning(std::size_t octets) { most_of_beginning_ = octets; }
  std::string take_beginning() { return std::exchange(beginning_, {}); }  // as it came, without what was put first

  // Decodes what belongs to the content and says how much that was. Content that is unfit is not kept.
  std::size_t feed(std::string_view octets);
  // The true end is there: framing by dots knows it by itself.
  bool ended() const;
  void finish();

  smtp::Content found() const;
  std::uint64_t size() const;
  std::uint64_t lone_newlines() const;
  const message::HeaderFacts& facts() const { return scan_.facts(); }

  // Enough has gathered for store().
  bool has_chunk() const { return content_.size() >= store::chunk_bytes; }
  // Hands what has come so far to the disk; after an error the message is only read to its end.
  boost::asio::awaitable<Result<>> store();
  // The whole message; REQUIRES: is_kept().
  boost::asio::awaitable<Result<store::Id>> commit(store::Envelope envelope,
                                                   std::vector<store::NewRecipient> recipients);
  // Why, where it was the store.
  const std::optional<Error>& store_error() const { return store_error_; }
  // False once the message is unfit or cannot be stored.
  bool is_kept() const { return writer_.has_value(); }

 private:
  std::variant<smtp::DataDecoder, smtp::ChunkDecoder> decoder_;
  message::HeaderScan scan_;
  std::optional<queue::Writer> writer_;
  std::optional<Error> store_error_;
  std::string content_;  // decoded, not yet with the writer
  void scan(std::string_view decoded);
  std::uint64_t most_ = UINT64_MAX;
  std::string beginning_;
  std::size_t most_of_beginning_ = 0;
};

}  // namespace hoplock::listener
