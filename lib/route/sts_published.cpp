// SPDX-License-Identifier: Apache-2.0
#include "route/sts_published.h"

#include <utility>

namespace hoplock::route {

using boost::asio::awaitable;
using hop::Reason;
using hop::Refusal;

namespace {

std::string beginning_of(std::string text) {
  if (text.size() <= most_refused) return text;
  const auto end = text.rfind('\n', most_refused - 1);
  text.resize(end == std::string::npos ? most_refused : end + 1);
  return text;
}

}  // namespace

awaitable<PolicyTxt> find_policy_txt(resolver::Resolver& resolver, dns::Name domain) {
  PolicyTxt found;
  const auto owner = domain.under(mtasts::record_label);
  if (!owner) co_return found;  // no such name can exist
  const dns::Answer answer = co_await resolver.find(*owner, dns::Type::txt);
  if (answer.failed()) {
    const bool bogus = answer.security == dns::Security::bogus;
    found.failure = Refusal{bogus ? Reason::dnssec_invalid : Reason::dns_failure,
                            "the look-up of the TXT record " + owner->text() + " failed: " + answer.why};
    co_return found;
  }
  found.texts = answer.all<std::string>();
  found.choice = mtasts::choose_record(found.texts);
  found.ttl = answer.ttl;
  co_return found;
}

awaitable<PolicyFetched> fetch_policy(PolicyFetch& fetch, dns::Name domain) {
  FetchedText fetched = co_await fetch.fetch(std::move(domain));
  if (auto* refusal = std::get_if<Refusal>(&fetched)) {
    NoPolicy none{std::move(*refusal)};
    co_return PolicyFetched(std::move(none));
  }
  FetchedPolicy found;
  found.text = std::get<std::string>(std::move(fetched));
  auto policy = mtasts::parse_policy(found.text);
  if (!policy) {
    NoPolicy none{Refusal{Reason::sts_policy_invalid, policy.error().detail}, beginning_of(std::move(found.text))};
    co_return PolicyFetched(std::move(none));
  }
  found.policy = std::move(*policy);
  co_return found;
}

awaitable<Published> find_published(resolver::Resolver& resolver, PolicyFetch& fetch, dns::Name domain) {
  Published found;
  found.txt = co_await find_policy_txt(resolver, domain);
  if (found.txt.valid()) found.fetched = co_await fetch_policy(fetch, std::move(domain));
  co_return found;
}

hop::StsFact fact_of(const Published& published) {
  using State = hop::StsFact::State;
  hop::StsFact fact;
  if (published.txt.failure) {
    fact.state = State::unknown;
    fact.problem = published.txt.failure;
  }
  if (!published.fetched) return fact;
  if (const auto* none = std::get_if<NoPolicy>(&*published.fetched)) {
    fact.problem = none->why;
    fact.refused = none->text;
    return fact;
  }
  const auto& [text, policy] = std::get<FetchedPolicy>(*published.fetched);
  fact.state = State::live;
  fact.id = published.txt.choice.id;
  fact.policy = policy;
  fact.text = text;
  return fact;
}

}  // namespace hoplock::route
