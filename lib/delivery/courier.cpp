// SPDX-License-Identifier: Apache-2.0
#include "delivery/courier.h"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <set>

#include "delivery/credentials.h"
#include "delivery/fate.h"
#include "delivery/fitting.h"
#include "delivery/outcome.h"
#include "delivery/payload.h"
#include "delivery/remembered.h"
#include "delivery/setback.h"
#include "hop/sharing.h"
#include "queue/schedule.h"

namespace hoplock::delivery {

namespace {

using Steady = std::chrono::steady_clock;

std::string host_text(const route::Host& host) {
  return host.origin == route::Host::Origin::literal ? host.literal.literal() : host.name.text();
}
std::string host_key(const route::Host& host) { return host_text(host) + ":" + std::to_string(host.port); }

// RPT-18, RPT-45: no address of an inner network is told.
std::optional<Ip> if_public(std::optional<Ip> ip) { return ip && !ip->is_internal() ? ip : std::nullopt; }

constexpr const char* took_too_long = "its look-up took too long while other mail waited";
constexpr unsigned most_rounds = 8;       // of one message that breaks at one recipient after the other
constexpr std::size_t most_apart = 4096;  // such messages
constexpr std::size_t most_closed = 20;   // connections of an attempt to hosts that never take its mail

bool uses_sts(const hop::Connect& plan) {
  const auto is_sts = [](hop::Policy policy) {
    return policy == hop::Policy::sts || policy == hop::Policy::sts_testing;
  };
  return is_sts(plan.policy) || (plan.required && is_sts(plan.required->underlying)) ||
         (plan.observed && is_sts(plan.observed->policy));
}

bool same_policy(const hop::StsFact& a, const hop::StsFact& b) {
  return a.state == b.state && a.id == b.id && a.policy == b.policy;
}

}  // namespace

// The state of one attempt.
class Run {
 public:
  Run(Courier& courier, std::shared_ptr<const store::Job> job, std::optional<OpenSession>& session, Access* access)
      : courier_(courier),
        access_(access),
        deadline_(Steady::now() + courier.options_.attempt_timeout),
        kept_(std::move(job)),
        job_(*kept_),
        session_(session),
        manner_(manner_of(job_.envelope, courier.options_.tls_required_no)),
        payload_(kept_, courier.queue_),
        witness_(wishes(), courier.options_.counting.except) {
    attempt_.id = job_.id;
    attempt_.destination = job_.destination;
    attempt_.sender = job_.envelope.sender;
    attempt_.envelope = job_.envelope;
    attempt_.domain = job_.recipients.front().domain;
    attempt_.size = job_.size;
    attempt_.received = job_.received;
    for (std::size_t i = 0; i < job_.recipients.size(); ++i) {
      RecipientStatus status;
      status.due = job_.recipients[i];
      attempt_.recipients.push_back(std::move(status));
      open_.push_back(i);
    }
  }

  // Cut off by the daemon's end, or by a bug: what was seen is not lost.
  ~Run() {
    if (!told_) courier_.cut_off_.add(witness_.counts());
  }
  Run(const Run&) = delete;

  asio::awaitable<Attempt> go() {
    try {
      co_await carry();
      attempt_.ended = now();
      if (witness_.waits()) co_await witness_.wait();
    } catch (const std::exception& error) {
      if (!is_partly_over()) throw;
      end_here(error);
    }
    if (attempt_.displaced) leave_undecided_out();
    if (apart_ && !attempt_.displaced) limit_rounds();
    const auto apart = std::erase_if(attempt_.recipients, [](const RecipientStatus& one) { return one.untouched; });
    attempt_.rest_back = apart > 0;
    attempt_.hosts_left = cut_short_ || passed_over_ || attempt_.full;
    attempt_.ours = (attempt_.ours || out_of_reach_) && !attempt_.reached;
    if (took_any(attempt_)) attempt_.put_off.reset();
    attempt_.counts = witness_.counts();
    told_ = true;
    co_return concluded(std::move(attempt_));
  }

 private:
  Time now() const { return courier_.clock_(); }
  Wishes* wishes() const {
    return courier_.options_.counting.enabled && is_counted(manner_) ? &courier_.wishes_ : nullptr;
  }

  asio::awaitable<void> carry() {
    auto found = co_await find();
    if (!is_placed()) co_return;
    if (auto* none = std::get_if<route::NoHosts>(&found)) {
      attempt_.note = none->note;
      attempt_.no_hosts = std::move(*none);
      co_return;
    }
    take_hosts(std::get<route::Hosts>(std::move(found)));
    if (!is_placed()) co_return;
    attempt_.note = hosts_.note;
    attempt_.exception = exception_of(hosts_);
    attempt_.agreed = exceptions_agreed(hosts_);
    hosts_.site += from_where();
    attempt_.by_rule = source_of(job_.recipients.front().domain) != default_source();
    if (access_ != nullptr && !access_->admit(hosts_)) {
      attempt_.turned_away = TurnedAway::by_site;
      co_return;
    }
    co_await try_sources();
    if (!attempt_.displaced && co_await has_new_policy()) co_await try_sources();
    if (!attempt_.displaced && co_await is_to_go_redacted()) co_await try_sources();
    remember();
    // hosts that are full now are waited for, unless the mail went meanwhile
    if (attempt_.full && !attempt_.reached && !attempt_.displaced) attempt_.turned_away = TurnedAway::by_host;
    if (!open_.empty()) is_placed();  // what was refused under a rule that counts no more does not wait for it
  }

  void take_hosts(route::Hosts found) {
    hosts_ = std::move(found);
    has_hosts_ = true;
    placed_by_ = nullptr;  // the rules may have changed meanwhile
  }

