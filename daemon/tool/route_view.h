// SPDX-License-Identifier: Apache-2.0
// Which route an address takes and on what terms each host would get its mail, as `hoplock check --route` shows it, to programs and to
// people. Pure.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "daemon/tool/json.h"
#include "daemon/tool/tool.h"
#include "probe/finding.h"
#include "route/table.h"

namespace hoplock::daemon::tool {

struct RouteExplanation {
  std::string address;
  route::RoutePtr route;                 // null: none matches
  std::optional<std::size_t> position;   // of that route, from 0
  std::size_t routes = 0;                // how many there are
  std::vector<route::RoutePtr> skipped;  // would have matched, but their `until` has passed
  hop::LocalRule rule;
  partners::Terms partner;  // what was agreed on
  std::string destination;  // whose mail shares sessions
  std::string obstacle;     // why the route's certificate or password cannot be used; "": nothing stands in the way
  std::string unseen;       // the files of the route that this user may not read; "": none
  probe::Finding finding;   // judged by the rule, without connecting
};

// `{address, domain, destination, route:{position, match, hosts, tls, …}|null, skipped, rule:{…}, partner, obstacle, unseen, dnssec, reason, detail,
// mta_sts, hosts:[{host, port, preference, addresses, policy, plan:{…}|null, reason, detail}]}`
json::object to_json(const RouteExplanation& explained);
void print(const Console& console, const RouteExplanation& explained);

// Whether any host would be tried.
bool leads_anywhere(const RouteExplanation& explained);

}  // namespace hoplock::daemon::tool
