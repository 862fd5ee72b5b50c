// SPDX-License-Identifier: Apache-2.0
#include "daemon/certificates.h"

#include <sys/stat.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fstream>
#include <iterator>
#include <utility>

#include "config/item.h"
#include "daemon/options.h"
#include "net/clock.h"
#include "net/tls_client.h"
#include "probe/certificate.h"

namespace hoplock::daemon {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds pause_between_looks{5};
constexpr std::size_t most_authorities = 8;
constexpr std::int64_t most_octets = 1 << 20;  // of a file that is read on the loop
constexpr std::chrono::days to_be_told{30}, pressing{7};
constexpr std::chrono::days weekly{7}, daily{1};

void add(std::vector<OwnCertificate>& to, OwnCertificate one) {
  const auto same = [&](const OwnCertificate& other) { return other.use == one.use && other.subject == one.subject; };
  const auto known = std::find_if(to.begin(), to.end(), same);
  if (known == to.end())
    to.push_back(std::move(one));
  else
    known->expires = std::min(known->expires, one.expires);
}

// Whether reading it keeps the loop for a moment only: a FIFO waits for its writer, a device has no end. What is missing is told by whom
// reads it.
Result<> is_read_at_once(const std::string& path) {
  struct stat about {};
  if (stat(path.c_str(), &about) != 0) return {};
  if (!S_ISREG(about.st_mode)) return fail(errc::invalid_argument, path + ": it is no regular file");
  if (about.st_size > most_octets) return fail(errc::file_too_large, path + ": it is larger than 1 MiB");
  return {};
}

Result<> are_read_at_once(const std::vector<CertificateFile>& files) {
  for (const CertificateFile& one : files) {
    for (const std::string& path : {one.certificate, one.key}) {
      if (const auto fit = is_read_at_once(path); !fit)
        return fail(fit.error().code, one.configured + ": " + fit.error().detail);
    }
  }
  return {};
}

void read_one(const CertificateFile& file, std::vector<OwnCertificate>& to) {
  if (!is_read_at_once(file.certificate)) return;
  std::ifstream in(file.certificate, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  const auto chain = probe::parse_certificates(text);
  if (!chain) return;
  std::vector<OwnCertificate> found;
  for (const std::string& der : *chain) {
    const auto end = probe::not_after(der);
    if (end) found.push_back({file.use, probe::subject_of(der), *end});
    if (file.use != "client-ca") break;  // the others of a chain are the authorities' affair
  }
  if (found.size() > most_authorities) {
    const auto later = [](const auto& a, const auto& b) { return a.expires < b.expires; };
    found = {*std::max_element(found.begin(), found.end(), later)};
  }
  for (OwnCertificate& one : found) add(to, std::move(one));
}

}  // namespace

std::vector<CertificateFile> certificate_files(const config::Config& config) {
  std::vector<CertificateFile> all;
  const auto self_signed = self_signed_files(config);
  for (std::size_t i = 0; i < config.listeners.size(); ++i) {
    const auto& one = config.listeners[i];
    if (one.tls == config::ListenerTls::none) continue;
    const bool own = one.certificate.path.empty();
    all.push_back({"listener", config::item("listeners", i, "certificate"),
                   own ? self_signed.certificate : one.certificate.path, own ? self_signed.key : one.key.path});
    if (!one.client_ca.path.empty())
      all.push_back({"client-ca", config::item("listeners", i, "client_ca"), one.client_ca.path, ""});
  }
  for (std::size_t i = 0; i < config.routes.size(); ++i) {
    const auto& one = config.routes[i];
    if (!one.client_certificate.path.empty())
      all.push_back({"client", config::item("routes", i, "client_certificate"), one.client_certificate.path,
                     one.client_key.path});
  }
  const auto& http = config.http;
  if (!http.certificate.path.empty()) all.push_back({"http", "http.certificate", http.certificate.path, http.key.path});
  return all;
}

std::vector<OwnCertificate> read_certificates(const std::vector<CertificateFile>& files) {
  std::vector<OwnCertificate> all;
  for (const CertificateFile& one : files) read_one(one, all);
  return all;
}

std::vector<Event> Reminders::due(const std::vector<OwnCertificate>& all, Time now) {
  std::vector<Event> events;
  std::map<OwnCertificate, Time> told;
  for (const OwnCertificate& one : all) {
    const auto left = one.expires - now;
    if (left > to_be_told) continue;
    const bool ended = left <= Milliseconds(0);
    if (const auto last = told_.find(one); last != told_.end() && last->second <= now) {
      const auto left_then = one.expires - last->second;
      const bool news = (ended && left_then > Milliseconds(0)) || (left <= pressing && left_then > pressing);
      const Milliseconds pause = left <= pressing ? Milliseconds(daily) : Milliseconds(weekly);
      if (!news && now - last->second < pause) {
        told.insert(*last);
        continue;
      }
    }
    told[one] = now;
    Event event(ended ? Level::error : Level::warn, "certificate-expires");
    event.add("use", one.use).add("subject", one.subject).add("expires", to_rfc3339(one.expires));
    event.add("days", std::chrono::floor<std::chrono::days>(left).count());
    events.push_back(std::move(event));
  }
  told_ = std::move(told);
  return events;
}

resolver::FileMarks CertificateWatch::marks() const {
  resolver::FileMarks all;
  for (const CertificateFile& one : files_) {
    all.push_back(resolver::mark_of(one.certificate));
    if (!one.key.empty()) all.push_back(resolver::mark_of(one.key));
  }
  return all;
}

void CertificateWatch::set(const config::Config& config) {
  files_ = certificate_files(config);
  known_ = marks();
  seen_ = known_;
  refused_.clear();
  all_ = read_certificates(files_);
}

asio::awaitable<void> CertificateWatch::run() {
  asio::steady_timer pause(co_await asio::this_coro::executor);
  for (;;) {
    look();
    for (const Event& event : reminders_.due(all_, net::now())) log_.write(event);
    pause.expires_after(pause_between_looks);
    co_await pause.async_wait(asio::use_awaitable);
  }
}

// What is just being written is left alone until it was the same twice.
void CertificateWatch::look() {
  const auto now = marks();
  const bool rests = now == seen_;
  seen_ = now;
  if (rests && now != known_ && now != refused_) take(now);
}

void CertificateWatch::take(const resolver::FileMarks& now) {
  Result<> done = are_read_at_once(files_);
  for (const CertificateFile& one : files_) {
    if (!done || one.use != "client") continue;
    const auto pair = net::ClientCertificate::load({one.certificate, one.key});
    if (!pair) done = fail(pair.error().code, one.configured + ": " + pair.error().detail);
  }
  if (done) done = take_up_();
  const std::string what = resolver::difference(known_, now);
  Event event(done ? Level::info : Level::error, "certificate-files-changed");
  event.add("files", what).add_bare("ok", done ? "true" : "false");
  event.add("error", done ? "" : done.error().detail + "; what was there stays in use until the files change again");
  log_.write(event);
  if (!done) {
    refused_ = now;
    return;
  }
  known_ = now;
  refused_.clear();
  all_ = read_certificates(files_);
}

}  // namespace hoplock::daemon