  // MX-20: whether the rules as they are now, not as they were when the job was leased, send every recipient to this next hop, and in the
  // same way. Asked before every host and every transaction: look-ups and connections take their time.
  bool is_placed() {
    if (attempt_.displaced) return false;
    const route::TablePtr rules = courier_.router_.rules();
    const Time at = now();
    const bool same_options = std::exchange(generation_, courier_.generation_) == courier_.generation_;
    if (same_options && rules == placed_by_ && at >= placed_at_ && (!placed_until_ || at < *placed_until_)) return true;
    for (const store::Due& due : job_.recipients)
      attempt_.displaced = attempt_.displaced || rules->destination(due.domain, at) != job_.destination;
    const dns::Name& domain = job_.recipients.front().domain;
    const bool same_way = !has_hosts_ || (route::is_same_way(rules->match(domain, at), hosts_.route) &&
                                          rules->rule(domain, at) == hosts_.rule);
    attempt_.displaced = attempt_.displaced || !same_way || !leaves_from_there();
    placed_by_ = rules;
    placed_at_ = at;
    placed_until_ = rules->next_end(at);
    return !attempt_.displaced;
  }

  // `sources` may say otherwise by now: for those whom it is the turn of.
  bool leaves_from_there() const {
    return heard_at_.empty() || std::all_of(open_.begin(), open_.end(), [this](std::size_t i) {
             return source_of(job_.recipients[i].domain) == source_;
           });
  }

  // What was said of somebody stands; the others go back as they were.
  void leave_undecided_out() {
    std::erase_if(attempt_.recipients,
                  [](const RecipientStatus& one) { return one.fate == Fate::deferred && !one.halt; });
    open_.clear();
  }

  // The daemon ends, or something breaks, while hosts are tried for the others: what was said of these stands, or they would get it twice.
  bool is_partly_over() const {
    return std::any_of(attempt_.recipients.begin(), attempt_.recipients.end(),
                       [](const RecipientStatus& one) { return one.fate != Fate::deferred; });
  }
  void end_here(const std::exception& why) {
    const auto* system = dynamic_cast<const boost::system::system_error*>(&why);
    const bool stopped = system != nullptr && system->code() == asio::error::operation_aborted;
    if (!stopped) attempt_.broken = why.what();
    session_.reset();  // no telling where its conversation stands
    attempt_.ended = now();
    for (RecipientStatus& one : attempt_.recipients) {
      if (one.fate != Fate::deferred || one.halt || one.untouched || (stopped && one.reply)) continue;
      one.reply.reset();
      one.halt = Halt{std::nullopt, stopped ? "cut off: the daemon stopped" : "internal error"};
    }
  }

  asio::awaitable<route::Found> look_up() {
    const dns::Name& domain = job_.recipients.front().domain;
    if (access_ == nullptr) co_return co_await courier_.router_.find(domain);
    auto found = co_await courier_.look_ups_.unless_cut(courier_.router_.find(domain), access_->gives_way);
    if (found) co_return std::move(*found);
    attempt_.cut_at_look_up = true;
    route::NoHosts none;
    none.reason = hop::Reason::dns_failure;
    none.text = took_too_long;
    co_return none;
  }
  asio::awaitable<hop::HostFacts> look_up(route::Host host) {
    const dns::Name domain = hosts_.domain.domain;
    if (access_ == nullptr) co_return co_await courier_.router_.look(host, domain);
    auto found = co_await courier_.look_ups_.unless_cut(courier_.router_.look(host, domain), access_->gives_way);
    if (found) co_return std::move(*found);
    attempt_.cut_at_look_up = true;
    hop::HostFacts none;
    none.origin = host.origin;
    none.name = none.expanded = host.name;
    none.port = host.port;
    none.address_failure = hop::Reason::dns_failure;
    none.why_no_address = took_too_long;
    co_return none;
  }

  // A TXT record that cannot be looked up counts for as long as the message is young (STS-06).
  asio::awaitable<route::Found> find() {
    auto found = co_await look_up();
    if (auto* hosts = std::get_if<route::Hosts>(&found)) {
      const auto waited = std::chrono::floor<Seconds>(now() - job_.received);
      auto counts = hop::after_waiting(hosts->domain.sts, waited);
      const bool waited_enough = counts.state != hosts->domain.sts.state;
      attempt_.overlooked = waited_enough ? counts.problem : std::nullopt;
      hosts->domain.sts = std::move(counts);
    }
    co_return found;
  }

  Source default_source() const {
    const Options& options = courier_.options_;
    return {options.source_ipv4, options.source_ipv6, options.hostname};
  }
  Source source_of(const dns::Name& recipient) const {
    return source_for(job_.envelope.sender, recipient, courier_.options_.sources, default_source());
  }

  // A receiver knows us by our address and name: what it says to one says nothing of another.
  std::string from_where() const {
    std::string text;
    if (courier_.options_.sources.empty()) return text;
    const Source source = source_of(job_.recipients.front().domain);
    if (source.ipv4) text += " from " + source.ipv4->text();
    if (source.ipv6) text += " from " + source.ipv6->text();
    if (source.hostname != courier_.options_.hostname) text += " as " + source.hostname.text();
    return text;
  }

  // Recipients whose mail leaves from different addresses never share a session.
  asio::awaitable<void> try_sources() {
    std::vector<std::size_t> waiting = std::exchange(open_, {});
    std::vector<std::size_t> left;
    while (!waiting.empty()) {
      source_ = source_of(job_.recipients[waiting.front()].domain);
      const auto others = std::stable_partition(waiting.begin(), waiting.end(), [this](std::size_t i) {
        return source_of(job_.recipients[i].domain) == source_;
      });
      open_.assign(waiting.begin(), others);
      waiting.erase(waiting.begin(), others);
      co_await try_source();
      left.insert(left.end(), open_.begin(), open_.end());
    }
    open_ = std::move(left);
  }

  // As an attempt of its own: what others used up does not count, and where there is only no place now, its mail goes back.
  asio::awaitable<void> try_source() {
    if (access_ != nullptr) access_->source = source_;
    attempt_.hostname = source_.hostname;
    heard_at_ = heard_key(source_);
    heard_.try_emplace(heard_at_);
    connections_ = sessions_ = 0;
    full_at_.reset();
    const auto full = std::exchange(attempt_.full, std::nullopt);
    const bool reached = std::exchange(attempt_.reached, false);
    for (const std::size_t i : open_) attempt_.recipients[i].untouched = false;
    co_await try_hosts();
    end_refused();
    if (attempt_.full && !attempt_.reached) {
      for (const std::size_t i : open_) attempt_.recipients[i].untouched = true;
    }
    attempt_.reached = attempt_.reached || reached;
    if (!attempt_.full) attempt_.full = full;
  }

