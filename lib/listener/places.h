// SPDX-License-Identifier: Apache-2.0
// Who gets a place when there are more clients than places (SUB-34). Clients that may relay come first: they have places kept free for
// them, and where all are taken the stranger that has done nothing for longest gives way. Owns the counts and the decisions; sockets
// and replies are Server's and ServerSession's. Wherever clients are told apart, a /64 of IPv6 is one.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_set>
#include <vector>

#include "base/ip.h"
#include "net/condition.h"

namespace hoplock::listener {

// What counts as one client: the address, or the /64 that an IPv6 address is in; IPv4-mapped as IPv4.
Ip site_of(const Ip& client);

enum class Standing : std::uint8_t { stranger, known };  // known: it may relay, or did so from there lately

class Places {
 public:
  struct Limits {
    std::size_t places = 1000;
    std::size_t per_site = 100;
  };
  // How long a stranger may do nothing under pressure; Postfix's smtpd_timeout under stress.
  static constexpr std::chrono::seconds patience{10};
  static constexpr std::size_t most_leaving = 100;  // that still hear why; beyond them connections are cut

  enum class Manner : std::uint8_t { told, cut };

  // One session's place, from its admission to its end.
  class Place {
   public:
    Place(Places& places, const Ip& site, Standing standing, net::SteadyTime now);
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    // The session got on: a command that was taken, a handshake, some KiB of content. Single octets do not count.
    void got_on(net::SteadyTime now) { progress_ = now; }
    // It proved that it may relay.
    void prove();
    // Called once, when the place is taken away.
    void on_give_way(std::function<void(Manner)> call) { give_way_ = std::move(call); }
    bool is_lost() const { return lost_; }
    const Ip& site() const { return site_; }

   private:
    friend class Places;
    Places& places_;
    Ip site_;
    Standing standing_;
    net::SteadyTime progress_;
    std::function<void(Manner)> give_way_;
    bool lost_ = false;
  };

  enum class Refusal : std::uint8_t { none, full, per_site };
  struct Admission {
    std::shared_ptr<Place> place;  // null: refused
    Refusal why = Refusal::none;
  };
  void set(Limits limits) { limits_ = limits; }
  // REQUIRES: this outlives the places it gave. May take one away from another session.
  Admission admit(const Ip& client, Standing standing, net::SteadyTime now);
  // Under pressure, takes the places of strangers that did nothing for `patience`. Also says whether the pressure lasts.
  bool relieve(net::SteadyTime now);
  bool under_pressure() const { return strangers_ * 4 > share() * 3; }

  std::size_t taken() const { return strangers_ + known_; }
  struct Counts {
    std::size_t places = 0;     // limits.connections
    std::size_t strangers = 0;  // that hold one
    std::uint64_t refused = 0;  // since the start, for want of a place
    std::uint64_t gave_way = 0;
    std::optional<net::SteadyTime> full_at;  // when a client was last refused for want of a place
  };
  Counts counts() const { return {limits_.places, strangers_, refused_, gave_way_, full_at_}; }

 private:
  std::size_t share() const { return limits_.places - limits_.places / 10; }  // of strangers
  Place* most_idle() const;
  void take_from(Place& place);
  void forget(const Place& place);

  Limits limits_;
  std::unordered_set<Place*> held_;  // not the lost ones
  std::map<Ip, std::size_t> sites_;
  std::size_t strangers_ = 0;
  std::size_t known_ = 0;
  std::size_t leaving_ = 0;
  std::uint64_t refused_ = 0;
  std::uint64_t gave_way_ = 0;
  std::optional<net::SteadyTime> full_at_;
};

}  // namespace hoplock::listener
