// SPDX-License-Identifier: Apache-2.0
// The job of one report: RFC 8460 sections 3, 5.3 to 5.5.
#include <algorithm>
#include <utility>

#include "reports/returned.h"
#include "reports/sender_impl.h"
#include "tlsrpt/mail.h"
#include "tlsrpt/record.h"

namespace hoplock::reports {

using boost::asio::awaitable;
using Known = store::ReportDestination::State;

namespace {

constexpr std::uint8_t notify_never = 1;

std::string endpoint_host(const tlsrpt::HttpsDestination& to) {
  const auto* name = std::get_if<dns::Name>(&to.host);
  return name != nullptr ? name->text() : std::get<Ip>(to.host).text();
}

bool is_under_way(store::ReportState state) {
  return state == store::ReportState::due || state == store::ReportState::built;
}

}  // namespace

ReportJob::ReportJob(std::shared_ptr<Sender::Impl> sender, store::ReportKey key, Time now)
    : sender_(std::move(sender)), key_(std::move(key)), now_(now), options_(*sender_->options) {
  sender_->active.insert(key_);
}

ReportJob::~ReportJob() {
  sender_->active.erase(key_);
  if (!stored_) sender_->unsaved.insert(key_);
  sender_->changed.notify_all();
}

awaitable<void> ReportJob::go(std::shared_ptr<ReportJob> self) {
  Goes goes = co_await self->load();  // by name: GCC 12 gets the conditions wrong else
  if (goes == Goes::on) goes = co_await self->open();
  if (goes == Goes::on) goes = co_await self->build();
  if (goes == Goes::on) {
    co_await self->try_all();
    co_await self->close();
  }
}

awaitable<ReportJob::Goes> ReportJob::load() {
  auto loaded = co_await sender_->parts.ledger.load(key_);
  if (!loaded) {
    sender_->disk_failed(loaded.error());
    co_return Goes::no_further;
  }
  if (!loaded->account || !is_under_way(loaded->account->state)) {
    stored_ = true;  // somebody else was here
    co_return Goes::no_further;
  }
  account_ = std::move(*loaded->account);
  if (account_.attempts == 0) account_.since = now_;  // the daemon may have been down since it was due
  known_ = std::move(loaded->destinations);
  co_return Goes::on;
}

// RPT-06: the record as it stands now says who is told, in every round.
awaitable<ReportJob::Goes> ReportJob::open() {
  const auto name = key_.domain.under(tlsrpt::record_label);
  dns::Answer answer;
  if (name) answer = co_await sender_->parts.resolver.find(*name, dns::Type::txt);
  accepted_before_ =
      std::any_of(known_.begin(), known_.end(), [](const auto& d) { return d.state == Known::accepted; });
  if (name && answer.failed()) {
    co_await postpone("the TLSRPT record cannot be looked up: " + answer.why);
    co_return Goes::no_further;
  }
  const auto choice = tlsrpt::choose_record(answer.all<std::string>());
  for (const auto& ignored : choice.record.ignored) {
    if (account_.attempts == 0) tell(Level::info, "skipped", ignored.uri, ignored.why);
  }
  if (choice.record.rua.empty()) {
    std::string why = choice.state == tlsrpt::Choice::State::valid  ? "its TLSRPT record names no usable destination"
                      : choice.state == tlsrpt::Choice::State::none ? "it publishes no TLSRPT record any more"
                                                                    : choice.why;
    co_await finish(accepted_before_ ? store::ReportState::sent : store::ReportState::skipped, std::move(why));
    co_return Goes::no_further;
  }
  add_destinations(choice.record.rua);
  co_return Goes::on;
}

// Those that have had it are left alone; when all the others were given up, an operator wants them tried again.
void ReportJob::add_destinations(const std::vector<tlsrpt::Destination>& to) {
  const bool anew = std::none_of(known_.begin(), known_.end(), [](const auto& d) { return d.state != Known::failed; });
  for (const tlsrpt::Destination& one : to) {
    Attempt attempt;
    attempt.to = one;
    attempt.destination.rua = tlsrpt::to_text(one);
    const auto before = std::find_if(known_.begin(), known_.end(),
                                     [&attempt](const auto& d) { return d.rua == attempt.destination.rua; });
    if (before != known_.end()) attempt.destination = *before;
    if (attempt.destination.state == Known::failed && anew) attempt.destination.state = Known::waiting;
    if (attempt.destination.state == Known::waiting) attempts_.push_back(std::move(attempt));
  }
}

awaitable<ReportJob::Goes> ReportJob::build() {
  std::vector<store::ReportDestination> waiting;
  for (const Attempt& attempt : attempts_) waiting.push_back(attempt.destination);
  auto built = co_await sender_->parts.ledger.build(key_, options_.submitter, std::move(waiting));
  if (!built) sender_->disk_failed(built.error());
  if (!built || !*built) co_return Goes::no_further;
  built_ = std::move(*built);
  gzip_ = std::make_shared<const std::string>(built_->gzip);
  co_return Goes::on;
}

// Side by side: one that hangs keeps no other waiting.
awaitable<void> ReportJob::try_all() {
  pending_ = attempts_.size();
  for (std::size_t i = 0; i < attempts_.size(); ++i) sender_->tasks.spawn("tlsrpt", try_one(shared_from_this(), i));
  while (pending_ > 0) co_await done_.wait();
}

awaitable<void> ReportJob::try_one(std::shared_ptr<ReportJob> self, std::size_t which) {
  const struct Done {
    ReportJob& job;
    ~Done() {
      --job.pending_;
      job.done_.notify_all();
    }
  } done{*self};
  Attempt& attempt = self->attempts_[which];  // stays in place while the job lives
  if (std::holds_alternative<tlsrpt::MailDestination>(attempt.to)) {
    co_await self->mail(attempt);
  } else {
    co_await self->post(attempt);
  }
}

// --- by mail -----------------------------------------------------------------------------------------------------------

// Why no report goes by mail, if so.
std::string ReportJob::no_mail() const {
  if (!sender_->can_sign()) {
    return "there is no DKIM key for " + options_.submitter.domain.text() +
           ", and an unsigned report is worth nothing (RFC 8460 section 3)";
  }
  // RPT-33: all names of the submitter are one
  if (!built_->file_name.starts_with(options_.submitter.domain.text() + "!"))
    return "the report was built for another submitter than " + options_.submitter.domain.text();
  return {};
}

awaitable<void> ReportJob::mail(Attempt& attempt) {
  if (std::string why = no_mail(); !why.empty()) {
    refuse(attempt, std::move(why));
    co_return;
  }
  std::string over = co_await over_quota(attempt.to, gzip_->size());
  if (!over.empty()) {
    refuse(attempt, std::move(over));
    co_return;
  }
  const auto queued = co_await queue_mail(attempt);
  if (!queued) {
    note(attempt, Known::waiting, "the queue does not take it: " + queued.error().detail);
    tell(Level::warn, "failed", attempt.destination.rua, attempt.destination.error);
    co_return;
  }
  Event line = event(Level::info, "queued");
  line.add("rua", attempt.destination.rua).add("id", queued->text());
  sender_->parts.log.write(line);
  sender_->parts.log.count(counted::Report{"queued"});
}

// The mail and the mark that says so are stored together (RPT-30).
awaitable<Result<store::Id>> ReportJob::queue_mail(Attempt& attempt) {
  queue::Queue& queue = sender_->parts.queue;
  if (const auto accepting = queue.accepting(); !accepting) co_return accepting.error();
  const auto& to = std::get<tlsrpt::MailDestination>(attempt.to);
  queue::Writer writer = queue.begin(now_);
  std::string octets = message(to, writer.id());
  auto written = co_await writer.write(std::move(octets));
  if (!written) co_return written.error();
  store::NewRecipient recipient;
  recipient.address = to.text();
  recipient.domain = to.domain;
  recipient.notify = notify_never;
  std::vector<store::NewRecipient> recipients;
  recipients.push_back(std::move(recipient));
  store::ReportDestination taken = attempt.destination;
  taken.state = Known::accepted;
  ++taken.attempts;
  taken.error.clear();
  std::optional<store::ReportMark> mark(std::in_place);
  mark->key = key_;
  mark->destination = taken;
  store::Envelope mine = envelope();
  auto queued = co_await writer.commit(std::move(mine), std::move(recipients), std::move(mark));
  if (queued) {
    attempt.destination = std::move(taken);
    attempt.mark = Attempt::Mark::stored;
  }
  co_return queued;
}

store::Envelope ReportJob::envelope() const {
  store::Envelope made;
  made.sender = options_.from;
  made.tls_required_no = true;
  made.kind = store::Kind::report;
  return made;
}

std::string ReportJob::message(const tlsrpt::MailDestination& to, store::Id id) const {
  tlsrpt::Mail mail;
  mail.submitter = options_.submitter;
  mail.from = options_.from;
  mail.to = to.text();
  mail.domain = key_.domain;
  mail.day = key_.day;
  mail.report_id = built_->report_id;
  mail.file_name = built_->file_name;
  mail.json_gz = *gzip_;
  mail.message_id = message_id(id, options_.submitter.domain);
  mail.date = now_;
  return tlsrpt::to_message(mail);
}

// --- by https ----------------------------------------------------------------------------------------------------------

awaitable<void> ReportJob::post(Attempt& attempt) {
  const auto to = std::get<tlsrpt::HttpsDestination>(attempt.to);
  const std::string host = endpoint_host(to);
  attempt.held = co_await sender_->endpoints.enter(host, now_);
  if (attempt.held) co_return;
  auto heard = Endpoints::Heard::something;
  const struct Leave {
    Endpoints& endpoints;
    const std::string& host;
    const Endpoints::Heard& heard;
    Time now;
    ~Leave() { endpoints.leave(host, heard, now); }
  } leave{sender_->endpoints, host, heard, now_};
  std::string over = co_await over_quota(attempt.to, gzip_->size());
  if (!over.empty()) {
    refuse(attempt, std::move(over));
    co_return;
  }
  const Posted posted = co_await sender_->parts.post.post(to, gzip_);
  if (posted.what == Posted::What::silent) heard = Endpoints::Heard::nothing;
  const bool accepted = posted.what == Posted::What::accepted;
  note(attempt, accepted ? Known::accepted : Known::waiting, accepted ? "" : posted.why);
  // before the log calls it sent, for then it is not sent again
  const auto written = co_await sender_->parts.ledger.put_destination(key_, attempt.destination);
  tell_posted(attempt, posted, stored(written));
}

void ReportJob::tell_posted(const Attempt& attempt, const Posted& posted, Goes stored) const {
  if (posted.what != Posted::What::accepted) return tell(Level::warn, "failed", attempt.destination.rua, posted.why);
  std::string error;
  if (!posted.defects.empty()) error = "taken by an endpoint that is not who it says: " + posted.defects;
  if (stored != Goes::on)
    error += (error.empty() ? "" : "; ") + std::string("that could not be stored: it may be sent again");
  tell(error.empty() ? Level::info : Level::warn, "sent", attempt.destination.rua, error);
}

// Why the destination gets no more today, if so; else this report is counted.
awaitable<std::string> ReportJob::over_quota(const tlsrpt::Destination& to, std::size_t octets) {
  store::ReportLoad load;
  load.day = tlsrpt::day_of(now_);
  load.to = to;
  load.octets = octets;
  const auto taken = co_await sender_->parts.ledger.take_quota(std::move(load), options_.quota);
  co_return taken ? *taken : std::string();  // what is to be stored next tells of the store
}

void ReportJob::note(Attempt& attempt, Known state, std::string error) {
  attempt.destination.state = state;
  ++attempt.destination.attempts;
  attempt.destination.error = std::move(error);
}

void ReportJob::refuse(Attempt& attempt, std::string why) {
  tell(Level::warn, "skipped", attempt.destination.rua, why);
  note(attempt, Known::failed, std::move(why));
}

// --- its end, or its next round ------------------------------------------------------------------------------------------

awaitable<void> ReportJob::close() {
  const auto has = [this](Known state) {
    return std::any_of(attempts_.begin(), attempts_.end(),
                       [state](const auto& a) { return a.destination.state == state; });
  };
  std::string error;
  for (const Attempt& attempt : attempts_) {
    if (!attempt.destination.error.empty()) error = attempt.destination.error;
  }
  if (has(Known::waiting)) {
    co_await postpone(std::move(error));
  } else if (accepted_before_ || has(Known::accepted)) {
    co_await finish(store::ReportState::sent, "");
  } else {
    co_await finish(store::ReportState::failed, std::move(error));
  }
}

// Nothing: the 24 hours are over with this round.
std::optional<Time> ReportJob::next_round() const {
  const Time last = account_.since.value_or(now_) + options_.patience;
  if (now_ >= last) return std::nullopt;
  Time next = now_ + queue::delay_after(options_.retry, account_.attempts + 1, sender_->fraction()).wait;
  for (const Attempt& attempt : attempts_) {
    if (attempt.held && attempt.destination.state == Known::waiting) next = std::max(next, *attempt.held);
  }
  return std::min(next, last);
}

awaitable<void> ReportJob::postpone(std::string error) {
  const auto next = next_round();
  if (!next) {
    const bool accepted = accepted_before_ || std::any_of(attempts_.begin(), attempts_.end(), [](const auto& attempt) {
                            return attempt.destination.state == Known::accepted;
                          });
    for (Attempt& attempt : attempts_) {
      if (attempt.destination.state == Known::waiting) attempt.destination.state = Known::failed;
    }
    co_await finish(accepted ? store::ReportState::sent : store::ReportState::failed, std::move(error));
    co_return;
  }
  const store::ReportPause pause{account_.since.value_or(now_), *next};
  auto mine = round(std::move(error));
  const auto written = co_await sender_->parts.ledger.postpone(std::move(mine), pause);
  stored(written);
}

store::ReportRound ReportJob::round(std::string error) const {
  store::ReportRound made;
  made.key = key_;
  for (const Attempt& one : attempts_) {
    if (one.mark == Attempt::Mark::ours) made.destinations.push_back(one.destination);
  }
  made.error = std::move(error);
  return made;
}

awaitable<void> ReportJob::finish(store::ReportState end, std::string error) {
  auto mine = round(error);
  const auto written = co_await sender_->parts.ledger.finish(std::move(mine), end);
  if (stored(written) == Goes::no_further) co_return;
  if (end == store::ReportState::failed)
    tell(Level::error, "failed", "", "nobody took it, and it is given up: " + error);
  if (end == store::ReportState::skipped) tell(Level::info, "skipped", "", error);
}

ReportJob::Goes ReportJob::stored(const Result<>& written) {
  stored_ = written.has_value();
  if (!written) sender_->disk_failed(written.error());
  return written ? Goes::on : Goes::no_further;
}

Event ReportJob::event(Level level, std::string_view action) const {
  Event made(level, "tlsrpt");
  made.add("domain", key_.domain.text()).add("day", tlsrpt::to_text(key_.day)).add("action", std::string(action));
  if (built_) made.add("policies", std::int64_t{built_->policies});
  // what the report says, once there is one
  made.add("sessions", static_cast<std::int64_t>(built_ ? built_->sessions : account_.sessions));
  made.add("failures", static_cast<std::int64_t>(built_ ? built_->failures : account_.failures));
  return made;
}

void ReportJob::tell(Level level, std::string_view action, const std::string& rua, std::string error) const {
  Event made = event(level, action);
  made.add("rua", rua).add("error", std::move(error));
  sender_->parts.log.write(made);
  sender_->parts.log.count(counted::Report{std::string(action)});
}

}  // namespace hoplock::reports
