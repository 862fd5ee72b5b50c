// SPDX-License-Identifier: Apache-2.0
#include "smtpclient/signing.h"

namespace hoplock::smtpclient {

asio::awaitable<Result<Content>> sign(Content content, std::shared_ptr<const dkim::Keyring> keyring, Time now) {
  if (!keyring || keyring->all().empty()) co_return content;
  dkim::Signer signer(std::move(keyring));
  for (std::uint32_t n = 0; n < content.pieces() && signer.is_signing(); ++n) {
    const auto piece = co_await content.piece(n);
    if (!piece) co_return piece.error();
    signer.feed(**piece);
  }
  auto made = signer.finish(now);
  if (!made) co_return made.error();
  content.before = std::move(made->fields);
  co_return content;
}

}  // namespace hoplock::smtpclient