  asio::awaitable<void> try_hosts() {
    co_await try_next_hosts();
    const bool only_old = passed_over_ && connections_ == 0 && attempt_.hops.empty() && !attempt_.full;
    if (!only_old) co_return;
    courier_.rotation_.start_over(job_.destination);  // the addresses that were left are gone
    co_await try_next_hosts();
  }

  asio::awaitable<void> try_next_hosts() {
    put_in_order();
    prefer_open_session();
    for (const route::Host& host : hosts_.hosts) {
      if (open_.empty() || !is_placed() || is_enough(host)) break;
      co_await try_host(host);
    }
  }

  // MX-26: an attempt has an end, whatever a domain publishes. A full host is not gone around to a worse one: it works.
  bool is_enough(const route::Host& next) {
    const Options& options = courier_.options_;
    const bool over = connections_ >= options.addresses_per_attempt || sessions_ >= options.sessions_per_attempt ||
                      Steady::now() >= deadline();
    cut_short_ = cut_short_ || over;
    return over || (full_at_ && next.preference > *full_at_);
  }

  net::SteadyTime deadline() {
    if (access_ != nullptr && access_->gives_way.is_made()) deadline_ = std::min(deadline_, Steady::now());
    return deadline_;
  }

  // Hosts that were tried in vain lately come last; the one that worked then comes before the third of the others.
  void put_in_order() {
    put_in_order_of_destination();
    if (!courier_.heard_.knows(heard_at_)) return;
    const auto now = Steady::now();
    const auto behind = std::stable_partition(hosts_.hosts.begin(), hosts_.hosts.end(), [&](const route::Host& host) {
      return !courier_.heard_.is_behind(heard_at_, host_key(host), now);
    });
    if (behind == hosts_.hosts.begin()) courier_.heard_.start_over(heard_at_);
  }
  void put_in_order_of_destination() {
    const auto now = Steady::now();
    const std::string& at = job_.destination;
    if (!courier_.rotation_.knows(at)) return;
    auto& hosts = hosts_.hosts;
    const auto behind = std::stable_partition(hosts.begin(), hosts.end(), [&](const route::Host& host) {
      return !courier_.rotation_.is_behind(at, host_key(host), now);
    });
    if (behind == hosts.begin()) return courier_.rotation_.start_over(at);  // all had their turn
    const std::string good = courier_.rotation_.good(at);
    const auto found =
        std::find_if(hosts.begin(), hosts.end(), [&](const auto& host) { return host_key(host) == good; });
    constexpr std::ptrdiff_t third = 2;
    if (found != hosts.end() && found - hosts.begin() > third) std::rotate(hosts.begin() + third, found, found + 1);
  }

  // What the next attempt goes on behind.
  void remember() {
    const std::string& at = job_.destination;
    if (cut_short_ || courier_.rotation_.knows(at)) {
      if (!seen_.in_vain.empty() || !seen_.good.empty()) courier_.rotation_.note(at, seen_, Steady::now());
    }
    if (!cut_short_ && !attempt_.reached && !attempt_.full) courier_.rotation_.start_over(at);
    remember_heard();
  }

  // A message has a job for each destination, and mail for each source: what the hosts of one said is nothing to the others.
  std::string heard_key(const Source& source) const {
    std::string key = job_.id.text() + "/" + job_.destination + "/" + source.hostname.text();
    for (const auto& ip : {source.ipv4, source.ipv6}) key += "/" + (ip ? ip->text() : "");
    return key;
  }
  void remember_heard() {
    std::set<std::string> left;
    for (const std::size_t i : open_) left.insert(heard_key(source_of(job_.recipients[i].domain)));
    for (const auto& [key, seen] : heard_) {
      const bool goes_on = cut_short_ || courier_.heard_.knows(key);
      if (!left.contains(key)) {
        courier_.heard_.start_over(key);
      } else if (goes_on && !seen.hosts_through.empty()) {
        courier_.heard_.note(key, seen, Steady::now());
      }
    }
  }

  // STS-25: before an MTA-STS refusal may be the last word (this attempt's, and so perhaps the message's), the id is looked at once
  // more. A policy that came of it is tried at once; what the old one refused decides nothing any more.
  asio::awaitable<bool> has_new_policy() {
    const auto refused = [](const Hop& hop) {
      return hop.underlying.value_or(hop.policy) == hop::Policy::sts && hop.refusal && is_policy(hop.refusal->reason);
    };
    if (open_.empty() || std::none_of(attempt_.hops.begin(), attempt_.hops.end(), refused)) co_return false;
    auto found = co_await find();
    auto* hosts = std::get_if<route::Hosts>(&found);
    if (hosts == nullptr || same_policy(hosts->domain.sts, hosts_.domain.sts)) co_return false;
    // one that ended meanwhile governs this attempt to its end (STS-17): nothing came of it that could be tried
    using State = hop::StsFact::State;
    if (hosts_.domain.sts.state == State::live && hosts->domain.sts.state != State::live) co_return false;
    take_hosts(std::move(*hosts));
    witness_.forget_sts_refusals();
    for (Hop& hop : attempt_.hops) hop.outdated = refused(hop);
    co_return true;
  }

  // RTLS-10: a notice of ours whose way back nowhere offers REQUIRETLS leaves without what it would have protected.
  asio::awaitable<bool> is_to_go_redacted() {
    const bool wanted = manner_ == Manner::required && job_.envelope.kind == store::Kind::notice && !open_.empty();
    if (!wanted) co_return false;
    // where it is not that clear, the last attempt is the time to give in
    const bool last = queue::is_over({job_.received, courier_.options_.expire_bounces}, now());
    if (!last && !is_unfit_everywhere(attempt_, attempt_.recipients[open_.front()])) co_return false;
    const auto redacted = co_await payload_.redact();
    if (!redacted) co_return false;
    manner_ = Manner::ordinary;
    attempt_.redacted = true;
    for (Hop& hop : attempt_.hops) hop.outdated = true;
    co_return true;
  }

