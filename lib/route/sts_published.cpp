#include "route/sts_published.h"

#include <utility>

namespace hoplock::route {

using boost::asio::awaitable;
using hop::Reason;
using hop::Refusal;

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
  if (auto* refusal = std::get_if<Refusal>(&fetched)) co_return std::move(*refusal);
  FetchedPolicy found;
  found.text = std::get<std::string>(std::move(fetched));
  auto policy = mtasts::parse_policy(found.text);
  if (!policy) co_return Refusal{Reason::sts_policy_invalid, policy.error().detail};
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
  if (const auto* refusal = std::get_if<Refusal>(&*published.fetched)) {
    fact.problem = *refusal;
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
