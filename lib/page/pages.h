// SPDX-License-Identifier: Apache-2.0
// The paths of the status page: /, /domain/NAME, /message/ID, /find?q=…, and what they need beside. Read-only.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string>
#include <vector>

#include "http/server.h"
#include "monitor/counters.h"
#include "monitor/daemon_status.h"
#include "monitor/survey.h"
#include "page/frame.h"
#include "page/lookups.h"
#include "page/verdict.h"
#include "route/table.h"

namespace hoplock::page {

class Pages {
 public:
  struct Parts {
    monitor::Surveyor& surveyor;
    const monitor::Counters& counters;
    Lookups& lookups;
    // Called on the loop.
    std::function<monitor::DaemonStatus()> status;
    std::function<std::vector<store::Lease>()> active;
    std::function<const route::Table&()> routes;
  };
  // REQUIRES: what the parts refer to outlives it and the loop's last run.
  explicit Pages(Parts parts) : parts_(std::move(parts)) {}

  boost::asio::awaitable<http::Reply> answer(http::Request request);

 private:
  boost::asio::awaitable<http::Reply> front(std::string span_word);
  boost::asio::awaitable<http::Reply> domain(std::string name);
  boost::asio::awaitable<http::Reply> message(std::string name);
  boost::asio::awaitable<http::Reply> find(std::string word);
  // How it stands, for title and icon of every page.
  Frame frame(const std::string& title) const;
  http::Reply told(const std::string& title, const std::string& html, unsigned status) const;
  Parts parts_;
  std::optional<Milliseconds> usual_oldest_;  // as front() saw it last
};

}  // namespace hoplock::page