  // Hosts of the best preference come in random order; the one that a session is open to goes first.
  void prefer_open_session() {
    if (!session_ || courier_.heard_.is_behind(heard_at_, session_->host, Steady::now())) return;
    const auto best = hosts_.hosts.front().preference;
    const auto end = std::find_if(hosts_.hosts.begin(), hosts_.hosts.end(),
                                  [&](const auto& host) { return host.preference != best; });
    const auto mine =
        std::find_if(hosts_.hosts.begin(), end, [&](const auto& host) { return host_key(host) == session_->host; });
    if (mine != end) std::rotate(hosts_.hosts.begin(), mine, mine + 1);
  }

  static Hop hop_of(const route::Host& host, hop::Policy policy, dns::Security mx_security) {
    Hop hop;
    hop.mx = host_text(host);
    hop.policy = policy;
    hop.mx_security = mx_security;
    return hop;
  }

  void add_hop(Hop hop) {
    if (!attempt_.hops.empty()) {
      Hop& last = attempt_.hops.back();
      if (last.refusal && last.action == Hop::Action::none) last.action = Hop::Action::next_host;
    }
    attempt_.hops.push_back(std::move(hop));
  }

  // Mail leaves from the address that `sources` names, or it waits.
  void keep_reachable(hop::HostFacts& host) {
    if (host.addresses.empty()) return;
    std::erase_if(host.addresses, [this](const Ip& ip) { return !source_.may_reach(ip); });
    if (!host.addresses.empty()) return;
    const std::string family = source_.uses_ipv4 ? "IPv4" : "IPv6";
    out_of_reach_ = true;
    host.address_failure = hop::Reason::dns_failure;
    host.why_no_address =
        "it has no " + family + " address, and sources names no address of another family to leave from";
  }

  asio::awaitable<void> try_host(route::Host host) {
    const hop::LocalRule rule = rule_for(manner_, hosts_.rule, host.origin);
    const bool from_dns = host.origin == route::Host::Origin::mx || host.origin == route::Host::Origin::implicit_mx;
    hop::HostFacts found;
    // REQUIRETLS makes more of DANE than the operator does, and who waives the policy is ruled out by nothing.
    if (from_dns && manner_ == Manner::ordinary && hop::is_ruled_out(hosts_.domain, host.name, rule)) {
      found.origin = host.origin;
      found.name = found.expanded = host.name;
      found.port = host.port;
    } else {
      found = co_await look_up(host);
      keep_reachable(found);
    }
    const hop::Facts facts{hosts_.domain, std::move(found)};
    const tlsrpt::Question question{facts, rule};
    const hop::Plan plan = hop::decide(facts, rule, asked(manner_));
    if (const auto* refuse = std::get_if<hop::Refuse>(&plan)) {
      witness_.saw(question, *refuse, now());
      Hop refused = hop_of(host, refuse->policy, hosts_.domain.mx_security);
      refused.definite = !refuse->reason;
      refused.refusal =
          hop::Refusal{refuse->reason.value_or(hop::Reason::dns_failure), refuse->text, "", refuse->status};
      add_hop(std::move(refused));
      co_return;
    }
    const hop::Connect& connect = std::get<hop::Connect>(plan);
    const auto& known = facts.host.addresses;
    has_v4_ = std::any_of(known.begin(), known.end(), [](const Ip& ip) { return ip.is_v4(); });
    const std::size_t before = connections_;
    if (session_ && fits(host, facts.host, connect)) {
      if (co_await use_open_session()) {
        count_out_closed(before);
        co_return note_heard(host);
      }
    }
    co_await leave_session();
    witness_.expect(facts);
    const std::string key = host_key(host);
    const std::vector<Ip> addresses = courier_.families_.ordered(key, facts.host.addresses, Steady::now());
    for (const Ip& ip : addresses) {
      if (open_.empty() || !is_placed() || is_enough(host)) co_return;
      const bool tried = courier_.rotation_.was_tried(job_.destination, {key, ip}, Steady::now());
      passed_over_ = passed_over_ || tried;
      if (tried) continue;
      if (!take_place(host, ip)) continue;
      ++connections_;
      const bool had_its_say = co_await try_address(host, ip, connect, question);
      place_.reset();
      count_out_closed(before);
      if (had_its_say) co_return note_heard(host);
      co_await leave_session();  // it took nothing, and another address is asked
      seen_.in_vain.emplace_back(key, ip);
    }
    seen_.hosts_through.push_back(key);
  }

  // Others of the set come first when the message is tried again.
  void note_heard(const route::Host& host) {
    if (!open_.empty()) heard_[heard_at_].hosts_through.push_back(host_key(host));
  }

  // A host that never takes this mail has no session of those that an attempt may use, nor had it connections: were the next one not asked,
  // a large set would never be heard to its end. `before`: how many there were when its turn came.
  void count_out_closed(std::size_t before) {
    if (open_.empty() || attempt_.hops.empty() || sessions_ == 0) return;
    const std::size_t at = attempt_.hops.size() - 1;
    const Hop& hop = attempt_.hops[at];
    const auto is_closed_to = [&](std::size_t i) {
      const auto refused = refused_.find(i);
      return is_lacking(attempt_.recipients[i], at) || (refused != refused_.end() && refused->second.back().hop == at);
    };
    const bool unfit = hop.refusal && hop.refusal->reason == hop::Reason::requiretls_not_supported;
    const bool closed = hop.no_mail || unfit || std::all_of(open_.begin(), open_.end(), is_closed_to);
    const std::size_t spent = std::max<std::size_t>(1, connections_ - before);
    if (!closed || closed_ + spent > most_closed) return;
    closed_ += spent;
    connections_ = before;
    --sessions_;
  }

  // False: that address has as many sessions as it may.
  bool take_place(const route::Host& host, const Ip& ip) {
    if (access_ == nullptr) return true;
    place_ = access_->enter(ip);
    if (place_) return true;
    attempt_.full = ip;
    attempt_.full_from = source_.towards(ip);
    if (!full_at_) full_at_ = host.preference;
    return false;
  }

