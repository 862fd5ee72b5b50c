// SPDX-License-Identifier: Apache-2.0
// What an attempt asks whoever makes it before it opens sessions, and tells of them: limits of sites and hosts are kept there. Nobody
// there: no limits.
#pragma once
#include <memory>
#include <string>

#include "base/ip.h"
#include "delivery/source.h"
#include "net/cut.h"
#include "route/router.h"

namespace hoplock::smtpclient {
class Client;
}

namespace hoplock::delivery {

class Access {
 public:
  Access() = default;
  Access(const Access&) = delete;
  Access& operator=(const Access&) = delete;
  virtual ~Access() = default;
  // False: mail goes to these hosts later; nothing is tried.
  virtual bool admit(const route::Hosts& hosts) = 0;
  // A session's place at that address, until it is let go of; null: it has as many as it may.
  virtual std::shared_ptr<void> enter(const Ip& ip) = 0;
  // The session that its attempt speaks over; null: none.
  const std::shared_ptr<smtpclient::Client*> speaks = std::make_shared<smtpclient::Client*>(nullptr);
  // What its sessions leave from at the moment.
  Source source;
  // Made: the attempt ends with what it has, as when its time is over, also where it waits for a look-up or a connection.
  net::Cut gives_way;
  // The host said something there, whatever it was.
  virtual void answered(const Ip& ip) = 0;
  // It said nothing until the attempt gave way.
  virtual void silent(const Ip& ip) = 0;
  // A session is ready for mail.
  virtual void ready() = 0;
  // It opened none: `reply` is what it said, or what happened after it had answered the connection.
  virtual void refused(const Ip& ip, const std::string& reply) = 0;
  // It did not even answer: `why`.
  virtual void unreachable(const Ip& ip, const std::string& why) = 0;
};

}  // namespace hoplock::delivery
