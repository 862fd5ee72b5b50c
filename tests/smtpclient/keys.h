// SPDX-License-Identifier: Apache-2.0
// Two keys of example.net, and a verifier that knows them.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dkim/signer.h"
#include "tests/dkim/verify.h"
#include "tests/support/fake_resolver.h"

namespace hoplock::smtpclient::testing {

using support::name;

inline const Time moment = from_millis(1740787200500);

struct Keys {
  Keys() {
    std::vector<dkim::Identity> identities;
    for (const auto& [selector, pem] :
         {std::pair{"rsa1", hoplock::testing::rsa_pem()}, std::pair{"ed1", hoplock::testing::ed25519_pem()}}) {
      dkim::Identity identity;
      identity.domain = name("example.net");
      identity.selector = selector;
      identity.key = std::make_shared<const dkim::Key>(dkim::Key::parse(pem).value());
      published[selector] = identity.key->public_key();
      identities.push_back(identity);
    }
    ring = std::make_shared<const dkim::Keyring>(dkim::Keyring::make(std::move(identities)).value());
  }
  std::string judge(const std::string& message) const {
    const auto first = hoplock::testing::verify(message, published, 0);
    return first == hoplock::testing::verify(message, published, 1) ? first : "the two signatures differ";
  }
  std::shared_ptr<const dkim::Keyring> ring;
  std::map<std::string, std::string> published;
};
inline const Keys& keys() {
  static const Keys made;
  return made;
}

}  // namespace hoplock::smtpclient::testing