  void note_banner(const route::Host& host, const Ip& ip) {
    courier_.families_.worked(host_key(host), ip);
    if (access_ != nullptr) access_->answered(ip);
  }

  // We gave up on it for other mail that waited: nobody refused anything, and no TLS failed.
  bool is_cut(const Opened& opened) const {
    const bool gave_way = access_ != nullptr && access_->gives_way.is_made();
    return gave_way && opened.ours == Trouble::none && opened.outcome.failure && !opened.outcome.reply;
  }
  static hop::Outcome without_tls_failure(hop::Outcome cut) {
    if (cut.stage <= hop::Stage::ehlo) return cut;
    cut.stage = hop::Stage::ehlo;
    cut.failure = hop::Refusal{hop::Reason::connection_lost, "the server did not answer in time"};
    return cut;
  }

  // No session came of it. What a rule refused says nothing about how many sessions the host takes.
  void note_failure(const route::Host& host, const Ip& ip, const Opened& opened) {
    attempt_.ours = opened.ours != Trouble::none && (failures_ == 0 || attempt_.ours);
    ++failures_;
    attempt_.at_login = opened.login_failed;
    if (opened.ours == Trouble::machine) return;
    const hop::Outcome& outcome = opened.outcome;
    if (is_cut(opened)) return access_->silent(ip);
    const bool by_rule = outcome.failure && is_policy(outcome.failure->reason);
    const bool refuses_address = outcome.reply && is_about_our_address(outcome.reply->text);
    if (outcome.stage == hop::Stage::connect || refuses_address)
      courier_.families_.failed(host_key(host), ip, Steady::now());
    // a login is the route's own, whatever the code: it says nothing of sessions, in which others log in or need not
    const bool of_others = by_rule || opened.ours != Trouble::none || opened.login_failed;
    if (of_others || !outcome.failure || access_ == nullptr) return;
    place_.reset();
    if (outcome.stage == hop::Stage::connect) return access_->unreachable(ip, outcome.failure->text);
    access_->refused(ip, outcome.reply ? outcome.reply->text : outcome.failure->text);
  }

  // Another domain's mail goes only over what was proved to the full: not in clear after TLS failed, nor past a defect.
  bool may_carry(const hop::Connect& plan) const {
    if (session_->destination == job_.destination) return session_->plan == plan;
    return !session_->before && !session_->hop.waived && hop::may_carry(session_->plan, plan);
  }
  bool fits(const route::Host& host, const hop::HostFacts& facts, const hop::Connect& plan) const {
    return session_->client->usable() && session_->host == host_key(host) && may_carry(plan) &&
           session_->route == hosts_.route && session_->manner == manner_ && session_->source == source_ &&
           session_->tls == courier_.tls_ && may_ride() &&
           std::find(facts.addresses.begin(), facts.addresses.end(), session_->ip) != facts.addresses.end();
  }

  // TLS-14: in clear after TLS failed only who has waited long enough, whoever opened the session; nobody's login goes that way.
  hop::Fallback fallback() const {
    if (hosts_.route && !hosts_.route->username.empty()) return hop::Fallback::never;
    // its sender would rather have it delivered (RFC 8689 section 3); what tells of broken TLS is not to wait for it
    if (manner_ == Manner::relaxed || manner_ == Manner::report) return hop::Fallback::now;
    const queue::Retry& retry = courier_.options_.retry;
    const auto least = retry.first - std::chrono::round<Milliseconds>(retry.first * retry.jitter);
    return hop::fallback_after(std::chrono::floor<Milliseconds>(now() - job_.received), least);
  }
  bool may_ride() const {
    return !session_->before || session_->before->action == Hop::Action::audit || fallback() == hop::Fallback::now;
  }

  // False: the session turned out to be dead before the server said anything of this mail; a new one may do better.
  asio::awaitable<bool> use_open_session() {
    const std::vector<Hop> before = attempt_.hops;
    if (session_->before) {
      Hop failed = *session_->before;
      failed.conversation = {};
      add_hop(std::move(failed));
    }
    add_hop(session_->hop);
    session_->client->until(deadline());
    session_->client->be_found(access_ != nullptr ? access_->speaks : nullptr);
    const Heard heard = co_await transact();
    if (heard == Heard::something) ++sessions_;
    if (heard == Heard::something) attempt_.reached = true;
    if (heard == Heard::something) co_return true;
    restore_hops(before);
    attempt_.put_off.reset();
    forget_words(open_);
    co_return false;
  }

  // True: this host has had its say; false: its next address.
  // REQUIRES: what `question` refers to outlives it; it is try_host's.
  asio::awaitable<bool> try_address(route::Host host, Ip ip, hop::Connect plan, tlsrpt::Question question) {
    const hop::Connect original = plan;
    const std::vector<Hop> before = attempt_.hops;
    std::optional<Hop> failed;  // whose TLS did not come about
    for (;;) {
      Hop hop = hop_of(host, plan.policy, plan.mx_security);
      hop.ip = ip;
      if (plan.required) hop.underlying = plan.required->underlying;
      if (uses_sts(plan)) hop.sts_id = hosts_.domain.sts.id;
      const Time began = now();
      Opened opened = co_await connect(host, ip, plan);
      if (is_cut(opened)) opened.outcome = without_tls_failure(std::move(opened.outcome));
      const bool banner = opened.outcome.stage > hop::Stage::greeting || opened.outcome.reply;
      if (banner) note_banner(host, ip);
      if (banner && plan == original) ++sessions_;
      // RPT-10: where EHLO got no answer nothing is known of STARTTLS
      const hop::Outcome& told = opened.before_helo ? opened.before_helo->outcome : opened.outcome;
      if (plan == original) witness_.saw({question, plan, told, ends(opened, host, ip), began});
      hop.from = source_.towards(ip);
      hop.src = opened.local ? opened.local : hop.from;
      if (opened.before_helo) {
        failed = without_ehlo(hop, plan, *opened.before_helo);
        add_hop(*failed);
      }
      note_opened(hop, plan, opened);
      const hop::Next next = hop::after(plan, opened.outcome, fallback());
      if (const auto* refused = std::get_if<hop::NextHost>(&next)) {
        hop.refusal = refused->why;
        add_hop(std::move(hop));
        note_failure(host, ip, opened);
        co_return false;
      }
      if (const auto* retry = std::get_if<hop::RetryInClear>(&next)) {
        hop.refusal = retry->why;
        hop.action = retry->rule == hop::OnFailure::audit ? Hop::Action::audit : Hop::Action::plaintext;
        failed = hop;
        add_hop(std::move(hop));
        plan = hop::in_clear(plan, *retry);
        continue;
      }
      const auto& proceed = std::get<hop::Proceed>(next);
      hop.policy = proceed.policy;
      hop.auth = proceed.auth;
      hop.waived = proceed.waived;
      session_ = session_to(host, ip, std::move(opened.client));
      session_->plan = original;
      session_->hop = hop;
      session_->before = failed;
      add_hop(std::move(hop));
      attempt_.reached = true;
      if (access_ != nullptr) access_->ready();
      if (pace_ == Pace::step_by_step) session_->client->go_step_by_step();
      const Heard heard = co_await transact();
      if (heard == Heard::something && took_any(attempt_)) seen_.good = host_key(host);
      if (heard != Heard::too_little) co_return heard == Heard::something;
      restore_hops(before);
      plan = original;
      failed.reset();
    }
  }

