// SPDX-License-Identifier: Apache-2.0
// The sender's inside: the rounds, and the job of one report. Only for sender.cpp and report_job.cpp.
#pragma once
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "net/condition.h"
#include "net/task_group.h"
#include "reports/endpoints.h"
#include "reports/sender.h"

namespace hoplock::reports {

struct Sender::Impl {
  using Self = std::shared_ptr<Impl>;
  Impl(Parts parts_, std::mt19937_64 random_);

  static boost::asio::awaitable<void> run(Self self);
  static boost::asio::awaitable<std::optional<Time>> round(Self self, Time now);
  struct Looked {
    std::size_t begun = 0;     // jobs
    std::optional<Time> next;  // when there is more
  };
  static boost::asio::awaitable<Looked> look(Self self, Time now);
  static boost::asio::awaitable<Result<SendNowResult>> send_now(Self self, store::ReportSelection which, Time now);
  static boost::asio::awaitable<void> take_bounce(Self self, std::string content);
  static boost::asio::awaitable<void> plan(Self self, Time now);
  static boost::asio::awaitable<void> prune(Self self, Time now);
  double fraction() { return std::uniform_real_distribution<double>(0, 1)(random); }
  bool can_sign() const;
  void disk_failed(const Error& error);

  Parts parts;
  std::mt19937_64 random;
  std::optional<SenderOptions> options;
  std::shared_ptr<const dkim::Keyring> keyring;
  Endpoints endpoints;
  std::set<store::ReportKey> active;   // jobs under way
  std::set<store::ReportKey> unsaved;  // whose job could not even store what became of it; not again in this round
  std::chrono::days keep{30};
  std::optional<tlsrpt::Day> pruned;
  net::Condition changed;  // a job ended, or there may be new ones
  bool kicked = false;
  net::TaskGroup tasks;
};

// One report: its record, its building, its destinations, its mark.
class ReportJob : public std::enable_shared_from_this<ReportJob> {
 public:
  ReportJob(std::shared_ptr<Sender::Impl> sender, store::ReportKey key, Time now);
  ~ReportJob();  // no longer active
  ReportJob(const ReportJob&) = delete;
  ReportJob& operator=(const ReportJob&) = delete;

  static boost::asio::awaitable<void> go(std::shared_ptr<ReportJob> self);

 private:
  enum class Goes : std::uint8_t { on, no_further };
  struct Attempt {
    store::ReportDestination destination;
    tlsrpt::Destination to;
    std::optional<Time> held;  // its host is: nothing was tried
    // Stored with the mail that carries it: what became of that mail since is not overwritten.
    enum class Mark : std::uint8_t { ours, stored } mark = Mark::ours;
  };

  boost::asio::awaitable<Goes> load();
  boost::asio::awaitable<Goes> open();
  boost::asio::awaitable<Goes> build();
  boost::asio::awaitable<void> try_all();
  static boost::asio::awaitable<void> try_one(std::shared_ptr<ReportJob> self, std::size_t which);
  boost::asio::awaitable<void> mail(Attempt& attempt);
  boost::asio::awaitable<Result<store::Id>> queue_mail(Attempt& attempt);
  boost::asio::awaitable<void> post(Attempt& attempt);
  boost::asio::awaitable<std::string> over_quota(const tlsrpt::Destination& to, std::size_t octets);
  boost::asio::awaitable<void> close();
  boost::asio::awaitable<void> finish(store::ReportState end, std::string error);
  boost::asio::awaitable<void> postpone(std::string error);

  void add_destinations(const std::vector<tlsrpt::Destination>& to);
  std::string no_mail() const;
  store::Envelope envelope() const;
  std::string message(const tlsrpt::MailDestination& to, store::Id id) const;
  store::ReportRound round(std::string error) const;
  Goes stored(const Result<>& written);
  std::optional<Time> next_round() const;
  void refuse(Attempt& attempt, std::string why);
  void tell_posted(const Attempt& attempt, const Posted& posted, Goes stored) const;
  void note(Attempt& attempt, store::ReportDestination::State state, std::string error);
  Event event(Level level, std::string_view action) const;
  void tell(Level level, std::string_view action, const std::string& rua, std::string error) const;

  std::shared_ptr<Sender::Impl> sender_;
  store::ReportKey key_;
  Time now_;
  SenderOptions options_;
  store::ReportAccount account_;
  std::optional<store::BuiltReport> built_;
  std::shared_ptr<const std::string> gzip_;
  std::vector<store::ReportDestination> known_;  // of earlier rounds
  std::vector<Attempt> attempts_;                // of this one
  bool accepted_before_ = false;                 // in an earlier round
  std::size_t pending_ = 0;
  net::Condition done_;
  bool stored_ = false;  // what became of it
};

}  // namespace hoplock::reports
