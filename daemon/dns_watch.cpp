// SPDX-License-Identifier: Apache-2.0
#include "daemon/dns_watch.h"

#include <chrono>
#include <utility>
namespace hoplock::daemon {

namespace asio = boost::asio;

namespace {
constexpr std::chrono::minutes pause_after_silence{1};
constexpr std::chrono::seconds pause_in_silence{30};   // while nobody answers
constexpr std::chrono::hours pause_when_answered{24};  // only failures are a reason to look
constexpr std::chrono::minutes between_doubts{1};
constexpr int suspicious_failures = 3;
}  // namespace

void DnsWatch::set(resolver::Options options, Consequences consequences) {
  options_ = std::move(options);
  consequences_ = std::move(consequences);
  doubt();
}

void DnsWatch::doubt() {
  doubtful_ = true;
  wake_.notify_all();
}

asio::awaitable<void> DnsWatch::listen() {
  for (;;) {
    doubtful_ = false;
    const auto servers = probe::first_servers(options_);
    const auto found = co_await probe::find_silence(servers);
    // The resolver's own check is hourly, and may be answered from its cache: look-ups that fail meanwhile count for more.
    const bool works = failures_ < suspicious_failures && checked_ && !resolver_.validation_failure();
    const auto pause = take(works ? std::nullopt : found);
    const auto next = std::chrono::steady_clock::now() + pause;
    while (!doubtful_ && std::chrono::steady_clock::now() < next) co_await wake_.wait_until(next);
  }
}

void DnsWatch::worked() { failures_ = 0; }

void DnsWatch::failed() {
  if (++failures_ < suspicious_failures) return;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_doubt_) return;
  next_doubt_ = now + between_doubts;
  doubt();
}

// How long until the next look.
std::chrono::seconds DnsWatch::take(const std::optional<probe::Silence>& found) {
  if (found) {
    if (!silence_) {
      log_.write(Event(Level::error, "dns-failed")
                     .add("error", found->text + "; " + consequences_.of_silence + ": " + found->advice));
    }
    silence_ = found->text + ": " + found->advice;
    return pause_in_silence;
  }
  if (silence_) {
    end_silence();
    return pause_after_silence;  // what the resolver thinks is of the time before; it looks by itself until then
  }
  tell_validation();
  return pause_when_answered;
}

void DnsWatch::end_silence() {
  if (!silence_) return;
  silence_.reset();
  log_.write(Event(Level::info, "dns-works"));
}

asio::awaitable<void> DnsWatch::validate() {
  return resolver_.watch([this](const std::optional<std::string>& failure) { heard(failure); });
}

void DnsWatch::heard(const std::optional<std::string>& failure) {
  checked_ = true;
  if (failure) return doubt();  // is it that nobody answers?
  end_silence();
  tell_validation();
}

asio::awaitable<dns::Answer> WatchedResolver::find(dns::Name name, dns::Type type) {
  dns::Answer answer = co_await resolver_.find(std::move(name), type);
  if (answer.failed()) {
    watch_.failed();
  } else {
    watch_.worked();
  }
  co_return answer;
}

void DnsWatch::tell_validation() {
  if (!checked_) return;
  const auto failure = resolver_.validation_failure();
  if (told_ && *told_ == failure) return;
  told_ = failure;
  if (failure) {
    log_.write(Event(Level::error, "dnssec-failed").add("error", *failure + "; " + consequences_.of_failure));
  } else {
    log_.write(Event(Level::info, "dnssec-works"));
  }
}

}  // namespace hoplock::daemon