  static void note_opened(Hop& hop, const hop::Connect& plan, Opened& opened) {
    hop.tls = opened.outcome.tls;
    hop.conversation = std::move(opened.conversation);
    if (opened.outcome.dane) hop.matched = opened.outcome.dane->matched;
    hop.observed = hop::observe(plan, opened.outcome);
    hop.no_mail = opened.outcome.reply && opened.outcome.reply->code == 521;
  }

  OpenSession session_to(const route::Host& host, const Ip& ip, std::unique_ptr<Client> client) const {
    OpenSession session;
    session.client = std::move(client);
    session.host = host_key(host);
    session.ip = ip;
    session.route = hosts_.route;
    session.manner = manner_;
    session.source = source_;
    session.tls = courier_.tls_;
    session.place = place_;
    session.destination = job_.destination;
    return session;
  }

  // MX-21: each at whom it breaks costs a session. After some in a row, and nobody taken, the others wait with them.
  void limit_rounds() {
    std::map<std::uint64_t, unsigned>& rounds = courier_.apart_;
    const std::uint64_t id = job_.id.value;
    if (rounds.size() >= most_apart) rounds.clear();
    if (!took_any(attempt_) && ++rounds[id] < most_rounds) return;
    rounds.erase(id);
    if (took_any(attempt_)) return;
    for (const std::size_t i : unjudged_) {
      RecipientStatus& one = attempt_.recipients[i];
      if (!std::exchange(one.untouched, false)) continue;
      one.halt = Halt{hop::Reason::connection_lost, "the server ended the session at other recipients of the message"};
    }
  }

  // TLS-14: EHLO got no answer, and so nothing was heard of STARTTLS; HELO gave up on it.
  static Hop without_ehlo(Hop hop, const hop::Connect& plan, const Opened& opened) {
    hop.refusal = opened.outcome.failure;
    hop.action = plan.on_failure == hop::OnFailure::audit ? Hop::Action::audit : Hop::Action::plaintext;
    hop.conversation = opened.conversation;
    return hop;
  }

  // The two ends as the world may know them.
  tlsrpt::Ends ends(const Opened& opened, const route::Host& host, const Ip& ip) const {
    const Counting& counting = courier_.options_.counting;
    const auto& known = ip.is_v4() ? counting.public_ipv4 : counting.public_ipv6;
    const bool configured = host.origin == route::Host::Origin::route_name;
    return {known ? known : if_public(opened.local), configured ? if_public(ip) : ip};
  }

  asio::awaitable<Opened> connect(route::Host host, Ip ip, hop::Connect plan) {
    Target target;
    target.at = net::Endpoint{ip, host.port};
    target.plan = std::move(plan);
    target.fallback = fallback();
    target.deadline = deadline();
    if (access_ != nullptr) target.found_at = access_->speaks;
    if (access_ != nullptr) target.cut = &access_->gives_way;
    if (hosts_.route) {
      auto credentials = courier_.credentials_.load(*hosts_.route);
      if (!credentials) {
        Opened failed;
        failed.outcome.failure = hop::Refusal{hop::Reason::validation_failure, credentials.error().detail};
        failed.ours = Trouble::machine;
        co_return failed;
      }
      target.certificate = std::move(credentials->certificate);
      target.login = std::move(credentials->login);
    }
    const auto tls = courier_.tls_;
    Options options = courier_.options_;
    options.source_ipv4 = source_.ipv4;
    options.source_ipv6 = source_.ipv6;
    options.hostname = source_.hostname;
    co_return co_await Client::open(std::move(target), *tls, std::move(options));
  }

  enum class Heard : std::uint8_t {
    something,   // of this mail
    nothing,     // a 421 is only the end of the session
    too_little,  // it broke at one of several recipients, and step by step it shows at whom
  };

