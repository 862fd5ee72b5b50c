// SPDX-License-Identifier: Apache-2.0
// A message's octets on their way out: all of them in `whole`, or, when that is null, `chunks` pieces that are read one after the other.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace hoplock::smtpclient {

namespace asio = boost::asio;

struct Content {
  std::string before;  // header fields that are put on top of it
  std::shared_ptr<const std::string> whole;
  std::uint32_t chunks = 0;
  std::function<asio::awaitable<Result<std::string>>(std::uint32_t)> read;
  std::function<asio::awaitable<bool>()> leave;  // awaited right before the final dot: may it be sent? null: it may

  std::uint32_t pieces() const { return whole ? 1 : chunks; }
  // One of them, in order. REQUIRES: the Content stays where it is until then.
  asio::awaitable<Result<std::shared_ptr<const std::string>>> piece(std::uint32_t n) const;
};

}  // namespace hoplock::smtpclient
