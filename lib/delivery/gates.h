// SPDX-License-Identifier: Apache-2.0
// Who may open a session, beyond the limits of all: sites (the same set of MX hosts, whatever the domain), host addresses, and
// destinations that have not worked yet, so that those that do always find sessions left. Destinations that must wait stand at their gate,
// without a worker, and come back when there is room. Also what is remembered of a site's failures. Bounded; all of it is in memory only,
// and what it forgets is learnt again.
#pragma once
#include <functional>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "base/log.h"
#include "delivery/allowance.h"
#include "delivery/origin.h"
#include "queue/in_line.h"
#include "route/options.h"
#include "store/waiting.h"

namespace hoplock::delivery {

// A destination that waits for a worker. Whoever asked first goes first; what is given back untried keeps its place.
struct Waiting : store::Ready {
  Waiting() = default;
  Waiting(store::Ready ready) : store::Ready(std::move(ready)) {}
  std::uint64_t place = 0;  // 0: none yet
};
// Behind all that asked before it.
template <class List>
void line_up(List& list, Waiting one) {
  auto at = list.end();
  while (at != list.begin() && std::prev(at)->place > one.place) --at;
  list.insert(at, std::move(one));
}

// Something that takes so many at once, and those that wait for it.
struct Gate {
  explicit Gate(std::size_t most) : allowance(most) {}
  Allowance allowance;
  std::size_t used = 0;
  std::size_t spare = 0;  // of these: held by a session without work, which gives way
  bool silent = false;    // it has one session until it answers
  Allowance::Clock::time_point closed_until{};
  Time told_until{};                           // the same by the system's clock, as it was told last
  Allowance::Clock::time_point worked_at{};    // it took a message
  Allowance::Clock::time_point answered_at{};  // the last banner
  Allowance::Clock::time_point slowed_at{};    // it was too fast for it
  std::list<Waiting> waiting;  // mostly empty, and there are thousands of gates: an empty deque has half a KiB
  std::size_t sessions() const { return silent ? 1 : allowance.sessions(); }
  bool is_full() const { return used >= sessions() + spare; }
  bool must_spare() const { return spare > 0 && used > sessions(); }
  bool is_closed(Allowance::Clock::time_point now) const { return is_full() || now < closed_until; }
};
using GatePtr = std::shared_ptr<Gate>;

// What the names of one owner may use until they work: more the more of them do.
struct Share : Gate {
  using Gate::Gate;
  int score = 0;
};

// Which destinations said so; two are enough to know that it is not the word of one alone.
class Voices {
 public:
  void add(const std::string& destination) {
    if (names_.size() < 2) names_.insert(destination);
  }
  bool are_several() const { return names_.size() > 1; }
  void clear() { names_.clear(); }

 private:
  std::set<std::string> names_;
};

// Domains whose mail the same hosts take.
struct Site : Gate {
  using Gate::Gate;
  std::string name;
  Voices known;                     // domains of recipients
  std::size_t connected = 0;        // workers whose last session was ready for mail
  std::optional<route::Rate> rate;  // the operator's, of messages
  std::set<std::uint64_t> put_off;  // recipients told to come later since a message was taken, hashed
  Voices put_off_by;                // their domains
  bool put_off_anew = false;        // one of them for the first time
  Origins put_off_from;             // of these messages
  LateOrigins known_from;           // of messages that it took
  struct CutOff {                   // recipients at whom a session was ended, for the first time, hashed; of whom
    std::set<std::uint64_t> whom, senders;
    Voices by;
    Origins from;
    void add(std::uint64_t recipient, const std::string& domain, const store::Envelope& envelope);
  } cut_off;
  std::optional<store::Backoff> hold;  // down or slowed down as a whole
  std::string hold_by;                 // on the word of this destination alone; "": of several, or of the hosts
  bool is_held(const std::string& destination, Time at) const {
    return hold && hold->until > at && (hold_by.empty() || hold_by == destination);
  }
  unsigned refused = 0, taken = 0;       // recipients, lately: refused for our reputation, and not
  std::set<std::uint64_t> refused_whom;  // hashed
  Voices refused_by;                     // their domains
  Origins refused_from;
  Allowance::Clock::time_point refused_since{}, refused_last{};  // the first of these, and the last
  Allowance::Clock::time_point held_last{};                      // the end of the last hold of one origin
  LateOrigins taken_from;                                        // of messages that were begun after that, and taken
  Allowance::Clock::time_point alert_next{};
  // One customer's rules are not the provider's: the whole site is meant when several of its destinations say so, or it has one only.
  bool is_meant(const Voices& by) const { return by.are_several() || !known.are_several(); }
  // Nor is what one application's mail is told meant for everybody's.
  bool is_put_off_for_all(Allowance::Clock::time_point now) const {
    return !put_off_from.are_confined(known_from.at(now));
  }
  // None of that counts any more: a message was taken, or others shall have their say.
  void forget_put_off() {
    put_off.clear();
    put_off_by.clear();
    put_off_from.clear();
    cut_off = {};
    put_off_anew = false;
  }
  // The origin of what was put off or cut off waits by itself now. Should that befall another one, too, it is no longer its own affair.
  void begin_put_off_anew() {
    put_off.clear();
    put_off_by.clear();
    cut_off.whom.clear();
    cut_off.senders.clear();
    cut_off.by.clear();
    put_off_anew = false;
  }
  std::optional<Allowance::Clock::time_point> last_turn;
  Allowance::Clock::time_point next_turn() const;
  // One message's turn under `rate`; false: later, the gate is closed until then.
  bool take_turn(Allowance::Clock::time_point now);
};
using SitePtr = std::shared_ptr<Site>;

class Gates {
 public:
  using Clock = Allowance::Clock;
  explicit Gates(Log& log) : log_(log), unproven_(std::make_shared<Gate>(150)) {}

