// SPDX-License-Identifier: Apache-2.0
// A name server that answers whatever the test wants, on UDP at a port of 127.0.0.1, from the test's own loop. It remembers what
// it was asked. Nothing listens on TCP, so a truncated reply stays truncated.
#pragma once
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dns/name.h"

namespace hoplock::support {

struct DnsQuery {
  dns::Name name;
  std::uint16_t type = 0;
  std::string wire;  // the whole message
  bool recursion_desired() const { return (wire[2] & 1) != 0; }
  bool checking_disabled() const { return (wire[3] & 0x10) != 0; }
  bool dnssec_ok() const;  // EDNS0 with DO
};

struct DnsReply {
  std::uint8_t rcode = 0;
  bool authentic = false;  // the AD bit
  bool truncated = false;
  std::vector<std::string> answers;  // rdata of records at the question's name and type
  std::uint32_t ttl = 60;
  std::chrono::milliseconds delay{0};
  std::optional<std::string> raw;  // sent as it is instead
};

class DnsLiar {
 public:
  // Nothing: no reply at all.
  using Behave = std::function<std::optional<DnsReply>(const DnsQuery&)>;
  DnsLiar(boost::asio::io_context& io, Behave behave);

  std::uint16_t port() const { return socket_.local_endpoint().port(); }
  const std::vector<DnsQuery>& asked() const { return asked_; }
  // How often this question came.
  std::size_t count(const std::string& name, std::uint16_t type) const;

 private:
  void receive();
  void reply(const DnsQuery& query, boost::asio::ip::udp::endpoint to);
  boost::asio::ip::udp::socket socket_;
  Behave behave_;
  std::vector<DnsQuery> asked_;
  std::array<char, 4096> buffer_{};
  boost::asio::ip::udp::endpoint from_;
};

}  // namespace hoplock::support
