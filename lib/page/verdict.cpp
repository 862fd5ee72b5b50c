// SPDX-License-Identifier: Apache-2.0
#include "page/verdict.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "hop/names.h"
#include "page/markup.h"
#include "page/waiting.h"
#include "route/table.h"

namespace hoplock::page {

namespace {

using monitor::Problem;
using monitor::Survey;

constexpr std::chrono::days soon{30};        // as the log and `hoplock doctor` begin to tell of a certificate's end
constexpr std::chrono::hours old_enough{1};  // a queue that is younger is not old, whatever it mostly is
constexpr int much_older = 3;                // times the usual
constexpr std::uint64_t enough_attempts = 10;
constexpr std::uint64_t own_backlog = 10;        // recipients behind a host of our own routes
constexpr std::uint64_t others_backlog = 1'000;  // behind somebody else's
constexpr std::chrono::minutes read_lately{3};   // and twenty-five times as long as it took (survey.h)
constexpr int read_seldom = 25;

struct Meaning {
  std::string_view problem;
  std::string_view sentence;
  std::string_view command;
};
// The gravest first.
constexpr std::array<Meaning, 19> meanings{{
    {"store", "The queue cannot be written", "hoplock doctor"},
    {"fenced", "Other nodes took this one for dead", "hoplock nodes"},
    {"lease", "Other nodes may take this one for dead", "hoplock nodes"},
    {"replication", "No mail is taken, for it would be on one machine only", "hoplock nodes"},
    {"schema", "The store's tables do not fit this version", "hoplock store migrate"},
    {"recovery", "Results of deliveries cannot be stored", "hoplock doctor"},
    {"dnssec", "Our own DNSSEC validation does not work", "hoplock doctor"},
    {"dns", "Nobody answers our DNS look-ups", "hoplock doctor"},
    {"disk-space", "No new mail is taken, for the disk is full", "df -h"},
    {"descriptors", "No further connection can be opened", "systemctl edit hoplockd"},
    {"nexthop", "A next hop of our own takes no mail", "hoplock queue stats"},
    {"listeners", "An address of ours is not listened on", "ss -ltnp"},
    {"connections", "Clients are turned away for want of a place", "hoplock status"},
    {"survey", "Not all of the database can be read", "hoplock doctor"},
    {"damaged", "Stored mail is damaged and held", "hoplock queue list --state held"},
    {"certificates", "A certificate of ours has ended", "hoplock doctor"},
    {"clock", "This machine's clock is wrong", "timedatectl"},
    {"policies", "No MTA-STS policy can be fetched", "hoplock sts list"},
    {"log", "The log takes no lines", "hoplock doctor"},
}};
constexpr std::string_view next_hop_problem = "nexthop";
constexpr std::string_view survey_problem = "survey";

// A remark, and how the first sentence puts it.
struct Finding {
  std::size_t grave = meanings.size();  // the less, the graver
  std::string sentence;
  Remark remark;
  std::string rest{};  // of the remark, where the sentence stands before it; "": all of it
  bool flows = true;   // mail does, all the same
};

std::uint64_t recipients_in(const Survey& survey) {
  return std::accumulate(survey.queue.states.begin(), survey.queue.states.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const auto& one) { return sum + one.count.count; });
}

// Waiting mail is counted by recipients; where each message has one, they are messages.
std::string mail(std::uint64_t recipients, const Survey& survey) {
  if (recipients_in(survey) == survey.queue.messages)
    return counted(recipients, "message") + (recipients == 1 ? " waits" : " wait");
  return "mail for " + counted(recipients, "recipient") + " waits";
}

std::string manner(const store::Wait& wait) {
  const auto reason = hop::parse_reason(wait.reason);
  if (reason == hop::Reason::connect_timeout) return "silent";
  if (reason == hop::Reason::connection_lost) return "breaking off";
  if (reason == hop::Reason::dns_failure) return "not found in the DNS";
  if (reason && hop::kind(*reason) != hop::Kind::transport && hop::kind(*reason) != hop::Kind::reply)
    return "held up by " + wait.reason;
  return wait.extent == store::Wait::Extent::whole ? "refused" : "put off";
}

// "102,048 messages wait behind exch01.contoso.local:25, refused since 14:02 UTC"
std::string backlog(const store::Wait& wait, const View& view) {
  const auto since = monitor::since(wait);
  return mail(wait.count.count, *view.survey) + " behind " + std::string(route::next_hop(wait.nexthop)) + ", " +
         manner(wait) + (since ? " since " + moment(*since, view.status.now) : "");
}

std::uint64_t delivered_in(const View& view) {
  std::uint64_t sum = 0;
  for (const auto& one : view.last_hour)
    if (one.outcome == "delivered") sum += one.count;
  return sum;
}

void add_next_hops(const View& view, std::vector<Finding>& to) {
  if (view.survey == nullptr) return;
  const auto place =
      std::find_if(meanings.begin(), meanings.end(), [](const auto& one) { return one.problem == next_hop_problem; });
  for (const store::Wait* wait : monitor::failing_next_hops(*view.survey)) {
    const store::DomainWait& first = wait->shown.front();
    Finding finding;
    finding.grave = static_cast<std::size_t>(place - meanings.begin());
    finding.sentence = backlog(*wait, view);
    finding.rest =
        first.reply + (first.reply.empty() ? "" : ". ") + "Once it takes mail again: " + retry_command(*wait);
    finding.remark.text = capital(finding.sentence) + ". " + finding.rest;
    finding.remark.command = "hoplock check " + first.domain;
    to.push_back(std::move(finding));
  }
}

// Much mail behind one host, whosever it is: other mail may flow, but not this.
void add_backlogs(const View& view, std::vector<Finding>& to) {
  if (view.survey == nullptr) return;
  for (const store::Wait& wait : view.survey->waits) {
    const bool own = route::has_hosts(wait.nexthop);
    const bool told = own && wait.extent == store::Wait::Extent::whole;
    const bool failed = !wait.shown.empty() && !wait.shown.front().reason.empty();
    if (told || !failed || wait.count.count < (own ? own_backlog : others_backlog)) continue;
    Finding finding;
    finding.sentence = backlog(wait, view);
    finding.rest = wait.shown.front().reply;
    finding.remark = {Mood::attention, capital(finding.sentence) + (finding.rest.empty() ? "" : ". " + finding.rest),
                      "hoplock check " + wait.shown.front().domain};
    finding.flows = delivered_in(view) > 0;
    to.push_back(std::move(finding));
  }
}

// What an old look says may be over by now, and what began since is not in it.
void add_old_look(const View& view, std::vector<Finding>& to) {
  if (view.survey == nullptr) return;
  const auto lately = std::max<Milliseconds>(read_lately, view.survey->took * read_seldom);
  if (view.status.now - view.survey->taken < lately) return;
  Finding finding;
  finding.sentence = "the queue was last read " + age(view.status.now - view.survey->taken) + " ago";
  finding.remark = {Mood::attention, capital(finding.sentence) + ": what is told of it here may be over",
                    "hoplock queue stats"};
  finding.flows = false;
  to.push_back(std::move(finding));
}

Finding finding_of(const Problem& problem) {
  const auto known =
      std::find_if(meanings.begin(), meanings.end(), [&](const auto& one) { return one.problem == problem.name; });
  Finding finding;
  finding.remark.text = capital(problem.text);
  finding.remark.problem = problem.name;
  finding.sentence = finding.remark.text;
  if (known != meanings.end()) {
    finding.grave = static_cast<std::size_t>(known - meanings.begin());
    finding.sentence = known->sentence;
    finding.remark.command = known->command;
  }
  return finding;
}

void add_problems(const View& view, std::vector<Finding>& to) {
  const bool hops_told = !to.empty();
  for (const Problem& problem : view.problems) {
    if (problem.name == next_hop_problem && hops_told) continue;
    to.push_back(finding_of(problem));
  }
}

// Of what could not be read nobody knows that it is good, whoever else tells of it or does not.
void add_unread(const View& view, std::vector<Finding>& to) {
  if (view.survey == nullptr || view.survey->error.empty()) return;
  for (const Finding& one : to)
    if (one.remark.problem == survey_problem) return;
  to.push_back(finding_of({survey_problem, "not all of the database can be read: " + view.survey->error}));
}

void add_certificates(const View& view, std::vector<Finding>& to) {
  for (const auto& one : view.status.certificates) {
    const auto left = one.expires - view.status.now;
    if (one.replaced || left <= Milliseconds(0) || left >= soon) continue;
    Finding finding;
    finding.sentence = "the certificate " + one.subject + " (" + one.use + ") ends in " + age(left);
    finding.remark = {Mood::attention, capital(finding.sentence) + ". Renew it: a changed file is taken up by itself",
                      "hoplock doctor"};
    to.push_back(std::move(finding));
  }
}

void add_reports(const View& view, std::vector<Finding>& to) {
  if (view.survey == nullptr) return;
  for (const auto& one : view.survey->reports.states) {
    if (one.state != store::ReportState::failed || one.accounts == 0) continue;
    const std::string day = tlsrpt::to_text(tlsrpt::day_of(view.status.now) - std::chrono::days(1));
    Finding finding;
    finding.sentence = counted(one.accounts, "TLS report") + " of yesterday could not be sent";
    finding.remark = {Mood::attention,
                      capital(finding.sentence) + ", for nobody took " + (one.accounts == 1 ? "it" : "them"),
                      "hoplock tlsrpt send --day " + day};
    to.push_back(std::move(finding));
  }
}

void add_age(const View& view, std::vector<Finding>& to) {
  if (view.survey == nullptr || !view.survey->queue.oldest || !view.usual_oldest) return;
  const auto oldest = view.status.now - *view.survey->queue.oldest;
  if (oldest < old_enough || oldest < *view.usual_oldest * much_older) return;
  Finding finding;
  finding.sentence = "the oldest message has waited for " + age(oldest) + ", mostly below " + age(*view.usual_oldest);
  finding.remark = {Mood::attention, capital(finding.sentence), "hoplock queue list"};
  to.push_back(std::move(finding));
}

void add_standstill(const View& view, std::vector<Finding>& to) {
  std::uint64_t all = 0;
  for (const auto& one : view.last_hour) all += one.count;
  if (delivered_in(view) > 0 || all < enough_attempts) return;
  Finding finding;
  finding.sentence = "nothing was delivered in the last hour: " + counted(all, "attempt") + " failed";
  finding.remark = {Mood::attention, capital(finding.sentence), "hoplock queue stats"};
  finding.flows = false;
  to.push_back(std::move(finding));
}

}  // namespace