  void limit(std::size_t sessions, std::size_t per_host);

  // --- destinations
  // The gate at which this one has to wait now; null: it may have a worker.
  GatePtr closed_to(const std::string& destination) const;
  // Waits there. False: there are too many.
  bool park(const GatePtr& gate, Waiting ready);
  bool is_parked(const std::string& destination) const { return parked_.contains(destination); }
  std::vector<std::string> parked() const { return {parked_.begin(), parked_.end()}; }
  std::size_t parked_count() const { return parked_.size(); }
  // The same for people, each with its gate's reason.
  std::vector<queue::InLine> in_line(Time now) const;
  // Those for whom there is no place among such as have not worked yet.
  std::size_t waiting_unproven() const { return unproven_->is_full() ? unproven_->waiting.size() : 0; }
  // Those for whom there may be room now.
  std::vector<Waiting> take_ready();
  void there_is_room() { room_ = true; }
  // The rules may be others, or an operator wants it tried: whoever waits asks again, and sites are looked for anew.
  void reopen();
  // Somebody waits, and there may be room for him.
  bool has_room() const { return room_ && !crowded_.empty(); }
  // When the next gate opens by itself.
  std::optional<Clock::time_point> opens() const { return opens_; }
  // It delivers mail, or does no more.
  bool is_proven(const std::string& destination) const { return proven_.contains(destination); }
  void proven(const std::string& destination);
  void unproven(const std::string& destination);
  // What a destination without a proof uses while it has workers: its own domain's share, and that of all such.
  std::vector<GatePtr> for_unproven(const std::string& destination);

  // --- sites
  SitePtr site(const std::string& name, const route::Limits& limits);
  void belongs(const std::string& destination, const SitePtr& site);
  SitePtr site_of(const std::string& destination) const;
  void forget_holds();
  std::size_t sites_known() const { return sites_.size(); }

  // --- workers and sessions; a use ends with its value
  class Use {
   public:
    Use(Gates& gates, GatePtr gate) : gates_(&gates), gate_(std::move(gate)) { ++gate_->used; }
    ~Use() {
      --gate_->used;
      gates_->room_ = true;
    }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    Gates* gates_;
    GatePtr gate_;
  };
  using UsePtr = std::shared_ptr<Use>;
  UsePtr use(GatePtr gate) { return std::make_shared<Use>(*this, std::move(gate)); }
  // A receiver knows us by our address, and counts and refuses by it. `from`: nothing, where the system chooses.
  GatePtr host(const Ip& ip, const std::optional<Ip>& from = std::nullopt);

  // --- what receivers say
  struct Word {
    SitePtr site;  // null: not known
    std::optional<Ip> ip;
    std::string reply;
    std::optional<Ip> from = std::nullopt;  // our address
  };
  // A session was refused while others at that address worked.
  void refused(const Word& word);
  // It has to do with how much comes at once, not with how many sessions: a quarter less, once for all that say so in one moment.
  void too_fast(const Word& word);
  // The host at that address is there.
  void answered(const Ip& ip, const std::optional<Ip>& from);
  // A session was given up on since nothing came from there. Unless something did since then, one at a time asks whether it is there: names
  // on a host that hangs take no sessions from others. It is not the host's word on how many it takes.
  void silent(const Ip& ip, const std::optional<Ip>& from, Clock::time_point since);
  // A message was taken.
  void took(const Word& word);
  // The site shall have no more than that at once, for now.
  void slow(const Word& word);
  std::uint64_t cuts() const { return cuts_; }

 private:
  std::string reason_of(const GatePtr& gate, const std::unordered_map<const Gate*, std::string>& names) const;
  std::unordered_map<const Gate*, std::string> names_of_crowded() const;
  void score(const std::string& destination, int by);
  std::size_t share() const;
  void cut(const Word& word, std::size_t working);
  void tell(const Word& word, std::size_t sessions, std::size_t was);
  void forget_sites();
  Log& log_;
  std::size_t sessions_ = 200;
  std::size_t per_host_ = 20;
  GatePtr unproven_;
  std::map<std::string, std::shared_ptr<Share>> shares_;  // of unproven destinations, by the end of their names
  std::unordered_map<std::string, SitePtr> sites_;
  std::unordered_map<std::string, SitePtr> site_of_;           // by destination
  std::map<std::pair<Ip, std::optional<Ip>>, GatePtr> hosts_;  // and from which address of ours
  std::set<std::string> parked_;
  std::set<GatePtr> crowded_;  // gates at which somebody waits
  std::set<std::string> proven_;
  bool room_ = false;  // a use ended, or a limit grew
  bool reopened_ = false;
  std::optional<Clock::time_point> opens_;
  std::uint64_t cuts_ = 0;
};

// The part of a name that one owner has, as far as a name shows: "example.org", "example.co.uk".
std::string owner_of(const std::string& domain);

}  // namespace hoplock::delivery
