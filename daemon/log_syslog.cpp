// SPDX-License-Identifier: Apache-2.0
#include "daemon/log_syslog.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "daemon/log_channel.h"
#include "resolver/addresses.h"

namespace hoplock::daemon {

namespace {
using SteadyClock = std::chrono::steady_clock;
using namespace std::chrono_literals;
constexpr auto first_pause = 1s;
constexpr auto longest_pause = 60s;
constexpr auto to_look_up = 10s;
constexpr std::size_t most_datagram = 60'000;  // octets; what UDP carries is less than 64 KiB

constexpr int mail_facility = 2;
int severity(Level level) {
  switch (level) {
    case Level::error:
      return 3;
    case Level::warn:
      return 4;
    case Level::info:
      return 6;
    case Level::debug:
    case Level::trace:
      break;
  }
  return 7;
}

// RFC 5424 section 6: PRINTUSASCII, "-" for nothing.
std::string header_word(std::string_view text, std::size_t most) {
  std::string word;
  for (const char c : text.substr(0, most)) word += c > ' ' && c < 0x7f ? c : '?';
  return word.empty() ? "-" : word;
}

std::string frame_of(std::string_view message, config::Syslog::Transport transport) {
  if (transport != config::Syslog::Transport::udp) return std::to_string(message.size()) + " " + std::string(message);
  std::size_t end = std::min(message.size(), most_datagram);
  while (end < message.size() && end > 0 && (static_cast<unsigned char>(message[end]) & 0xC0U) == 0x80U) --end;
  return std::string(message.substr(0, end));
}

class SyslogTarget final : public LogTarget {
 public:
  SyslogTarget(SyslogOptions options, std::shared_ptr<SyslogPlace> place, SyslogNews news)
      : options_(std::move(options)), place_(std::move(place)), news_(std::move(news)) {}

  Wrote write_some(std::string_view text) override;

 private:
  Wrote open();
  Wrote failed(const std::string& why);
  Wrote no_address();
  Wrote send(std::string_view text);

  const SyslogOptions options_;
  const std::shared_ptr<SyslogPlace> place_;
  const SyslogNews news_;
  std::unique_ptr<LogChannel> channel_;  // null: closed
  std::size_t turn_ = 0;                 // which address is next
  SteadyClock::time_point next_try_{};
  std::chrono::seconds pause_{first_pause};
  std::string line_;      // which is under way
  std::string frame_;     // of it; empty: none is
  std::size_t sent_ = 0;  // octets of the frame
  std::string error_;
  std::string told_;  // "": nothing bad
  const SteadyClock::time_point made_ = SteadyClock::now();
};

LogTarget::Wrote SyslogTarget::failed(const std::string& why) {
  channel_.reset();
  frame_.clear();  // the next connection begins with the whole message
  error_ = options_.server.text() + ": " + why;
  next_try_ = SteadyClock::now() + pause_;
  pause_ = std::min<std::chrono::seconds>(pause_ * 2, longest_pause);
  if (std::exchange(told_, error_) != error_) news_(error_);
  return {0, error_, false};
}

// At a start the look-up takes its time, and is no failure.
LogTarget::Wrote SyslogTarget::no_address() {
  if (SteadyClock::now() - made_ > to_look_up) return failed("its name has no address");
  return {0, "its name has no address yet", false};
}

LogTarget::Wrote SyslogTarget::open() {
  if (SteadyClock::now() < next_try_) return {0, error_, false};
  const auto addresses = place_->addresses();
  if (addresses.empty()) return no_address();
  const LogChannel::Peer peer{addresses[turn_++ % addresses.size()], options_.server, options_.ca_file};
  channel_ = std::make_unique<LogChannel>(peer);
  return {};
}

LogTarget::Wrote SyslogTarget::send(std::string_view text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  if (frame_.empty()) {
    if (const auto ended = channel_->ended(); !ended.empty()) return failed(ended);
    line_ = line;
    frame_ = frame_of(line, options_.server.transport);
    sent_ = 0;
  }
  const auto step = channel_->send(std::string_view(frame_).substr(sent_));
  if (!step.error.empty()) return failed(step.error);
  sent_ += step.octets;
  if (sent_ < frame_.size()) return {};
  frame_.clear();
  if (line_ != line) return {};
  pause_ = first_pause;
  if (!std::exchange(told_, {}).empty()) news_("");
  return {std::min(line.size() + 1, text.size()), {}, false};
}

LogTarget::Wrote SyslogTarget::write_some(std::string_view text) {
  if (!channel_) {
    if (auto waits = open(); !channel_) return waits;
  }
  const auto step = channel_->open_some();
  if (!step.error.empty()) return failed(step.error);
  return channel_->is_open() ? send(text) : Wrote{};
}

class NoTarget final : public LogTarget {
 public:
  Wrote write_some(std::string_view text) override { return {text.size(), {}, false}; }
};
}  // namespace

std::string to_syslog(const Event& event, std::string_view line, const SyslogOrigin& origin, Time time) {
  return "<" + std::to_string(8 * mail_facility + severity(event.level())) + ">1 " + to_rfc3339(time) + " " +
         header_word(origin.hostname, 255) + " hoplockd " + std::to_string(origin.process) + " " +
         header_word(event.name(), 32) + " - " + std::string(line);
}

SyslogPlace::SyslogPlace(const config::Syslog& server) {
  if (const auto ip = Ip::parse(server.host)) {
    addresses_ = {*ip};
  } else if (auto name = dns::Name::parse(server.host)) {
    name_ = std::move(*name);
  }
}

std::vector<Ip> SyslogPlace::addresses() const {
  const std::lock_guard lock(mutex_);
  return addresses_;
}

void SyslogPlace::set(std::vector<Ip> addresses) {
  const std::lock_guard lock(mutex_);
  addresses_ = std::move(addresses);
}

boost::asio::awaitable<void> follow_syslog(std::weak_ptr<SyslogPlace> place, resolver::Resolver& resolver) {
  constexpr std::chrono::seconds while_unknown{5};
  constexpr std::chrono::seconds usually{300};
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
  for (;;) {
    std::optional<dns::Name> name;
    if (const auto watched = place.lock()) name = watched->name();
    if (!name) co_return;
    const auto answers = co_await resolver::find_addresses(resolver, *name, resolver::Families::both);
    auto addresses = resolver::addresses_in(answers);
    bool known = !addresses.empty();
    if (const auto watched = place.lock()) {
      if (known) watched->set(std::move(addresses));
      known = known || !watched->addresses().empty();
    }
    timer.expires_after(known ? usually : while_unknown);
    co_await timer.async_wait(boost::asio::use_awaitable);
  }
}

std::shared_ptr<LogTarget> make_syslog_target(SyslogOptions options, std::shared_ptr<SyslogPlace> place,
                                              SyslogNews news) {
  return std::make_shared<SyslogTarget>(std::move(options), std::move(place), std::move(news));
}

std::shared_ptr<LogTarget> make_no_target() { return std::make_shared<NoTarget>(); }

}  // namespace hoplock::daemon