  // Transactions over the open session until nobody is left for whom another one makes sense.
  asio::awaitable<Heard> transact() {
    const std::size_t hop = attempt_.hops.size() - 1;
    const bool fresh = session_->client->transactions() == 0;
    std::vector<std::size_t> batch = fitting(hop);
    Form form = form_for(job_.envelope, session_->client->peer());
    Heard heard = batch.empty() ? Heard::something : Heard::nothing;
    while (!batch.empty()) {
      Result<Payload::Made> made = co_await payload_.content(form, courier_.keyring_, now());
      if (!made) {
        const Halt unsigned_mail{std::nullopt, "the message cannot be signed: " + made.error().detail};
        for (const std::size_t i : batch) attempt_.recipients[i].halt = unsigned_mail;
        heard = Heard::something;  // this session did nothing wrong
        break;
      }
      if (const auto* lack = std::get_if<Lack>(&*made)) {
        // BODY=BINARYMIME was announced for what 8BITMIME can carry: where it must not be converted it need not be
        if (lack->eight_bit_would_do && session_->client->peer().eight_bit_mime && form == Form::seven_bit) {
          form = Form::as_it_is;
          continue;
        }
        const Lack seen = seen_at(session_->client->peer(), *lack);
        note_lack(batch, seen, hop);
        heard = Heard::something;
        break;
      }
      if (!is_placed()) co_return co_await leave_displaced();
      Content content = std::get<Content>(std::move(*made));
      content.leave = courier_.leave_;
      smtp::Envelope envelope = payload_.envelope(batch, form);
      if (form != Form::seven_bit && form != Form::plain) envelope.size = payload_.size() + content.before.size();
      const Sent sent = co_await session_->client->send(std::move(envelope), std::move(content));
      attempt_.hops[hop].dsn = session_->client->peer().dsn;
      attempt_.hops[hop].conversation = session_->client->conversation();
      attempt_.hops[hop].no_mail = sent.settled.connection == smtp::Settled::Connection::host_refuses;
      if (sent.again) form = form_for(job_.envelope, session_->client->peer());
      Heeded heeded = heed(sent, batch, hop);
      if (heeded.something) heard = Heard::something;
      note_put_off(sent, batch.size());
      if (fresh && batch.size() > 1) {
        if (part(sent, batch, heard) == Heard::too_little) {
          co_await leave_session();
          co_return Heard::too_little;
        }
        if (apart_) heard = Heard::something;
      }
      // MX-13: what was too much for one transaction goes in the next, as long as each carries something
      const bool goes_on = heeded.progress && session_->client->usable();
      batch = goes_on ? std::move(heeded.later) : std::vector<std::size_t>{};
    }
    co_await end_transactions(hop);
    if (apart_) open_.clear();  // whom it broke at waits for a time of its own, and holds nobody up
    co_return heard;
  }

  asio::awaitable<Heard> leave_displaced() {
    co_await leave_session();
    co_return Heard::something;
  }

  // At a host that speaks for itself alone: 521 to this recipient (RFC 7504), or our address under IPv6. Another one may take the mail.
  struct Refused {
    std::size_t hop;
    smtp::RecipientFate fate;
  };

  // What a transaction's replies mean for those it was for.
  struct Heeded {
    bool something = false;  // was said of this mail
    bool progress = false;   // somebody was delivered, or will be asked for in another way
    std::vector<std::size_t> later;
  };
  Heeded heed(const Sent& sent, const std::vector<std::size_t>& batch, std::size_t hop) {
    Heeded heeded;
    heeded.something = sent.begun;
    heeded.progress = sent.again;
    const auto& from = attempt_.hops[hop].ip;
    const bool over_v6 = from && from->is_v6();
    bool moved = false;
    bool settled = false;  // somebody is, and over this connection: it had its say
    for (std::size_t i = 0; i < batch.size(); ++i) {
      RecipientStatus& status = attempt_.recipients[batch[i]];
      smtp::RecipientFate fate = sent.settled.recipients[i];
      const bool about_us = over_v6 && fate.fate == smtp::Fate::refused && is_about_our_address(fate.reply.one_line());
      // The host's IPv4 address may take it, also where it was tried in vain, or is not this attempt's affair: its turn comes, and only
      // then is it a matter of this mail. Or another host of the set may have one.
      if (about_us && (has_v4_ || hosts_.hosts.size() > 1)) {
        if (!has_v4_) refused_[batch[i]].push_back({hop, fate});
        fate.fate = smtp::Fate::deferred;
        status = with_fate(std::move(status), fate, hop);
        moved = true;
        continue;
      }
      if (fate.fate == smtp::Fate::deferred && fate.reply.code == 521 && !attempt_.hops[hop].no_mail) {
        refused_[batch[i]].push_back({hop, fate});
        refused_[batch[i]].back().fate.fate = smtp::Fate::refused;
      }
      if (fate.reply.code != 0 && fate.reply.code != 421) heeded.something = true;
      heeded.progress = heeded.progress || fate.fate == smtp::Fate::accepted;
      if (fate.fate == smtp::Fate::later) heeded.later.push_back(batch[i]);
      status = with_fate(std::move(status), fate, hop);
      if (fate.fate == smtp::Fate::unanswered) status = with_halt(std::move(status), sent);
      settled = settled || status.fate != Fate::deferred || status.halt;
    }
    if (moved) courier_.families_.failed(session_->host, *from, Steady::now());
    if (moved && !heeded.progress && !settled) heeded.something = false;
    return heeded;
  }

  // MX-24: where every host that might take his mail refused a recipient in such a way, the last word is final.
  void end_refused() {
    if (cut_short_ || passed_over_ || apart_ || attempt_.full || attempt_.displaced) return;
    std::erase_if(open_, [this](std::size_t i) {
      const auto found = refused_.find(i);
      if (found == refused_.end() || !is_refused_everywhere(found->second)) return false;
      RecipientStatus& status = attempt_.recipients[i];
      status = with_fate(std::move(status), found->second.back().fate, found->second.back().hop);
      return true;
    });
  }
  bool is_refused_everywhere(const std::vector<Refused>& refused) const {
    for (std::size_t i = 0; i < attempt_.hops.size(); ++i) {
      const Hop& hop = attempt_.hops[i];
      const bool here = std::any_of(refused.begin(), refused.end(), [&](const Refused& one) {
        return one.hop == i || speaks_for(attempt_.hops[one.hop], hop);
      });
      if (!here && !hop.no_mail && !hop.definite && !hop.was_tried_again()) return false;
    }
    return true;
  }
  void restore_hops(std::vector<Hop> before) {
    attempt_.hops = std::move(before);
    for (auto& [recipient, refused] : refused_)
      std::erase_if(refused, [this](const Refused& one) { return one.hop >= attempt_.hops.size(); });
    std::erase_if(refused_, [](const auto& one) { return one.second.empty(); });
  }

