// SPDX-License-Identifier: Apache-2.0
// The way in for one message. Small messages (up to chunk_bytes) are held until commit and go into one transaction with
// their envelope; larger ones stream ahead as chunk rows that no reader sees, and are swept when the writer dies
// without a commit, or at the next start.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "store/ledger.h"
#include "store/message.h"

namespace hoplock::queue {

namespace asio = boost::asio;

class Queue;

class Writer {
 public:
  Writer(Writer&&) noexcept;
  Writer& operator=(Writer&&) = delete;
  ~Writer();  // abandons what was not committed

  store::Id id() const;
  std::uint64_t size() const;  // octets so far

  // Any length; octets as they are. It waits while too much is on its way to the disk. After an Error nothing but
  // destruction makes sense.
  asio::awaitable<Result<>> write(std::string octets);
  // Good: message and recipients are on stable storage (SUB-29). REQUIRES: 1 to max_recipients recipients; called once.
  // Error, where the store has no room or cannot be written: 452 4.3.1, and nothing of the message stays.
  asio::awaitable<Result<store::Id>> commit(store::Envelope envelope, std::vector<store::NewRecipient> recipients);
  // The mail of a report: its mark is stored if, and only if, the message is.
  asio::awaitable<Result<store::Id>> commit(store::Envelope envelope, std::vector<store::NewRecipient> recipients,
                                            std::optional<store::ReportMark> mark);

 private:
  friend class Queue;
  struct State;
  explicit Writer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace hoplock::queue
