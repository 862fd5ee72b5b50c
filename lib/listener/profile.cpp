// SPDX-License-Identifier: Apache-2.0
#include "listener/profile.h"

#include <algorithm>
#include <utility>

namespace hoplock::listener {

std::variant<std::shared_ptr<const Profile>, ListenError> make_profile(const Options& options, std::size_t index) {
  using What = ListenError::What;
  const Address& address = options.addresses[index];
  auto profile = std::make_shared<Profile>();
  profile->address = address;
  profile->limits = options.limits;
  profile->hostname = options.hostname;
  profile->postmaster = options.postmaster;
  profile->report_sender = options.report_sender;
  if (address.tls == smtp::TlsMode::none) return std::shared_ptr<const Profile>(std::move(profile));
  auto identity = net::ServerTls::load(address.certificate);
  if (!identity) return ListenError{index, What::certificate, identity.error()};
  profile->tls = std::move(*identity);
  if (!address.client_ca.empty()) {
    auto asking = net::ServerTls::load(address.certificate, address.client_ca);
    if (!asking) return ListenError{index, What::client_ca, asking.error()};
    profile->tls = std::move(*asking);
  }
  if (!address.users_file.empty()) {
    auto users = Users::load(address.users_file);
    if (!users) return ListenError{index, What::users_file, users.error()};
    profile->users = std::move(*users);
  }
  return std::shared_ptr<const Profile>(std::move(profile));
}

bool may_relay(const Profile& profile, const Ip& client) {
  return std::any_of(profile.address.allow.begin(), profile.address.allow.end(),
                     [&](const Network& network) { return network.contains(client); });
}

}  // namespace hoplock::listener
