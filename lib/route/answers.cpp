// SPDX-License-Identifier: Apache-2.0
#include "route/answers.h"

#include <algorithm>
#include <chrono>
#include <memory>

namespace hoplock::route {

using boost::asio::awaitable;

namespace {
constexpr std::chrono::seconds keep_address{300};
constexpr std::size_t most_addresses = 32;  // of an answer that is kept
}  // namespace

awaitable<dns::Answer> Answers::find(dns::Name name, dns::Type type) {
  if (type == dns::Type::a || type == dns::Type::aaaa) return find_address(std::move(name), type);
  return resolver_.find(std::move(name), type);
}

awaitable<dns::Answer> Answers::find_address(dns::Name name, dns::Type type) {
  const auto now = std::chrono::steady_clock::now();
  if (const auto found = kept_.find(Question(name, type), now)) {
    dns::Answer answer = (*found)->answer;
    answer.ttl = std::chrono::floor<std::chrono::seconds>((*found)->until - now);
    co_return answer;
  }
  const unsigned cleared = cleared_;
  dns::Answer answer = co_await resolver_.find(std::move(name), type);
  // While validation fails everything looks insecure (DNS-04).
  if (cleared == cleared_ && !resolver_.validation_failure()) keep(answer);
  co_return answer;
}

void Answers::keep(const dns::Answer& answer) {
  const auto time = std::min(answer.ttl, keep_address);
  if (answer.failed() || time.count() <= 0 || answer.records.size() > most_addresses) return;
  auto kept = std::make_shared<Kept>();
  kept->answer = answer;
  kept->until = std::chrono::steady_clock::now() + time;
  const auto until = kept->until;
  kept_.put(Question(answer.question, answer.type), std::move(kept), until);
}

void Answers::clear() {
  kept_.clear();
  ++cleared_;
}

}  // namespace hoplock::route
