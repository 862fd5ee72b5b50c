// SPDX-License-Identifier: Apache-2.0
// How a destination and its site stand: what an attempt's end means for the mail that comes after it.
#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <utility>

#include "delivery/reply_words.h"
#include "delivery/retry_class.h"
#include "delivery/worker.h"
#include "smtpclient/refusal.h"

namespace hoplock::delivery {

namespace {

constexpr std::size_t put_off_to_slow = 5;  // messages in a row, none taken between
constexpr std::size_t put_off_by_load = 3;  // when the site says itself that it is too much
constexpr std::size_t cut_off_of_few = 20;  // of fewer senders than that
constexpr unsigned refusals_to_hold = 3;    // for reputation, and most of all
constexpr std::size_t most_noted = 256;
constexpr std::chrono::minutes alert_again{10};
constexpr std::chrono::minutes works_for{1};    // a host that took a message
constexpr unsigned recipients_remembered = 40;  // then both counts are halved
constexpr std::size_t most_by_rule = 20'000;

using Steady = std::chrono::steady_clock;

// The last one that has an address; null: none.
const Hop* last_asked(const Attempt& attempt) {
  const auto& hops = attempt.hops;
  const auto last = std::find_if(hops.rbegin(), hops.rend(), [](const Hop& hop) { return hop.ip.has_value(); });
  return last == hops.rend() ? nullptr : &*last;
}

Gates::Word word_of(const SitePtr& site, const Attempt& attempt, const std::string& reply) {
  Gates::Word word{site, std::nullopt, reply};
  if (const Hop* last = last_asked(attempt)) {
    word.ip = last->ip;
    word.from = last->from;
  }
  return word;
}

bool is_refused_for_reputation(const RecipientStatus& one) {
  return one.fate == Fate::bounced && one.hop && one.reply && speaks_of_reputation(one.reply->one_line());
}

// That it is too much for the site, in its words. A recipient may be told the same: "451 4.7.500 Server busy" to RCPT.
std::optional<std::string> told_of_load(const Attempt& attempt) {
  if (attempt.put_off && speaks_of_load(*attempt.put_off)) return attempt.put_off;
  if (took_any(attempt)) return std::nullopt;
  for (const auto& one : attempt.recipients) {
    const bool put_off = one.fate == Fate::deferred && one.reply && one.reply->is_transient();
    if (put_off && speaks_of_load_at_rcpt(one.reply->one_line())) return one.reply->one_line();
  }
  return std::nullopt;
}

std::optional<Ip> our_address(const Attempt& attempt) {
  return attempt.hops.empty() ? std::nullopt : attempt.hops.back().src;
}

// Before a recipient is named, the end of the session and words about load or our address are said of all that comes from us. Not where the
// code speaks of the sender's address.
bool is_said_to_all(const Attempt& attempt, const std::optional<std::string>& load) {
  if (load && names_system(*load)) return true;
  if (!attempt.at_mail || !attempt.put_off) return false;
  const std::string& reply = *attempt.put_off;
  const bool ends = reply.starts_with("421") && reply.substr(0, 8) != "421 4.1.";
  return ends || speaks_of_load(reply) || names_address(reply, our_address(attempt));
}

// Something was said of somebody, and not just the session ended.
bool has_answer(const Attempt& attempt) {
  return std::any_of(attempt.recipients.begin(), attempt.recipients.end(),
                     [](const auto& one) { return one.reply && one.reply->code != 421; });
}

// A route's hosts take the mail of several domains: what one of them is told holds up no other.
bool is_shared(const Attempt& attempt) { return attempt.destination != attempt.domain.text(); }

std::uint64_t mark_of(const RecipientStatus& one) { return std::hash<std::string>{}(one.due.address); }

// The first that waits; null: nobody does.
const RecipientStatus* first_deferred(const Attempt& attempt) {
  const auto waits = [](const RecipientStatus& one) { return one.fate == Fate::deferred; };
  const auto whom = std::find_if(attempt.recipients.begin(), attempt.recipients.end(), waits);
  return whom == attempt.recipients.end() ? nullptr : &*whom;
}

// By recipients, each once: whoever writes to one that is not taken, or writes to him often, speaks for nobody else.
void note_put_off(Site& site, const RecipientStatus& whom, const store::Envelope& from) {
  if (site.put_off.size() >= most_noted) site.put_off.clear();
  site.put_off.insert(mark_of(whom));
  site.put_off_by.add(whom.due.domain.text());
  site.put_off_from.add(from);
  site.put_off_anew = site.put_off_anew || whom.due.attempts == 0;
}

// The session's end at RCPT is its recipient's affair (MX-21), until it was everybody's: one after the other, of senders as many, each for
// the first time. A relay may have one sender: then more of them, and no other one's mail was taken. `was_held`: for the same; what waited
// then has no first time any more.
bool is_cut_off_again_and_again(Site& site, const Attempt& attempt, bool was_held) {
  const RecipientStatus* whom = attempt.cut_at_rcpt ? first_deferred(attempt) : nullptr;
  if (whom == nullptr || (whom->due.attempts > 0 && !was_held)) return false;
  Site::CutOff& cut = site.cut_off;
  cut.add(mark_of(*whom), whom->due.domain.text(), attempt.envelope);
  if (std::min(cut.whom.size(), cut.senders.size()) >= put_off_to_slow) return true;
  const bool has_others = site.known_from.at(Steady::now()).has_others_than(attempt.envelope, By::sender);
  return cut.whom.size() >= cut_off_of_few && (cut.senders.size() > 1 || !has_others);
}

// His domain is the recipient's, too, or ours: a reply that has it may mean them.
bool names_him(const Attempt& attempt, const RecipientStatus& one) {
  const std::string reply = one.reply->one_line();
  const auto domain = dns::Name::parse(origin_of(attempt.envelope, By::domain));
  const bool is_his = domain && *domain != one.due.domain && *domain != attempt.hostname;
  return judges_sending_domain(reply) || (is_his && names_sender(reply, attempt.sender));
}

// What the sender's domain is refused for says nothing of the site, as long as there are others. Where an address is named as well, ours or
// what the world sees of it, it may be that.
bool is_senders_own(const Site& site, const Attempt& attempt, const RecipientStatus& one) {
  const std::string reply = one.reply->one_line();
  if (names_our_network(reply) || names_any_address(reply)) return false;
  return site.known_from.at(Steady::now()).has_others_than(attempt.envelope, By::domain) && names_him(attempt, one);
}

// What was long ago says nothing of whose mail is refused today.
void note_refused_from(Site& site, const store::Envelope& from) {
  const auto at = Steady::now();
  if (at >= std::max(site.refused_last, site.held_last) + LateOrigins::turn) site.refused_from.clear();
  if (site.refused_from.is_nobody()) {
    site.refused_since = at;
    site.taken_from.clear();
  }
  site.refused_last = at;
  site.refused_from.add(from);
}

// Whoever is refused again is no further one.
unsigned note_refused(Site& site, const Attempt& attempt) {
  unsigned further = 0;
  if (site.refused_whom.size() >= most_noted) site.refused_whom.clear();
  for (const RecipientStatus& one : attempt.recipients) {
    if (!is_refused_for_reputation(one) || is_senders_own(site, attempt, one)) continue;
    further += site.refused_whom.insert(mark_of(one)).second ? 1 : 0;
    site.refused_by.add(one.due.domain.text());
    note_refused_from(site, attempt.envelope);
  }
  return further;
}

// Whoever the sender is: it names where we are, or our address and not him. Gmail says the address of all that it refuses.
bool is_refused_for_our_address(const Attempt& attempt) {
  const auto& all = attempt.recipients;
  return std::any_of(all.begin(), all.end(), [&](const RecipientStatus& one) {
    if (!is_refused_for_reputation(one)) return false;
    const std::string reply = one.reply->one_line();
    return names_our_network(reply) || (names_address(reply, our_address(attempt)) && !names_him(attempt, one));
  });
}

// Some lists are the recipient's own: his word counts for the site only while nobody there takes anything. At MAIL nobody has a list yet.
bool is_refused_by_own_list(const Attempt& attempt) {
  if (attempt.at_mail) return false;
  const auto& all = attempt.recipients;
  return std::none_of(all.begin(), all.end(), [ours = our_address(attempt)](const RecipientStatus& one) {
    if (!is_refused_for_reputation(one)) return false;
    const std::string reply = one.reply->one_line();
    return names_public_list(reply) || names_address(reply, ours);
  });
}

// Before any mail a 5yz is said of us: of the address that we come from, the name that we give, the login of the route.
bool is_about_us(const DestinationFailure& why) {
  return why.reason == hop::Reason::smtp_reply && why.reply.starts_with('5') && !speaks_of_load(why.reply);
}

// Rules and DNS: whatever the mail leaves from, and whichever host it is.
bool is_of_domain(const Attempt& attempt, const DestinationFailure& why) {
  return attempt.no_hosts || why.reason == hop::Reason::dns_failure ||
         retry_class_of(why.reason, why.reply) == RetryClass::policy;
}

// All that it refuses for reputation it refuses for the domain of the sender.
bool judges_domain(const Attempt& attempt) {
  const auto& all = attempt.recipients;
  return std::all_of(all.begin(), all.end(), [](const RecipientStatus& one) {
    return !is_refused_for_reputation(one) || judges_sending_domain(one.reply->one_line());
  });
}

// Whose affair that is, and not everybody's; nothing: it may be everybody's. `senders`: all that the relay has.
std::optional<By> whose_refusal(const Site& site, const Attempt& attempt, const Origins& senders) {
  if (is_refused_for_our_address(attempt)) return std::nullopt;
  const bool has_others =
      site.refused_from.are_several(By::domain) || senders.has_others_than(attempt.envelope, By::domain);
  if (has_others && judges_domain(attempt)) return By::domain;
  return site.refused_from.confined_to(site.known_from.at(Steady::now()));
}

// The site takes mail of others, since it refuses that of this one.
bool takes_others(const Site& site, const Attempt& attempt, By whose) {
  const Origins taken = site.taken_from.at(Steady::now());
  if (taken.has_others_than(attempt.envelope, whose) && judges_domain(attempt)) return true;
  return site.refused_from.are_confined(taken);
}

// It stays in the queue with what the server said.
Attempt with_refused_kept(Attempt attempt) {
  for (RecipientStatus& one : attempt.recipients) {
    if (!is_refused_for_reputation(one)) continue;
    one.fate = Fate::deferred;
    attempt.hops[*one.hop].refusal = smtpclient::refusal_of(*one.reply);
  }
  return concluded(std::move(attempt));
}

// Mail of ours says nothing of clients.
void note_taken(Site& site, const Attempt& attempt, Steady::time_point began) {
  if (attempt.envelope.kind != store::Kind::ordinary) return;
  site.known_from.add(attempt.envelope, Steady::now());
  if (began >= site.refused_since) site.taken_from.add(attempt.envelope, Steady::now());
}

}  // namespace

bool Scheduler::Impl::DeliveryWorker::admit(const route::Hosts& hosts) {
  Gates& gates = self.gates_;
  const route::Limits limits = hosts.route ? hosts.route->limits : route::Limits{};
  destination->most = limits.sessions ? *limits.sessions : SIZE_MAX;
  const SitePtr site = gates.site(hosts.site, limits);
  bool had_place = false;
  if (destination->site != site) {  // new here, or its hosts changed
    // the same hosts, mostly, and mail that leaves from elsewhere: it does not wait a second time
    had_place = at_site && self.leaves_from_several(destination->name);
    const bool was = connected;
    set_connected(false);
    at_site.reset();
    destination->site = site;
    set_connected(was);
  }
  gates.belongs(destination->name, site);
  site->known.add(hosts.domain.domain.text());
  if (site->is_held(destination->name, self.now())) return false;
  if (self.slow_senders_.held(*busy.job, site->name, self.now())) return false;
  if (!at_site) {
    if (site->is_full() && !had_place) return false;
    at_site = gates.use(site);
  }
  return site->take_turn(Steady::now());
}

std::shared_ptr<void> Scheduler::Impl::DeliveryWorker::enter(const Ip& ip) {
  const GatePtr gate = self.gates_.host(ip, source.towards(ip));
  if (gate->is_full()) return nullptr;
  const auto place = self.gates_.use(gate);
  self.make_room_among_spares(*gate);
  return place;
}

void Scheduler::Impl::DeliveryWorker::silent(const Ip& ip) { self.gates_.silent(ip, source.towards(ip), busy.began); }

void Scheduler::Impl::DeliveryWorker::answered(const Ip& ip) { self.gates_.answered(ip, source.towards(ip)); }

// What a server refuses for good it does not refuse for the number of sessions, unless it says so: our address, name or login.
void Scheduler::Impl::DeliveryWorker::refused(const Ip& ip, const std::string& reply) {
  if (reply.starts_with('5') && !speaks_of_load(reply)) return;
  const auto& from = source.towards(ip);
  if (self.gates_.host(ip, from)->used > 0) self.gates_.refused({destination->site, ip, reply, from});
}

// One session too many, where a firewall counts them, or just a host that is down: the first only while it takes mail of others.
void Scheduler::Impl::DeliveryWorker::unreachable(const Ip& ip, const std::string& why) {
  if (self.gates_.host(ip, source.towards(ip))->worked_at + works_for > Steady::now()) refused(ip, why);
}

// Nothing was tried: this message goes first when there is room.
asio::awaitable<bool> Scheduler::Impl::turn_away(DeliveryWorker& worker, const store::Job& job, Attempt attempt) {
  const ActiveDestinationPtr destination = worker.destination;
  const SitePtr site = destination->site;
  runner_.keep(std::move(attempt.counts));
  destination->more = true;
  // only now is it known whose site it is
  const auto slow = site && !attempt.full ? slow_senders_.held(job, site->name, now()) : std::nullopt;
  if (slow) {
    put(deferred_on_hold(slow->hold, slow->since, job, now(), schedule()));
    co_return true;
  }
  if (site && site->is_held(destination->name, now())) {
    if (leaves_from_several(destination->name)) {  // others of it leave from elsewhere
      put(deferred_on_hold(*site->hold, site->hold->last, job, now(), schedule()));
      co_return true;
    }
    destination->held = true;
    destination->backoff = held_with_site(destination->backoff, *site->hold);
    note_due(destination->backoff->until);
    Settlement back = released(job);
    back.change = store::DestinationChange{destination->name, destination->backoff};
    const ResultCommitter::Sequence sequence = put(std::move(back));
    co_await committer_.wait_committed(sequence);
    co_return false;
  }
  destination->jobs.push_front(job);
  destination->given_back = true;
  if (attempt.full) {
    destination->waits_at = gates_.host(*attempt.full, attempt.full_from);
    concurrency_.make_room(*destination->waits_at);
    if (site && site->used > 1) site->allowance.give_way(site->used - 1, Steady::now());
  } else {
    destination->waits_at = site;
    if (site) concurrency_.make_room(*site);
  }
  co_return false;
}

void Scheduler::Impl::note_source(const Attempt& attempt) {
  if (!attempt.by_rule) return;
  if (by_rule_.size() >= most_by_rule) by_rule_.clear();
  by_rule_.insert(attempt.destination);
}

// What is said to one address or name of ours says nothing of another.
bool Scheduler::Impl::is_of_source(const Attempt& attempt, const DestinationFailure& why) const {
  if (options_.sources.empty()) return false;
  if (attempt.ours) return true;
  return !is_of_domain(attempt, why) && leaves_from_several(attempt.destination);
}

// The site's name has what the mail leaves from: other mail for the destination goes on.
asio::awaitable<bool> Scheduler::Impl::hold_source(DeliveryWorker& worker, const store::Job& job, Attempt attempt,
                                                   DestinationFailure why) {
  const ActiveDestinationPtr destination = worker.destination;
  const SitePtr site = destination->site;
  const bool through = site && site->connected > 0;
  const bool of_us = attempt.ours || attempt.at_login || is_about_us(why);
  const bool one_too_many = through && !of_us && !backs_.are_too_many(destination->name, job.id, Steady::now());
  if (one_too_many) {
    come_again(*destination, job, std::move(attempt));
    co_return false;
  }
  if (site && !through) hold_site(*site, attempt, why);
  destination->more = true;
  const ResultCommitter::Sequence sequence = finish(*destination, attempt);
  co_await committer_.wait_committed(sequence);
  co_return true;
}

// This session was one too many: its message goes first in another.
void Scheduler::Impl::come_again(ActiveDestination& destination, const store::Job& job, Attempt attempt) {
  const SitePtr& site = destination.site;
  if (site && site->used > 1) site->allowance.give_way(site->used - 1, Steady::now());
  runner_.keep(std::move(attempt.counts));
  destination.jobs.push_front(job);
  destination.given_back = true;
  destination.more = true;
  destination.waits_at = site;
}

// In memory alone. What was under way meanwhile tells the same once more.
void Scheduler::Impl::hold_site(Site& site, const Attempt& attempt, const DestinationFailure& why) {
  if (site.hold && site.hold->until > now()) return;
  site.hold = backoff_after(why, attempt.ended, holding_for(why, site.hold));
  site.hold_by.clear();
  site.allowance.fit(1);
  note_due(site.hold->until);
}

// It waits at the whole site where several of its domains said so, and that of others is asked for itself. False: it waits already.
bool Scheduler::Impl::hold_origin(Site& site, const Attempt& attempt, const Voices& by, By whose) {
  const std::string key =
      site.is_meant(by) ? origin_at_site(site.name, attempt.envelope, whose) : origin_at(attempt, whose);
  const auto until = hold_mail_of(key, attempt);
  if (until) site.held_last = Steady::now() + std::max<Milliseconds>(*until - now(), Milliseconds(0));
  return until.has_value();
}

// Until when; nothing: it waits already, and what was under way meanwhile tells the same once more.
std::optional<Time> Scheduler::Impl::hold_mail_of(const std::string& key, const Attempt& attempt) {
  const auto before = slow_senders_.last(key);
  if (before && before->until > now()) return std::nullopt;
  const DestinationFailure why = failure_of(attempt);
  store::Backoff hold = backoff_after(why, attempt.ended, holding_for(why, before));
  const Time until = hold.until;
  slow_senders_.hold(key, std::move(hold));
  return until;
}

// Others' mail there goes on.
void Scheduler::Impl::slow_sender(const Attempt& attempt, const RecipientStatus& whom, const Origins& known) {
  for (const By by : all_origins) {
    if (!known.has_others_than(attempt.envelope, by) ||
        slow_senders_.put_off(attempt, by, mark_of(whom)) < put_off_to_slow)
      continue;
    hold_mail_of(origin_at(attempt, by), attempt);
  }
}

// No host was ready for mail. Where other sessions get through, it is this one that was too many, and its message goes first in another;
// else the destination as a whole is held off, and so is its site, where the hosts are to blame and not a rule. The worker ends when that
// is stored, so that nobody finds the destination ready meanwhile.
asio::awaitable<bool> Scheduler::Impl::go_down(DeliveryWorker& worker, const store::Job& job, Attempt attempt,
                                               DestinationFailure why) {
  const ActiveDestinationPtr destination = worker.destination;
  const SitePtr site = destination->site;
  const bool of_hosts = !is_of_domain(attempt, why) && !attempt.ours;
  // also such as are only being opened: the last one that fails tells
  const Hop* last = last_asked(attempt);
  const bool others =
      (site && site->connected > 0) || (last != nullptr && gates_.host(*last->ip, last->from)->used > 0);
  const bool of_us = is_about_us(why) || attempt.at_login;
  const bool through = destination->connected > 0 || (of_hosts && others && !of_us);
  if (through && (of_us || backs_.are_too_many(destination->name, job.id, Steady::now()))) {
    destination->more = true;  // this message alone has its own schedule
    const ResultCommitter::Sequence sequence = finish(*destination, attempt);
    co_await committer_.wait_committed(sequence);
    co_return false;
  }
  if (through) {
    come_again(*destination, job, std::move(attempt));
    co_return false;
  }
  gates_.unproven(destination->name);
  const bool known = site && site->is_held(destination->name, now());
  if (!destination->held) hold(*destination, job, attempt, why);
  const bool of_login = attempt.at_login || (of_us && why.reply.starts_with("53"));  // the route's own
  if (of_hosts && site && !of_login) {
    if (!known && !is_by_policy(*destination->backoff)) site->hold = destination->backoff;
    site->hold_by.clear();
    site->allowance.fit(1);
  }
  const ResultCommitter::Sequence sequence = finish(*destination, attempt);
  co_await committer_.wait_committed(sequence);
  co_return false;
}

Holding Scheduler::Impl::holding_for(const DestinationFailure& why, const std::optional<store::Backoff>& before) {
  Holding holding;
  holding.retry = retry_for(retry_class_of(why.reason, why.reply), options_.retry);
  holding.random = fraction();
  holding.before = before;
  return holding;
}

void Scheduler::Impl::hold(ActiveDestination& destination, const store::Job& job, const Attempt& attempt,
                           const DestinationFailure& why, Grows grows) {
  const SitePtr& site = destination.site;
  destination.held = true;
  // What was under way when the site was held off tells the same once more: twenty sessions are no twenty failures.
  const bool with_site = site && site->is_held(destination.name, now());
  const bool by_policy = retry_class_of(why.reason, why.reply) == RetryClass::policy;
  if (with_site && !by_policy) {
    destination.backoff = held_with_site(destination.backoff, *site->hold);
    return note_due(destination.backoff->until);
  }
  Holding holding = holding_for(why, destination.backoff);
  const bool ours = site && site->hold && (site->hold_by.empty() || site->hold_by == destination.name);
  if (ours && (!holding.before || holding.before->failures < site->hold->failures)) holding.before = site->hold;
  if (grows == Grows::no && holding.before && holding.before->failures > 0) --holding.before->failures;
  holding.end = job.received + (job.envelope.sender.empty() ? options_.expire_bounces : options_.expire);
  destination.backoff = backoff_after(why, attempt.ended, holding);
  if (with_site) destination.backoff = held_with_site(destination.backoff, *site->hold);
  note_due(destination.backoff->until);
  if (may_change_by_dns(why.reason)) record_watch_.add(destination.name, job.recipients.front().domain);
}

// What the end of an attempt says of its site. Something: the site takes nothing at the moment, for this reason.
std::optional<Scheduler::Impl::Slowness> Scheduler::Impl::learn(DeliveryWorker& worker, Attempt& attempt) {
  const SitePtr site = worker.destination->site;
  if (!attempt.reached || !site) return std::nullopt;
  if (attempt.envelope.kind == store::Kind::ordinary) senders_.add(attempt.envelope);
  const bool took = took_any(attempt);
  if (took) note_taken(*site, attempt, worker.busy.began);
  if (const auto refused = weigh_reputation(*site, attempt)) return refused;
  const auto load = told_of_load(attempt);
  const bool by_load = load.has_value();
  const Gates::Word word = word_of(site, attempt, load ? *load : attempt.put_off.value_or(""));
  if (took) {
    gates_.took(word);
    slow_senders_.took(attempt, site->name);
  }
  if (took || (!attempt.put_off && !by_load)) {
    const bool was_held = attempt.cut_at_rcpt && slow_senders_.was_held(attempt, site->name);
    if (!took && is_cut_off_again_and_again(*site, attempt, was_held)) return heed_cut_off(*site, attempt);
    if (!took && !has_answer(attempt)) return std::nullopt;
    gates_.proven(worker.destination->name);
    worker.on_trial.clear();
    return std::nullopt;
  }
  const RecipientStatus* whom = first_deferred(attempt);
  if (whom == nullptr) return std::nullopt;
  note_put_off(*site, *whom, attempt.envelope);
  if (!is_said_to_all(attempt, load) && !site->is_put_off_for_all(Steady::now())) {
    slow_origin(*site, attempt, *whom);
    return std::nullopt;
  }
  const bool ends_sessions = word.reply.starts_with("421");
  if ((by_load || (attempt.at_mail && ends_sessions)) && site->connected > 1)
    ends_sessions ? gates_.refused(word) : gates_.too_fast(word);
  if (site->put_off.size() < (by_load ? put_off_by_load : put_off_to_slow)) return std::nullopt;
  if (!by_load && !site->put_off_anew) return std::nullopt;  // what failed before fails again
  return slowness(*site, attempt, site->put_off_by);
}

std::optional<Scheduler::Impl::Slowness> Scheduler::Impl::slowness(Site& site, const Attempt& attempt,
                                                                   const Voices& by) {
  // MAIL names no recipient: whose domain it is does not matter
  const bool at_mail = attempt.at_mail && attempt.put_off && site.is_put_off_for_all(Steady::now());
  Slowness slow{failure_of(attempt), at_mail || site.is_meant(by), at_mail || by.are_several()};
  if (is_shared(attempt) && !slow.whole_site) return std::nullopt;
  site.forget_put_off();  // behind the hold others have their say first
  return slow;
}

// The same of sessions that were ended at RCPT.
std::optional<Scheduler::Impl::Slowness> Scheduler::Impl::heed_cut_off(Site& site, const Attempt& attempt) {
  const auto whose = site.cut_off.from.confined_to(site.known_from.at(Steady::now()));
  if (!whose) return slowness(site, attempt, site.cut_off.by);
  hold_origin(site, attempt, site.cut_off.by, *whose);
  site.begin_put_off_anew();
  return std::nullopt;
}

// One mailbox's, domain's or client's mail is put off, in a row: at one domain it is slowed there, at several at the whole site.
void Scheduler::Impl::slow_origin(Site& site, const Attempt& attempt, const RecipientStatus& whom) {
  slow_sender(attempt, whom, site.known_from.at(Steady::now()));
  const DestinationFailure why = failure_of(attempt);
  // what greylists has to be asked for each
  if (retry_class_of(why.reason, why.reply) == RetryClass::greylisting || !site.put_off_by.are_several()) return;
  const bool anew = site.put_off_anew || slow_senders_.was_held(attempt, site.name);
  if (site.put_off.size() < put_off_to_slow || !anew) return;
  const auto whose = site.put_off_from.confined_to(site.known_from.at(Steady::now()));
  if (whose) hold_origin(site, attempt, site.put_off_by, *whose);
  site.begin_put_off_anew();
}

// Most of the site's recipients refused for where the mail comes from: what this attempt would have bounced stays. Something: so it is.
std::optional<Scheduler::Impl::Slowness> Scheduler::Impl::weigh_reputation(Site& site, Attempt& attempt) {
  if (!options_.reputation_hold) return std::nullopt;
  const auto& all = attempt.recipients;
  const bool refused = std::any_of(all.begin(), all.end(), [&](const RecipientStatus& one) {
    return is_refused_for_reputation(one) && !is_senders_own(site, attempt, one);
  });
  const auto taken = static_cast<unsigned>(
      std::count_if(all.begin(), all.end(), [](const RecipientStatus& one) { return one.fate == Fate::delivered; }));
  site.refused += note_refused(site, attempt);
  site.taken += taken;
  const bool most = site.refused >= refusals_to_hold && site.refused > site.taken;
  if (site.refused + site.taken > recipients_remembered) {
    site.refused /= 2;
    site.taken /= 2;
  }
  if (site.taken > site.refused) {
    site.refused_by.clear();
    site.refused_from.clear();
    site.refused_whom.clear();
  }
  if (!refused || !most || (site.taken > 0 && is_refused_by_own_list(attempt))) return std::nullopt;
  if (const auto whose = whose_refusal(site, attempt, senders_)) {
    // That it is his alone shows when others' mail is taken after it; until then it waits, and nobody else's with it.
    if (takes_others(site, attempt, *whose)) return std::nullopt;
    attempt = with_refused_kept(std::move(attempt));
    if (hold_origin(site, attempt, site.refused_by, *whose)) tell_kept(site, attempt, *whose);
    return std::nullopt;
  }
  const bool whole_site = site.is_meant(site.refused_by);
  if (is_shared(attempt) && !whole_site) return std::nullopt;
  attempt = with_refused_kept(std::move(attempt));
  const Slowness why{failure_of(attempt), whole_site, site.refused_by.are_several()};
  tell_reputation(site, attempt, why.why);
  return why;
}

void Scheduler::Impl::tell_reputation(Site& site, const Attempt& attempt, const DestinationFailure& why) {
  if (Steady::now() < site.alert_next) return;
  site.alert_next = Steady::now() + alert_again;
  Event alert(Level::error, "reputation-hold");
  alert.add("site", site.name).add("domain", attempt.recipients.front().due.domain.text());
  alert.add("refused", static_cast<std::int64_t>(site.refused)).add("taken", static_cast<std::int64_t>(site.taken));
  alert.add("reply", why.reply);
  log_.write(alert);
  log_.count(counted::Once::reputation_held);
}

// The mail of one mailbox, domain or client, and nobody else's.
void Scheduler::Impl::tell_kept(const Site& site, const Attempt& attempt, By whose) {
  const std::string from = origin_of(attempt.envelope, whose);
  Event alert(Level::error, "sender-hold");
  alert.add("site", site.name).add("domain", attempt.recipients.front().due.domain.text());
  alert.add("from", from.empty() ? "<>" : from).add("reply", failure_of(attempt).reply);
  log_.write(alert);
  log_.count(counted::Once::reputation_held);
}

// The site is ready for mail and takes none: held off as if it were down, while what was tried keeps its own schedule.
asio::awaitable<bool> Scheduler::Impl::slow_down(DeliveryWorker& worker, Attempt attempt, Slowness slow) {
  const DestinationFailure& why = slow.why;
  const ActiveDestinationPtr destination = worker.destination;
  const SitePtr site = destination->site;
  store::Job job;
  job.received = attempt.received;
  job.envelope.sender = attempt.sender;
  job.recipients.push_back(attempt.recipients.front().due);
  const bool anew = slow.whole_site && !site->is_held(destination->name, now());
  if (anew) gates_.slow(word_of(site, attempt, why.reply));
  const bool of_source = site && leaves_from_several(destination->name);
  if (of_source) {
    hold_site(*site, attempt, why);
    if (!slow.whole_site) site->hold_by = destination->name;
    destination->more = true;
    const ResultCommitter::Sequence sequence = finish(*destination, attempt, Works::no);
    co_await committer_.wait_committed(sequence);
    co_return true;
  }
  if (!destination->held) hold(*destination, job, attempt, why);
  if (anew && !is_by_policy(*destination->backoff)) {
    site->hold = destination->backoff;
    site->hold_by = slow.by_several ? "" : destination->name;
  }
  const ResultCommitter::Sequence sequence = finish(*destination, attempt, Works::no);
  if (attempt.rest_back) destination->more = true;
  co_await committer_.wait_committed(sequence);
  co_return false;
}

}  // namespace hoplock::delivery
