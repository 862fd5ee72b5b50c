// SPDX-License-Identifier: Apache-2.0
#include "monitor/health.h"

#include <algorithm>
#include <boost/json.hpp>
#include <functional>
#include <utility>

#include "base/utf8.h"
#include "route/table.h"

namespace hoplock::monitor {

namespace {

constexpr std::size_t longest_sentence = 500;
constexpr std::uint64_t enough_fetches = 5;
constexpr std::chrono::seconds clock_tolerance{5};
constexpr std::chrono::minutes long_enough{5};  // that a next hop of our own refuses

// Found since the start or by a survey, but no longer those that a later survey does not see held: somebody removed them.
std::vector<store::Id> damaged(const DaemonStatus& status, const Survey* survey) {
  std::vector<store::Id> ids;
  const bool surveyed = survey != nullptr && survey->error.empty();
  if (surveyed) ids = survey->damaged;
  for (const DaemonStatus::Damage& one : status.damaged) {
    if (!surveyed || one.found >= survey->taken) ids.push_back(one.id);
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

std::string damaged_text(const std::vector<store::Id>& ids) {
  constexpr std::size_t most_named = 10;
  std::string text = ids.size() == 1 ? "1 stored message is damaged and held:"
                                     : std::to_string(ids.size()) + " stored messages are damaged and held:";
  for (std::size_t i = 0; i < ids.size() && i < most_named; ++i) text += " " + ids[i].text();
  if (ids.size() > most_named) text += " and others";
  return text + "; look at the disk, then remove them";
}

std::string clock_text(Milliseconds offset) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::abs(offset)).count();
  return "this machine's clock is " + std::to_string(seconds) + " s " + (offset.count() > 0 ? "behind" : "before") +
         " the store's; set it (chronyc tracking)";
}

// One thing at a time: what follows from a server that does not answer is no further problem.
void add_cluster(const ClusterStatus& cluster, const std::function<void(std::string_view, std::string_view)>& add) {
  if (!cluster.schema.empty()) add("schema", cluster.schema);
  if (!cluster.store) add("store", cluster.server + ": " + cluster.store.error().detail);
  if (!cluster.fenced.empty())
    add("fenced", "other nodes took this one for dead (" + cluster.fenced + "); it registers anew");
  else if (cluster.store && !cluster.lease)
    add("lease", "other nodes may take this one for dead: it takes and sends no mail until its beat is stored");
  if (cluster.store && !cluster.replication) add("replication", cluster.replication.error().detail);
  if (std::chrono::abs(cluster.clock_offset) > clock_tolerance) add("clock", clock_text(cluster.clock_offset));
}

std::string listeners_text(const DaemonStatus& status) {
  if (!status.accepts) return "";
  std::string text;
  for (const std::string& one : status.missing_listeners) text += (text.empty() ? "" : "; ") + one;
  if (!text.empty()) return text + "; tried again until it works";
  return status.listeners == 0 ? "no address is listened on" : "";
}

std::string certificates_text(const DaemonStatus& status) {
  std::string text;
  for (const auto& one : status.certificates) {
    if (one.expires > status.now || one.replaced) continue;
    text +=
        (text.empty() ? "" : "; ") + one.use + " " + one.subject + " ended " + to_rfc3339(one.expires).substr(0, 10);
  }
  return text.empty() ? text : text + "; renew it, a changed file is taken up by itself";
}

std::string places_text(const DaemonStatus& status) {
  return "clients were refused in the last minute: of " + std::to_string(status.places.limit) + " connections, " +
         std::to_string(status.open_connections) + " are open, " + std::to_string(status.places.strangers) +
         " of them by clients that may not relay";
}

std::string next_hops_text(const Survey& survey, Time now) {
  std::string text;
  for (const store::Wait* wait : failing_next_hops(survey)) {
    const auto begun = since(*wait);
    if (!begun || now - *begun < long_enough) continue;
    const store::DomainWait& first = wait->shown.front();
    text += (text.empty() ? "" : "; ") + std::string(route::next_hop(wait->nexthop)) + " has taken nothing since " +
            to_rfc3339(*begun) + ", " + std::to_string(wait->count.count) +
            " wait: " + (first.reply.empty() ? wait->reason : first.reply);
  }
  return text;
}

// Which part of the database, and why.
std::string unread_text(const Survey& survey) {
  const Survey::Unread& unread = survey.unread;
  const bool all = unread.queue == unread.reports && unread.queue == unread.policies;
  if (all) return "the database cannot be read: " + survey.error;
  std::string text;
  const auto add = [&text](std::string_view part, const std::string& why) {
    if (!why.empty()) text += (text.empty() ? "" : "; ") + std::string(part) + " cannot be read: " + why;
  };
  add("the queue", unread.queue);
  add("the ledger of TLS reports", unread.reports);
  add("the MTA-STS policies", unread.policies);
  return text;
}

}  // namespace

std::vector<const store::Wait*> failing_next_hops(const Survey& survey) {
  std::vector<const store::Wait*> all;
  for (const store::Wait& wait : survey.waits) {
    if (route::has_hosts(wait.nexthop) && wait.extent == store::Wait::Extent::whole && !wait.shown.empty())
      all.push_back(&wait);
  }
  return all;
}

std::optional<Time> since(const store::Wait& wait) {
  std::optional<Time> first;
  for (const store::DomainWait& one : wait.shown) {
    const auto time = one.since ? one.since : one.last;
    if (time && (!first || *time < *first)) first = time;
  }
  return first;
}

std::vector<Problem> problems(const DaemonStatus& status, const Survey* survey, Counters::Fetches fetches) {
  std::vector<Problem> found;
  const auto add = [&found](std::string_view name, std::string_view text) {
    found.push_back({name, to_one_line(text, longest_sentence)});
  };
  if (status.dns_silence)
    add("dns", *status.dns_silence + "; mail routed by MX waits");
  else if (status.validation_failure)
    add("dnssec", *status.validation_failure + "; mail routed by MX waits");
  if (status.cluster) add_cluster(*status.cluster, add);
  if (!status.store) add("store", "the last transaction failed: " + status.store.error().detail);
  if (const auto ids = damaged(status, survey); !ids.empty()) add("damaged", damaged_text(ids));
  const bool full = !status.accepting && (!status.cluster || status.accepting.error().code == errc::no_space_on_device);
  if (status.store && full) add("disk-space", "no new mail is taken: " + status.accepting.error().detail);
  if (const auto text = listeners_text(status); !text.empty()) add("listeners", text);
  if (status.places.full) add("connections", places_text(status));
  if (!status.descriptors) add("descriptors", "no descriptor is left: " + status.descriptors.error().detail);
  if (fetches.good == 0 && fetches.failed >= enough_fetches) {
    add("policies", "all " + std::to_string(fetches.failed) +
                        " fetches of MTA-STS policies in the last hour failed: can this machine reach port 443?");
  }
  const bool away = status.cluster && !status.cluster->store;  // then it cannot be read either
  if (survey != nullptr && !survey->error.empty() && !away) add("survey", unread_text(*survey));
  if (const auto text = certificates_text(status); !text.empty()) add("certificates", text);
  if (!status.log_problem.empty()) add("log", status.log_problem);
  if (survey != nullptr) {
    if (const auto text = next_hops_text(*survey, status.now); !text.empty()) add("nexthop", text);
  }
  if (status.stalled) add("recovery", "what became of deliveries cannot be stored; nothing new is sent until it is");
  return found;
}

std::string to_text(const std::vector<Problem>& problems) {
  if (problems.empty()) return "ok\n";
  std::string text;
  for (const Problem& one : problems) text += std::string(one.name) + ": " + one.text + "\n";
  return text;
}

std::string to_json(const std::vector<Problem>& problems) {
  boost::json::array list;
  for (const Problem& one : problems) list.push_back({{"problem", one.name}, {"text", one.text}});
  const boost::json::object object{{"status", problems.empty() ? "ok" : "failed"}, {"problems", std::move(list)}};
  return boost::json::serialize(object) + "\n";
}

}  // namespace hoplock::monitor
