// SPDX-License-Identifier: Apache-2.0
// Addresses of mail hosts, kept for whoever asks next: our own place is looked for among a domain's hosts before a host's turn comes, and
// thousands of domains have the same hosts. Kept within their TTL, five minutes at most (DANE-38), with what is left of it; failures and
// very long answers are not. Every other question goes straight through. Joins nothing: the resolver does.
#pragma once
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "resolver/resolver.h"
#include "route/cache.h"

namespace hoplock::route {

class Answers final : public resolver::Resolver {
 public:
  // REQUIRES: it outlives this, and this its look-ups.
  explicit Answers(resolver::Resolver& resolver) : resolver_(resolver) {}

  boost::asio::awaitable<dns::Answer> find(dns::Name name, dns::Type type) override;
  std::optional<std::string> validation_failure() const override { return resolver_.validation_failure(); }
  // Nothing that was asked until now is kept.
  void clear();
  std::size_t size() const { return kept_.size(); }

 private:
  using Question = std::pair<dns::Name, dns::Type>;
  struct Kept {
    dns::Answer answer;
    std::chrono::steady_clock::time_point until;
  };
  boost::asio::awaitable<dns::Answer> find_address(dns::Name name, dns::Type type);
  void keep(const dns::Answer& answer);

  static constexpr std::size_t capacity = 4096;
  resolver::Resolver& resolver_;
  Cache<Question, std::shared_ptr<const Kept>> kept_{capacity};
  unsigned cleared_ = 0;  // how often
};

}  // namespace hoplock::route