std::string_view to_text(Mood mood) {
  constexpr std::array<std::string_view, 3> words{"good", "attention", "bad"};
  return words[static_cast<std::size_t>(mood)];
}

Verdict verdict_of(const View& view) {
  std::vector<Finding> found;
  add_next_hops(view, found);
  add_problems(view, found);
  add_unread(view, found);
  add_old_look(view, found);
  add_standstill(view, found);
  add_backlogs(view, found);
  add_age(view, found);
  add_certificates(view, found);
  add_reports(view, found);
  std::stable_sort(found.begin(), found.end(), [](const Finding& a, const Finding& b) {
    return std::pair(b.remark.mood, a.grave) < std::pair(a.remark.mood, b.grave);
  });
  Verdict verdict;
  verdict.sentence = "Mail flows";
  if (found.empty() && view.survey == nullptr) {
    verdict.mood = Mood::attention;
    verdict.sentence = "The queue is being read";
  }
  if (!found.empty()) {
    verdict.mood = found.front().remark.mood;
    const bool flows = verdict.mood == Mood::attention && found.front().flows;
    if (!found.front().rest.empty()) found.front().remark.text = found.front().rest;
    verdict.sentence = flows ? "Mail flows, but " + found.front().sentence : capital(found.front().sentence);
  }
  for (Finding& one : found) verdict.remarks.push_back(std::move(one.remark));
  return verdict;
}

}  // namespace hoplock::page
