// SPDX-License-Identifier: Apache-2.0
// DKIM over what is about to be sent (DKIM-07): it comes after every change to header and body, so it is made over the very octets that
// go on the wire, once for each form in which they go. It reads the content twice, once to hash and once to send, and keeps none of it.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <memory>

#include "base/time.h"
#include "dkim/signer.h"
#include "smtpclient/content.h"

namespace hoplock::smtpclient {

// `content` with the signatures of its From domain's keys before it; as it was when none is configured, or when it cannot be signed so
// that every verifier reads the same. Error: it cannot be read, or OpenSSL failed. REQUIRES: `content.before` is empty.
boost::asio::awaitable<Result<Content>> sign(Content content, std::shared_ptr<const dkim::Keyring> keyring, Time now);

}  // namespace hoplock::smtpclient
