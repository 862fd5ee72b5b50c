// SPDX-License-Identifier: Apache-2.0
// The certificates that hoplock itself presents (listeners, routes, the page) or takes clients by (client_ca): tells when their end
// comes near, and takes up files that were replaced under their names, so that who renews them needs no hook. Files are taken up when
// they rest, and all of them or none: half a pair, or one that does not fit together, is told and what was there stays in use.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/log.h"
#include "config/config.h"
#include "monitor/daemon_status.h"
#include "net/file_mark.h"

namespace hoplock::daemon {

using OwnCertificate = monitor::DaemonStatus::Certificate;

// Which files the configuration names, and what for.
struct CertificateFile {
  std::string use;          // listener, client, client-ca, http
  std::string configured;   // "routes[2].client_certificate"
  std::string certificate;  // paths
  std::string key;          // "" for client-ca
};
std::vector<CertificateFile> certificate_files(const config::Config& config);
// What they hold: each certificate of a chain, for one that issued another ends what it issued; each authority. Of more than eight in a
// file, of a chain the first and the one that ends first, of authorities the one that ends last. Of two with the same use and subject the
// one that ends first, but of authorities in one file its successor. A file that cannot be read has none.
std::vector<OwnCertificate> read_certificates(const std::vector<CertificateFile>& files);

// When it is told that a certificate ends (CONTRACT: `certificate-expires`): from 30 days on each week, from 7 days on each day, when it
// has ended, and each day from then on as an error; each week and as a warning where another took its place. Pure: the caller has the
// clock.
class Reminders {
 public:
  std::vector<Event> due(const std::vector<OwnCertificate>& all, Time now);

 private:
  std::map<OwnCertificate, Time> told_;
};

class CertificateWatch {
 public:
  // Reads anew and uses whatever the files hold now. An error, which leaves everything as it was, says what is wrong with which file.
  using TakeUp = std::function<Result<>()>;
  // REQUIRES: `log` outlives it, and it the coroutine.
  CertificateWatch(Log& log, TakeUp take_up) : log_(log), take_up_(std::move(take_up)) {}
  CertificateWatch(const CertificateWatch&) = delete;
  CertificateWatch& operator=(const CertificateWatch&) = delete;

  // At the start and at a reload, once the files are in use as they are.
  void set(const config::Config& config);
  // Until it is cancelled.
  boost::asio::awaitable<void> run();
  const std::vector<OwnCertificate>& all() const { return all_; }

 private:
  net::FileMarks marks() const;
  void look();
  void take(const net::FileMarks& now);
  Log& log_;
  TakeUp take_up_;
  std::vector<CertificateFile> files_;
  net::FileMarks known_;    // in use
  net::FileMarks seen_;     // at the last look
  net::FileMarks refused_;  // could not be used
  std::vector<OwnCertificate> all_;
  Reminders reminders_;
};

}  // namespace hoplock::daemon
