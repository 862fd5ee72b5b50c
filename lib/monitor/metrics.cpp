// SPDX-License-Identifier: Apache-2.0
#include "monitor/metrics.h"

#include <algorithm>
#include <map>

#include "base/version.h"
#include "monitor/exposition.h"

namespace hoplock::monitor {

namespace {

using Type = Exposition::Type;

double seconds(Time time) { return static_cast<double>(to_millis(time)) / 1000; }

double age(const std::optional<Time>& oldest, Time now) {
  return oldest ? std::max(0.0, seconds(now) - seconds(*oldest)) : 0;
}

void write_health(Exposition& to, const std::vector<Problem>& problems) {
  to.gauge("hoplock_healthy", "1 when /healthz says ok, else 0.", problems.empty() ? 1 : 0);
  to.family("hoplock_problem", Type::gauge, "1 while this is wrong, else 0.");
  for (const auto name : problem_names) {
    const bool wrong = std::any_of(problems.begin(), problems.end(), [&](const auto& one) { return one.name == name; });
    to.sample({{"problem", name}}, std::uint64_t{wrong ? 1U : 0U});
  }
}

void write_process(Exposition& to, const DaemonStatus& status) {
  to.family("hoplock_info", Type::gauge, "Always 1; the version that runs.");
  to.sample({{"version", HOPLOCK_VERSION}}, std::uint64_t{1});
  to.gauge("hoplock_start_time_seconds", "When the daemon started, in seconds since 1970.", seconds(status.started));
  to.gauge("hoplock_resident_memory_bytes", "Memory of the process.", static_cast<double>(status.resident_octets));
  to.family("hoplock_cpu_seconds_total", Type::counter, "Processor time of the process.");
  to.sample({}, status.processor_seconds);
  to.counter("hoplock_connections_total", "Connections of clients.", status.connections);
  to.gauge("hoplock_connections_open", "Clients that are connected.", static_cast<double>(status.open_connections));
  to.gauge("hoplock_connections_limit", "limits.connections.", static_cast<double>(status.places.limit));
  to.gauge("hoplock_connections_strangers", "Clients that are connected and may not relay.",
           static_cast<double>(status.places.strangers));
  to.counter("hoplock_connections_refused_total", "Clients refused for want of a place.", status.places.refused);
  to.counter("hoplock_connections_gave_way_total", "Idle strangers whose place another client got.",
             status.places.gave_way);
  to.gauge("hoplock_listeners", "Addresses that are listened on.", static_cast<double>(status.listeners));
  to.gauge("hoplock_listeners_missing", "Addresses that are in use or not there, and are tried again.",
           static_cast<double>(status.missing_listeners.size()));
  to.gauge("hoplock_sessions_open", "Outbound sessions that are open, being opened, or idle.",
           static_cast<double>(status.workers));
  to.gauge("hoplock_destinations", "Next hops that the scheduler knows work for.",
           static_cast<double>(status.destinations));
  to.gauge("hoplock_free_bytes", "Space that the queue may take, pages that the database has free among it.",
           static_cast<double>(status.free_octets));
  to.gauge("hoplock_min_free_bytes", "limits.min_free_space: below it new mail gets 452.",
           static_cast<double>(status.min_free_octets));
  to.counter("hoplock_log_lines_dropped_total", "Log lines that the log's target did not take.",
             status.log_lines_dropped);
  to.family("hoplock_certificate_expiry_timestamp_seconds", Type::gauge,
            "When a certificate of ours ends, in seconds since 1970; use: listener, client, client-ca or http.");
  for (const auto& one : status.certificates) {
    if (!one.replaced || one.expires > status.now)
      to.sample({{"use", one.use}, {"subject", one.subject}}, seconds(one.expires));
  }
  to.family("hoplock_store_bytes", Type::gauge, "Size of the store's files: the database, and its write-ahead log.");
  to.sample({{"file", "database"}}, status.database_octets);
  to.sample({{"file", "log"}}, status.log_octets);
  to.family("hoplock_commit_seconds", Type::histogram,
            "Transactions brought to stable storage: how long the commit took.");
  to.sample(status.commits);
}

void write_cluster(Exposition& to, const ClusterStatus& cluster) {
  to.family("hoplock_nodes", Type::gauge, "Nodes that share the store, by state, as this one sees them.");
  for (const char* state : {"alive", "dead", "left"}) {
    const auto found = cluster.nodes.find(state);
    to.sample({{"state", state}}, found == cluster.nodes.end() ? std::uint64_t{0} : found->second);
  }
  to.gauge("hoplock_nodes_routes_differ", "1 while a node that is alive has other routes than this one.",
           cluster.routes_differ ? 1 : 0);
  to.gauge("hoplock_lease_valid_seconds", "How long this node may go on without another beat.",
           std::max(0.0, cluster.lease_seconds));
  to.counter("hoplock_lease_lost_total", "Recipients whose result came when another node had them: sent twice at most.",
             cluster.leases_lost);
  to.counter("hoplock_takeover_total", "Dead nodes whose mail this one gave to the others.", cluster.takeovers);
  to.counter("hoplock_store_unknown_total", "Commits whose outcome was not known at once, and was settled.",
             cluster.unknown);
  to.counter("hoplock_store_replay_total", "Of these, those that turned out to stand.", cluster.replayed);
  to.counter("hoplock_store_round_trips_total", "Round trips to the store's server.", cluster.round_trips);
  to.gauge("hoplock_replication_synchronous", "1 while a synchronous standby has what is committed.",
           cluster.synchronous ? 1 : 0);
  to.gauge("hoplock_replication_lag_bytes", "Of the synchronous standby that is furthest.",
           static_cast<double>(cluster.lag_octets));
  to.gauge("hoplock_store_dead_rows", "Rows of the queue that the server has yet to clean up.",
           static_cast<double>(cluster.dead_rows));
  to.gauge("hoplock_store_clock_offset_seconds", "The server's clock less this machine's.",
           static_cast<double>(cluster.clock_offset.count()) / 1000);
}

void write_queue(Exposition& to, const Survey& survey, Time now) {
  const auto& stats = survey.queue;
  to.gauge("hoplock_queue_messages", "Messages in the queue.", static_cast<double>(stats.messages));
  to.gauge("hoplock_queue_oldest_seconds", "Age of the oldest message in the queue; 0: there is none.",
           age(stats.oldest, now));
  to.gauge("hoplock_queue_domains", "Domains that mail is queued for.", static_cast<double>(survey.domains));
  std::map<std::string_view, store::Stats::Count> states;
  for (const auto state : {"active", "queued", "deferred", "held"}) states[state];  // also where there are none
  for (const auto& one : stats.states) states[one.state] = one.count;
  to.family("hoplock_queue_recipients", Type::gauge, "Recipients of queued messages, by state.");
  for (const auto& [state, count] : states) to.sample({{"state", state}}, count.count);
  to.family("hoplock_queue_recipient_oldest_seconds", Type::gauge, "Age of the oldest of them; 0: there is none.");
  for (const auto& [state, count] : states) to.sample({{"state", state}}, age(count.oldest, now));
  to.gauge("hoplock_queue_damaged_messages", "Messages that are held because their stored body is damaged.",
           static_cast<double>(survey.damaged.size()));
}

void write_survey(Exposition& to, const Survey& survey, Time now) {
  if (survey.error.empty()) {
    write_queue(to, survey, now);
    to.family("hoplock_sts_policies", Type::gauge, "MTA-STS policies that are kept.");
    to.sample({{"state", "in-force"}}, survey.policies.in_force);
    to.sample({{"state", "lapsed"}}, survey.policies.lapsed);
    to.gauge("hoplock_sts_policies_failing", "Domains whose last fetch of a policy failed.",
             static_cast<double>(survey.policies.failing));
  }
  to.gauge("hoplock_survey_time_seconds", "When the database was read for these, in seconds since 1970.",
           seconds(survey.taken));
  to.gauge("hoplock_survey_duration_seconds", "How long that took.",
           std::chrono::duration<double>(survey.took).count());
}

}  // namespace

std::string to_metrics(const Counters& counters, const DaemonStatus& status, const Survey* survey,
                       const std::vector<Problem>& problems) {
  Exposition to;
  write_health(to, problems);
  counters.write(to);
  write_process(to, status);
  if (status.cluster) write_cluster(to, *status.cluster);
  if (survey != nullptr) write_survey(to, *survey, status.now);
  return to.take();
}

}  // namespace hoplock::monitor
