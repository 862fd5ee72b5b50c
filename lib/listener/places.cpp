// SPDX-License-Identifier: Apache-2.0
#include "listener/places.h"

#include <algorithm>
#include <utility>

namespace hoplock::listener {

Ip site_of(const Ip& client) {
  const Ip ip = client.unmapped();
  if (ip.is_v4()) return ip;
  std::string octets = ip.octets();
  std::fill(octets.begin() + 8, octets.end(), '\0');
  return Ip::from_octets(octets);
}

Places::Place::Place(Places& places, const Ip& site, Standing standing, net::SteadyTime now)
    : places_(places), site_(site), standing_(standing), progress_(now) {
  places_.held_.insert(this);
  ++places_.sites_[site_];
  ++(standing_ == Standing::known ? places_.known_ : places_.strangers_);
}

Places::Place::~Place() {
  if (lost_) {
    --places_.leaving_;
  } else {
    places_.forget(*this);
  }
}

void Places::Place::prove() {
  if (lost_ || std::exchange(standing_, Standing::known) == Standing::known) return;
  --places_.strangers_;
  ++places_.known_;
}

void Places::forget(const Place& place) {
  held_.erase(const_cast<Place*>(&place));
  --(place.standing_ == Standing::known ? known_ : strangers_);
  const auto found = sites_.find(place.site_);
  if (found != sites_.end() && --found->second == 0) sites_.erase(found);
}

Places::Admission Places::admit(const Ip& client, Standing standing, net::SteadyTime now) {
  const Ip site = site_of(client);
  const auto here = sites_.find(site);
  if ((here == sites_.end() ? 0 : here->second) >= limits_.per_site) return {nullptr, Refusal::per_site};
  const std::size_t most = standing == Standing::known ? limits_.places : share();
  const bool room = taken() < limits_.places && (standing == Standing::known || strangers_ < most);
  if (!room) {
    Place* idle = most_idle();
    // another stranger is no better than one that came a moment ago
    const bool yields =
        idle != nullptr && limits_.places > 0 && (standing == Standing::known || now - idle->progress_ >= patience);
    if (!yields) {
      ++refused_;
      full_at_ = now;
      return {nullptr, Refusal::full};
    }
    take_from(*idle);
  }
  return {std::make_shared<Place>(*this, site, standing, now), Refusal::none};
}

bool Places::relieve(net::SteadyTime now) {
  if (!under_pressure()) return false;
  std::vector<Place*> idle;
  for (Place* one : held_) {
    if (one->standing_ == Standing::stranger && now - one->progress_ >= patience) idle.push_back(one);
  }
  for (Place* one : idle) take_from(*one);
  return under_pressure();
}

Places::Place* Places::most_idle() const {
  Place* found = nullptr;
  for (Place* one : held_) {
    if (one->standing_ != Standing::stranger) continue;
    if (found == nullptr || one->progress_ < found->progress_) found = one;
  }
  return found;
}

void Places::take_from(Place& place) {
  forget(place);
  place.lost_ = true;
  ++gave_way_;
  const Manner manner = leaving_++ < most_leaving ? Manner::told : Manner::cut;
  if (place.give_way_) place.give_way_(manner);
}

}  // namespace hoplock::listener
