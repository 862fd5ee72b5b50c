// SPDX-License-Identifier: Apache-2.0
// A worker as the scheduler's coroutines share it. For this module's own sources.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "delivery/access.h"
#include "delivery/scheduling.h"

namespace hoplock::delivery {

// Counts until its frame is gone, however it ends.
struct Scheduler::Impl::DeliveryWorker : Access {
  Impl& self;
  ActiveDestinationPtr destination;
  std::optional<OpenSession> session;
  Steady::time_point began = Steady::now();
  Steady::time_point last_job = began;
  BusyWorker busy;
  bool connected = false;
  SitePtr connected_at;
  bool evicted = false;
  Gates::UsePtr at_site;
  std::vector<Gates::UsePtr> on_trial;  // among those that have not worked yet

  DeliveryWorker(Impl& impl, ActiveDestinationPtr to, Places places)
      : self(impl),
        destination(std::move(to)),
        at_site(std::move(places.at_site)),
        on_trial(std::move(places.on_trial)) {
    if (!destination->site) return;
    session = self.take_spare(destination->site);
    self.make_room_among_spares(*destination->site);
  }
  ~DeliveryWorker() override {
    destination->busy.remove(&busy);
    set_connected(false);
    session.reset();
    at_site.reset();
    on_trial.clear();
    if (evicted) self.concurrency_.evicted_left();
    if (destination->workers == 1) {  // the last one; what it should have given back in order
      for (const store::Job& job : destination->jobs) self.put(released(job));
      if (!destination->jobs.empty()) destination->more = true;
      destination->jobs.clear();
    }
    self.worker_gone(*destination);
  }
  void set_connected(bool value) {
    if (connected == value) return;
    connected = value;
    destination->connected += value ? 1 : SIZE_MAX;
    if (value) connected_at = destination->site;
    if (connected_at) connected_at->connected += value ? 1 : SIZE_MAX;
  }

  bool admit(const route::Hosts& hosts) override;
  std::shared_ptr<void> enter(const Ip& ip) override;
  void ready() override;
  void answered(const Ip& ip) override;
  void silent(const Ip& ip) override;
  void refused(const Ip& ip, const std::string& reply) override;
  void unreachable(const Ip& ip, const std::string& why) override;
};

}  // namespace hoplock::delivery
