// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

namespace hoplock::config {

Listener::Listener() {
  at = {*Ip::parse("127.0.0.1"), 2525};
  allow = {*Network::parse("127.0.0.0/8"), *Network::parse("::1")};
}

Config::Config()
    : units{{"mta_sts.fetch_timeout", std::chrono::seconds{1}}, {"mta_sts.refresh", std::chrono::hours{1}}} {
  delivery.counting.enabled = true;
}

}  // namespace hoplock::config
