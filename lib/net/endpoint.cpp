// SPDX-License-Identifier: Apache-2.0
#include "net/endpoint.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <cstring>

namespace hoplock::net {

namespace asio = boost::asio;

namespace {
template <class Bytes>
Bytes bytes_of(const std::string& octets) {
  Bytes bytes{};
  std::transform(octets.begin(), octets.end(), bytes.begin(), [](char c) { return static_cast<unsigned char>(c); });
  return bytes;
}

template <class Bytes>
Ip ip_of(const Bytes& bytes) {
  return Ip::from_octets(std::string(bytes.begin(), bytes.end()));
}
}  // namespace

asio::ip::tcp::endpoint to_asio(const Endpoint& endpoint) {
  const std::string octets = endpoint.ip.octets();
  if (endpoint.ip.is_v4()) {
    return {asio::ip::address_v4(bytes_of<asio::ip::address_v4::bytes_type>(octets)), endpoint.port};
  }
  return {asio::ip::address_v6(bytes_of<asio::ip::address_v6::bytes_type>(octets)), endpoint.port};
}

Endpoint from_asio(const asio::ip::tcp::endpoint& endpoint) {
  const auto& address = endpoint.address();
  const Ip ip = address.is_v4() ? ip_of(address.to_v4().to_bytes()) : ip_of(address.to_v6().to_bytes());
  return {ip.unmapped(), endpoint.port()};
}

Endpoint from_asio(const asio::generic::stream_protocol::endpoint& endpoint) {
  asio::ip::tcp::endpoint to;
  if (endpoint.protocol().family() == AF_UNIX || endpoint.size() > to.capacity()) return {};
  std::memcpy(to.data(), endpoint.data(), endpoint.size());
  to.resize(endpoint.size());
  return from_asio(to);
}

std::string Endpoint::text() const {
  const std::string host = ip.is_v4() ? ip.text() : "[" + ip.text() + "]";
  return host + ":" + std::to_string(port);
}

}  // namespace hoplock::net
