// SPDX-License-Identifier: Apache-2.0
#include "delivery/route_check.h"

#include <algorithm>
#include <utility>

namespace hoplock::delivery {

void RouteCheck::begin_anew() {
  has_hosts_ = true;
  confirmed_by_ = nullptr;  // the rules may have changed meanwhile
}

bool RouteCheck::holds() {
  Attempt& attempt = progress_.attempt;
  const Common& common = progress_.common;
  if (attempt.displaced) return false;
  const route::TablePtr rules = common.router.rules();
  const Time at = progress_.now();
  const bool same_options = std::exchange(generation_, common.generation) == common.generation;
  const bool same_rules = rules == confirmed_by_ && at >= confirmed_at_;
  if (same_options && same_rules && (!confirmed_until_ || at < *confirmed_until_)) return true;
  const auto& recipients = progress_.job->recipients;
  for (const store::Due& due : recipients)
    attempt.displaced = attempt.displaced || rules->destination(due.domain, at) != progress_.job->destination;
  const dns::Name& domain = recipients.front().domain;
  const route::Hosts& hosts = progress_.hosts;
  const bool same_way = !has_hosts_ || (route::is_same_way(rules->match(domain, at), hosts.route) &&
                                        rules->rule(domain, at) == hosts.rule);
  attempt.displaced = attempt.displaced || !same_way || !leaves_from_there();
  confirmed_by_ = rules;
  confirmed_at_ = at;
  confirmed_until_ = rules->next_end(at);
  return !attempt.displaced;
}

// `sources` may say otherwise by now: for those whom it is the turn of.
bool RouteCheck::leaves_from_there() const {
  return !progress_.source || std::all_of(progress_.open.begin(), progress_.open.end(), [this](std::size_t i) {
    return progress_.source_of(progress_.job->recipients[i].domain) == *progress_.source;
  });
}

}  // namespace hoplock::delivery