  // MX-21: a transaction of several recipients broke. Those that it did not break at go back untouched and come again without the
  // one it did; too_little: at whom it was has to be found out first.
  Heard part(const Sent& sent, const std::vector<std::size_t>& batch, Heard heard) {
    const Broken broken = broken_at(sent, batch.size(), pace_);
    if (broken.at == Broken::At::somewhere && heard == Heard::nothing) {
      pace_ = Pace::step_by_step;
      forget_words(batch);
      return Heard::too_little;
    }
    if (broken.at != Broken::At::recipient && broken.at != Broken::At::somewhere) return heard;
    for (const std::size_t at : unjudged(sent, broken)) {
      attempt_.recipients[batch[at]].untouched = true;
      unjudged_.push_back(batch[at]);
      std::erase(open_, batch[at]);
      apart_ = true;
    }
    // Others were taken before it: perhaps it is not this one, but one too many for a session. Alone it gets its own answer.
    const bool not_first = broken.at == Broken::At::recipient && broken.recipient > 0;
    if (not_first && sent.cut_off != Sent::CutOff::silence && !std::exchange(alone_, true)) {
      forget_words({batch[broken.recipient]});
      return Heard::too_little;
    }
    return heard;
  }
  void forget_words(const std::vector<std::size_t>& recipients) {
    for (const std::size_t i : recipients) {
      attempt_.recipients[i].hop.reset();
      attempt_.recipients[i].reply.reset();
    }
  }
  void note_put_off(const Sent& sent, std::size_t recipients) {
    attempt_.at_mail = !sent.replies.empty() && sent.replies.front().code >= 400;
    const auto reply = put_off_by(sent, recipients);
    if (reply) attempt_.put_off = reply->one_line();
    const Broken broken = broken_at(sent, recipients, pace_);
    const bool cut_off = sent.cut_off != Sent::CutOff::no && !sent.end;
    if (!reply && cut_off && broken.at == Broken::At::message) attempt_.put_off = "";
    attempt_.cut_at_rcpt = !reply && (broken.at == Broken::At::recipient || broken.at == Broken::At::somewhere);
  }

  void note_lack(const std::vector<std::size_t>& whom, const Lack& lack, std::size_t hop) {
    for (const std::size_t i : whom) {
      RecipientStatus& status = attempt_.recipients[i];
      status = with_lack(std::move(status), lack, hop);
    }
  }

  // Whom the peer can be told of: without SMTPUTF8 nobody who needs it (MX-19).
  std::vector<std::size_t> fitting(std::size_t hop) {
    if (session_->client->peer().smtputf8) return open_;
    std::vector<std::size_t> batch;
    for (const std::size_t i : open_) {
      if (!needs_smtputf8(job_.envelope, job_.recipients[i].address)) {
        batch.push_back(i);
      } else {
        note_lack({i}, lacks_smtputf8(), hop);
      }
    }
    return batch;
  }

  asio::awaitable<void> end_transactions(std::size_t hop) {
    std::erase_if(open_, [this](std::size_t i) {
      return attempt_.recipients[i].fate != Fate::deferred || attempt_.recipients[i].halt;
    });
    const auto told = std::find_if(open_.begin(), open_.end(),
                                   [&](std::size_t i) { return !is_lacking(attempt_.recipients[i], hop); });
    if (told != open_.end()) {
      attempt_.hops[hop].refusal = refusal_for(attempt_.recipients[*told]);
    } else if (!open_.empty()) {
      attempt_.hops[hop].refusal = refusal_for(attempt_.recipients[open_.front()].lacking);
    }
    const bool goes_on = session_->client->usable() && session_->client->transactions() < messages_per_session();
    if (!goes_on) co_await leave_session();
  }

  asio::awaitable<void> leave_session() {
    if (!session_) co_return;
    OpenSession old = std::move(*session_);
    session_.reset();
    co_await old.client->quit();
  }

  std::size_t messages_per_session() const {
    const auto& route = hosts_.route;
    const auto set = route ? route->limits.messages_per_session : std::nullopt;
    return set ? *set : courier_.options_.messages_per_session;
  }

  Courier& courier_;
  Access* access_;
  net::SteadyTime deadline_;
  std::size_t connections_ = 0;           // of this attempt
  std::size_t sessions_ = 0;              // such that got a banner
  std::size_t failures_ = 0;              // addresses from which no session came
  std::size_t closed_ = 0;                // connections that do not count, for the host never takes this mail
  bool out_of_reach_ = false;             // a host has no address that `sources` lets this mail leave for
  bool cut_short_ = false;                // hosts are left for the next one
  bool passed_over_ = false;              // an address that was tried lately
  bool has_v4_ = false;                   // the host whose turn it is
  std::optional<std::uint16_t> full_at_;  // the preference of a host that is full
  std::shared_ptr<void> place_;
  Rotation::Seen seen_;
  std::map<std::string, Rotation::Seen> heard_;  // by heard_key, of every source that had its turn
  std::string heard_at_;                         // of the one whose turn it is
  std::shared_ptr<const store::Job> kept_;
  const store::Job& job_;
  std::optional<OpenSession>& session_;
  Manner manner_;
  Source source_;
  route::Hosts hosts_;
  bool has_hosts_ = false;
  std::uint64_t generation_ = 0;
  route::TablePtr placed_by_;  // the rules that last confirmed the next hop, and for which time
  Time placed_at_;
  std::optional<Time> placed_until_;
  Attempt attempt_;
  std::map<std::size_t, std::vector<Refused>> refused_;  // by recipient
  Payload payload_;
  Witness witness_;
  bool told_ = false;
  bool apart_ = false;                 // a transaction broke at somebody: the attempt ends there
  std::vector<std::size_t> unjudged_;  // then: the others
  bool alone_ = false;                 // who it broke at has a transaction of its own
  Pace pace_ = Pace::pipelined;
  std::vector<std::size_t> open_;  // recipients for whom hosts are still tried, as indices
};

asio::awaitable<Attempt> Courier::attempt(std::shared_ptr<const store::Job> job, std::optional<OpenSession>& session,
                                          Access* access) {
  Run run(*this, std::move(job), session, access);
  co_return co_await run.go();
}

}  // namespace hoplock::delivery
