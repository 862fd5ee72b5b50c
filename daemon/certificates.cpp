// SPDX-License-Identifier: Apache-2.0
#include "daemon/certificates.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "config/files.h"
#include "config/item.h"
#include "daemon/options.h"
#include "net/clock.h"
#include "net/tls_client.h"
#include "probe/certificate.h"

namespace hoplock::daemon {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds pause_between_looks{5};
constexpr std::size_t most_in_a_file = 8;
constexpr std::chrono::days to_be_told{30}, pressing{7};
constexpr std::chrono::days weekly{7}, daily{1};

bool ends_earlier(const OwnCertificate& one, const OwnCertificate& other) { return one.expires < other.expires; }

// Of two that are called the same the one that ends first is told.
void add(std::vector<OwnCertificate>& to, OwnCertificate one) {
  const auto same = [&](const OwnCertificate& other) { return other.use == one.use && other.subject == one.subject; };
  const auto known = std::find_if(to.begin(), to.end(), same);
  if (known == to.end())
    to.push_back(std::move(one));
  else if (ends_earlier(one, *known))
    *known = std::move(one);
}

// Whether reading it keeps the loop for a moment only. What is missing is told by whom reads it.
Result<> is_read_at_once(const std::string& path) {
  const auto fit = config::is_fit(path, config::most_of_certificates);
  if (fit || fit.error().code == errc::no_such_file_or_directory || fit.error().code == errc::permission_denied)
    return {};
  return fail(fit.error().code, path + ": " + fit.error().detail);
}

Result<> are_read_at_once(const std::vector<CertificateFile>& files) {
  for (const CertificateFile& one : files) {
    for (const std::string& path : {one.certificate, one.key}) {
      if (path.empty()) continue;
      if (const auto fit = is_read_at_once(path); !fit)
        return fail(fit.error().code, one.configured + ": " + fit.error().detail);
    }
  }
  return {};
}

// Any of several authorities takes clients: who has put a new one beside the old one may let the old one end.
void tell_replaced(std::vector<OwnCertificate>& authorities) {
  const auto last = std::max_element(authorities.begin(), authorities.end(), ends_earlier);
  if (last == authorities.end()) return;
  const Time longest = last->expires;
  std::map<std::string, Time> latest;  // by subject
  for (const OwnCertificate& one : authorities) latest[one.subject] = std::max(latest[one.subject], one.expires);
  std::erase_if(authorities, [&](const OwnCertificate& one) { return one.expires < latest[one.subject]; });
  for (OwnCertificate& one : authorities) one.replaced = one.expires < longest;
}

// What is left of more than anybody would look at: of a chain what is presented and what ends first, of authorities what ends last.
std::vector<OwnCertificate> abridged(const std::vector<OwnCertificate>& all, const std::string& use) {
  if (use == "client-ca") return {*std::max_element(all.begin(), all.end(), ends_earlier)};
  return {all.front(), *std::min_element(all.begin(), all.end(), ends_earlier)};
}

void read_one(const CertificateFile& file, std::vector<OwnCertificate>& to) {
  const auto text = config::read_file(file.certificate, config::most_of_certificates);
  if (!text) return;
  const auto chain = probe::parse_certificates(*text);
  if (!chain) return;
  std::vector<OwnCertificate> found;
  for (const std::string& der : *chain) {
    const auto end = probe::not_after(der);
    if (!end) continue;
    OwnCertificate one;
    one.use = file.use;
    one.subject = probe::subject_of(der);
    one.expires = *end;
    found.push_back(std::move(one));
  }
  if (file.use == "client-ca") tell_replaced(found);
  if (found.size() > most_in_a_file) found = abridged(found, file.use);
  for (OwnCertificate& one : found) add(to, std::move(one));
}

}  // namespace

std::vector<CertificateFile> certificate_files(const config::Config& config) {
  std::vector<CertificateFile> all;
  const auto self_signed = self_signed_files(config);
  for (std::size_t i = 0; i < config.listeners.size(); ++i) {
    const auto& one = config.listeners[i];
    if (one.tls == smtp::TlsMode::none) continue;
    const auto& files = one.certificate.certificate.empty() ? self_signed : one.certificate;
    all.push_back({"listener", config::item("listeners", i, "certificate"), files.certificate, files.key});
    if (!one.client_ca.empty())
      all.push_back({"client-ca", config::item("listeners", i, "client_ca"), one.client_ca, ""});
  }
  for (std::size_t i = 0; i < config.route.routes.size(); ++i) {
    const auto& one = config.route.routes[i];
    if (!one.client_certificate.empty())
      all.push_back(
          {"client", config::item("routes", i, "client_certificate"), one.client_certificate, one.client_key});
  }
  const auto& http = config.http.certificate;
  if (!http.certificate.empty()) all.push_back({"http", "http.certificate", http.certificate, http.key});
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
      const bool presses = left <= pressing && !one.replaced;
      const Milliseconds pause = presses ? Milliseconds(daily) : Milliseconds(weekly);
      if (!news && now - last->second < pause) {
        told.insert(*last);
        continue;
      }
    }
    told[one] = now;
    Event event(ended && !one.replaced ? Level::error : Level::warn, "certificate-expires");
    event.add("use", one.use).add("subject", one.subject).add("expires", to_rfc3339(one.expires));
    event.add("days", std::chrono::floor<std::chrono::days>(left).count());
    events.push_back(std::move(event));
  }
  told_ = std::move(told);
  return events;
}

net::FileMarks CertificateWatch::marks() const {
  net::FileMarks all;
  for (const CertificateFile& one : files_) {
    all.push_back(net::mark_of(one.certificate));
    if (!one.key.empty()) all.push_back(net::mark_of(one.key));
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

void CertificateWatch::take(const net::FileMarks& now) {
  Result<> done = are_read_at_once(files_);
  for (const CertificateFile& one : files_) {
    if (!done || one.use != "client") continue;
    const auto pair = net::ClientCertificate::load({one.certificate, one.key});
    if (!pair) done = fail(pair.error().code, one.configured + ": " + pair.error().detail);
  }
  if (done) done = take_up_();
  const std::string what = net::difference(known_, now);
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
