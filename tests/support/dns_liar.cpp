// SPDX-License-Identifier: Apache-2.0
#include "tests/support/dns_liar.h"

#include <algorithm>
#include <boost/asio.hpp>

namespace hoplock::support {

namespace asio = boost::asio;

namespace {

std::string number16(std::size_t value) {
  return {static_cast<char>(static_cast<unsigned char>(value >> 8U)),
          static_cast<char>(static_cast<unsigned char>(value))};
}

std::size_t read16(const std::string& wire, std::size_t at) {
  return (static_cast<std::size_t>(static_cast<unsigned char>(wire[at])) << 8U) |
         static_cast<unsigned char>(wire[at + 1]);
}

// Where the question ends.
std::size_t question_end(const std::string& wire) {
  std::size_t at = 12;
  while (wire[at] != 0) at += static_cast<unsigned char>(wire[at]) + 1U;
  return at + 5;
}

std::string render(const DnsQuery& query, const DnsReply& reply) {
  if (reply.raw) return query.wire.substr(0, 2) + *reply.raw;
  std::string wire = query.wire.substr(0, 2);
  wire += static_cast<char>(0x84 | (query.wire[2] & 1) | (reply.truncated ? 2 : 0));
  wire += static_cast<char>(0x80 | (reply.authentic ? 0x20 : 0) | reply.rcode);
  wire += number16(1) + number16(reply.answers.size()) + number16(0) + number16(0);
  wire += query.wire.substr(12, question_end(query.wire) - 12);
  for (const std::string& rdata : reply.answers) {
    wire +=
        "\xC0\x0C" + number16(query.type) + number16(1) + number16(reply.ttl >> 16U) + number16(reply.ttl & 0xFFFFU);
    wire += number16(rdata.size()) + rdata;
  }
  return wire;
}

}  // namespace

bool DnsQuery::dnssec_ok() const {
  const std::size_t at = question_end(wire);
  return wire.size() >= at + 11 && wire[at] == 0 && read16(wire, at + 1) == 41 && (wire[at + 7] & 0x80) != 0;
}

DnsLiar::DnsLiar(asio::io_context& io, Behave behave)
    : socket_(io, asio::ip::udp::endpoint(asio::ip::make_address("127.0.0.1"), 0)), behave_(std::move(behave)) {
  receive();
}

std::size_t DnsLiar::count(const std::string& name, std::uint16_t type) const {
  const auto same = [&](const DnsQuery& query) { return query.name.text() == name && query.type == type; };
  return static_cast<std::size_t>(std::count_if(asked_.begin(), asked_.end(), same));
}

void DnsLiar::receive() {
  socket_.async_receive_from(asio::buffer(buffer_), from_, [this](boost::system::error_code error, std::size_t size) {
    if (error == asio::error::operation_aborted) return;
    if (!error && size > 16) {
      DnsQuery query;
      query.wire.assign(buffer_.data(), size);
      const std::size_t end = question_end(query.wire);
      query.name = dns::Name::from_wire(std::string_view(query.wire).substr(12, end - 16)).value();
      query.type = static_cast<std::uint16_t>(read16(query.wire, end - 4));
      asked_.push_back(query);
      reply(query, from_);
    }
    receive();
  });
}

void DnsLiar::reply(const DnsQuery& query, asio::ip::udp::endpoint to) {
  const auto answer = behave_(query);
  if (!answer) return;
  const std::string wire = render(query, *answer);
  if (answer->delay.count() == 0) {
    socket_.send_to(asio::buffer(wire), to);
    return;
  }
  auto timer = std::make_shared<asio::steady_timer>(socket_.get_executor(), answer->delay);
  timer->async_wait([this, timer, wire, to](boost::system::error_code error) {
    if (!error) socket_.send_to(asio::buffer(wire), to);
  });
}

}  // namespace hoplock::support
