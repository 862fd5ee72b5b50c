// SPDX-License-Identifier: Apache-2.0
#include "smtpclient/content.h"

#include <utility>

namespace hoplock::smtpclient {

asio::awaitable<Result<std::shared_ptr<const std::string>>> Content::piece(std::uint32_t n) const {
  if (whole) co_return whole;
  auto octets = co_await read(n);
  if (!octets) co_return octets.error();
  co_return std::make_shared<const std::string>(std::move(*octets));
}

}  // namespace hoplock::smtpclient
