// SPDX-License-Identifier: Apache-2.0
#include "delivery/transactions.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "delivery/outcome.h"
#include "delivery/recipient_status.h"

namespace hoplock::delivery {

namespace {
constexpr unsigned most_rounds = 8;       // of one message that breaks at one recipient after the other
constexpr std::size_t most_apart = 4096;  // such messages
}  // namespace

Transactions::Transactions(Progress& progress, RouteCheck& route_check)
    : progress_(progress),
      common_(progress.common),
      route_check_(route_check),
      content_(progress.job, progress.common.queue) {}

asio::awaitable<Transactions::Heard> Transactions::transact() {
  smtpclient::Client& client = *progress_.session->client;
  const std::size_t hop = progress_.attempt.hops.size() - 1;
  const bool fresh = client.transactions() == 0;
  std::vector<std::size_t> batch = batch_for(hop);
  WireForm form = form_for(progress_.job->envelope, client.peer());
  Heard heard = batch.empty() ? Heard::something : Heard::nothing;
  while (!batch.empty()) {
    Result<MessageContent::Transcoded> made = co_await content_.content(form, common_.keyring, progress_.now());
    if (!made) {
      const StopReason unsigned_mail{std::nullopt, "the message cannot be signed: " + made.error().detail};
      for (const std::size_t i : batch) progress_.attempt.recipients[i].stop = unsigned_mail;
      heard = Heard::something;  // this session did nothing wrong
      break;
    }
    if (const auto* missing = std::get_if<smtpclient::MissingExtension>(&*made)) {
      // BODY=BINARYMIME was announced for what 8BITMIME can carry: where it must not be converted it need not be
      if (missing->eight_bit_would_do && client.peer().eight_bit_mime && form == WireForm::seven_bit) {
        form = WireForm::as_it_is;
        continue;
      }
      const smtpclient::MissingExtension seen = smtpclient::seen_at(client.peer(), *missing);
      note_missing(batch, seen, hop);
      heard = Heard::something;
      break;
    }
    if (!route_check_.holds()) co_return co_await leave_displaced();
    smtpclient::Content content = std::get<smtpclient::Content>(std::move(*made));
    if (common_.leave) {
      const std::int64_t term = progress_.job->term;
      content.leave = [&leave = common_.leave, term] { return leave(term); };
    }
    smtp::Envelope envelope = content_.envelope(batch, form);
    if (form != WireForm::seven_bit && form != WireForm::plain) envelope.size = content_.size() + content.before.size();
    const smtpclient::Sent sent = co_await client.send(std::move(envelope), std::move(content));
    note_sent(sent, hop);
    if (sent.again) form = form_for(progress_.job->envelope, client.peer());
    Heeded heeded = heed(sent, batch, hop);
    if (heeded.something) heard = Heard::something;
    note_put_off(sent, batch.size());
    if (fresh && batch.size() > 1) {
      if (part(sent, batch, heard) == Heard::too_little) {
        co_await progress_.leave_session();
        co_return Heard::too_little;
      }
      if (apart_) heard = Heard::something;
    }
    // MX-13: what was too much for one transaction goes in the next, as long as each carries something
    const bool goes_on = heeded.progress && client.usable();
    batch = goes_on ? std::move(heeded.later) : std::vector<std::size_t>{};
  }
  co_await end_transactions(hop);
  if (apart_) progress_.open.clear();  // whom it broke at waits for a time of its own, and holds nobody up
  co_return heard;
}

void Transactions::note_sent(const smtpclient::Sent& sent, std::size_t hop) {
  const smtpclient::Client& client = *progress_.session->client;
  Hop& at = progress_.attempt.hops[hop];
  at.dsn = client.peer().dsn;
  at.transcript = client.transcript();
  at.no_mail = sent.settled.connection == smtp::Settled::Connection::host_refuses;
}

asio::awaitable<Transactions::Heard> Transactions::leave_displaced() {
  co_await progress_.leave_session();
  co_return Heard::something;
}

Transactions::Heeded Transactions::heed(const smtpclient::Sent& sent, const std::vector<std::size_t>& batch,
                                        std::size_t hop) {
  Heeded heeded;
  heeded.something = sent.begun;
  heeded.progress = sent.again;
  const auto& from = progress_.attempt.hops[hop].ip;
  const bool over_v6 = from && from->is_v6();
  bool moved = false;
  bool settled = false;  // somebody is, and over this connection: it had its say
  for (std::size_t i = 0; i < batch.size(); ++i) {
    RecipientStatus& status = progress_.attempt.recipients[batch[i]];
    smtp::RecipientFate fate = sent.settled.recipients[i];
    const bool about_us = over_v6 && fate.fate == smtp::Fate::refused && is_about_our_address(fate.reply.one_line());
    // The host's IPv4 address may take it, also where it was tried in vain, or is not this attempt's affair: its turn comes, and only
    // then is it a matter of this mail. Or another host of the set may have one.
    if (about_us && (progress_.has_v4 || progress_.hosts.hosts.size() > 1)) {
      if (!progress_.has_v4) refusals_.add(batch[i], {hop, fate});
      fate.fate = smtp::Fate::deferred;
      status = with_reply(std::move(status), fate, hop);
      moved = true;
      continue;
    }
    if (fate.fate == smtp::Fate::deferred && fate.reply.code == 521 && !progress_.attempt.hops[hop].no_mail)
      refusals_.add(batch[i], {hop, {smtp::Fate::refused, fate.reply}});
    if (fate.reply.code != 0 && fate.reply.code != 421) heeded.something = true;
    heeded.progress = heeded.progress || fate.fate == smtp::Fate::accepted;
    if (fate.fate == smtp::Fate::later) heeded.later.push_back(batch[i]);
    status = with_reply(std::move(status), fate, hop);
    if (fate.fate == smtp::Fate::unanswered) status = with_stop(std::move(status), sent);
    settled = settled || status.fate != Fate::deferred || status.stop;
  }
  if (moved) common_.families.failed(progress_.session->host, *from, std::chrono::steady_clock::now());
  if (moved && !heeded.progress && !settled) heeded.something = false;
  return heeded;
}

void Transactions::end_refused() {
  const Attempt& attempt = progress_.attempt;
  if (progress_.cut_short || progress_.passed_over || apart_ || attempt.full || attempt.displaced) return;
  std::erase_if(progress_.open, [this](std::size_t i) {
    const HostRefusals::Refusal* last = refusals_.everywhere(i, progress_.attempt.hops);
    if (last == nullptr) return false;
    RecipientStatus& status = progress_.attempt.recipients[i];
    status = with_reply(std::move(status), last->fate, last->hop);
    return true;
  });
}

bool Transactions::is_closed_to_all() const {
  const Attempt& attempt = progress_.attempt;
  const std::size_t at = attempt.hops.size() - 1;
  const Hop& hop = attempt.hops[at];
  const bool unfit = hop.refusal && hop.refusal->reason == hop::Reason::requiretls_not_supported;
  return hop.no_mail || unfit || std::all_of(progress_.open.begin(), progress_.open.end(), [&](std::size_t i) {
           return lacks_extension(attempt.recipients[i], at) || refusals_.is_last_at(i, at);
         });
}

void Transactions::restore_hops(std::vector<Hop> before) {
  progress_.attempt.hops = std::move(before);
  refusals_.forget_from(progress_.attempt.hops.size());
}

// MX-21: a transaction of several recipients broke. Those that it did not break at go back untouched and come again without the
// one it did; too_little: at whom it was has to be found out first.
Transactions::Heard Transactions::part(const smtpclient::Sent& sent, const std::vector<std::size_t>& batch,
                                       Heard heard) {
  const Broken broken = broken_at(sent, batch.size(), pace_);
  if (broken.at == Broken::At::somewhere && heard == Heard::nothing) {
    pace_ = Pace::step_by_step;
    forget_words(batch);
    return Heard::too_little;
  }
  if (broken.at != Broken::At::recipient && broken.at != Broken::At::somewhere) return heard;
  for (const std::size_t at : unjudged(sent, broken)) {
    progress_.attempt.recipients[batch[at]].untouched = true;
    unjudged_.push_back(batch[at]);
    std::erase(progress_.open, batch[at]);
    apart_ = true;
  }
  // Others were taken before it: perhaps it is not this one, but one too many for a session. Alone it gets its own answer.
  const bool not_first = broken.at == Broken::At::recipient && broken.recipient > 0;
  if (not_first && sent.cut_off != smtpclient::Sent::CutOff::silence && !std::exchange(alone_, true)) {
    forget_words({batch[broken.recipient]});
    return Heard::too_little;
  }
  return heard;
}

void Transactions::limit_rounds() {
  if (!apart_) return;
  std::map<std::uint64_t, unsigned>& rounds = common_.apart;
  const std::uint64_t id = progress_.job->id.value;
  const bool took = took_any(progress_.attempt);
  if (rounds.size() >= most_apart) rounds.clear();
  if (!took && ++rounds[id] < most_rounds) return;
  rounds.erase(id);
  if (took) return;
  for (const std::size_t i : unjudged_) {
    RecipientStatus& one = progress_.attempt.recipients[i];
    if (!std::exchange(one.untouched, false)) continue;
    one.stop =
        StopReason{hop::Reason::connection_lost, "the server ended the session at other recipients of the message"};
  }
}

void Transactions::forget_words(const std::vector<std::size_t>& recipients) {
  for (const std::size_t i : recipients) {
    progress_.attempt.recipients[i].hop.reset();
    progress_.attempt.recipients[i].reply.reset();
  }
}

void Transactions::note_put_off(const smtpclient::Sent& sent, std::size_t recipients) {
  Attempt& attempt = progress_.attempt;
  attempt.at_mail = !sent.replies.empty() && sent.replies.front().code >= 400;
  const auto reply = put_off_by(sent, recipients);
  if (reply) attempt.put_off = reply->one_line();
  const Broken broken = broken_at(sent, recipients, pace_);
  const bool cut_off = sent.cut_off != smtpclient::Sent::CutOff::no && !sent.end;
  if (!reply && cut_off && broken.at == Broken::At::message) attempt.put_off = "";
  attempt.cut_at_rcpt = !reply && (broken.at == Broken::At::recipient || broken.at == Broken::At::somewhere);
}

void Transactions::note_missing(const std::vector<std::size_t>& whom, const smtpclient::MissingExtension& missing,
                                std::size_t hop) {
  for (const std::size_t i : whom) {
    RecipientStatus& status = progress_.attempt.recipients[i];
    status = with_missing(std::move(status), missing, hop);
  }
}

// Whom the peer can be told of: without SMTPUTF8 nobody who needs it (MX-19).
std::vector<std::size_t> Transactions::batch_for(std::size_t hop) {
  if (progress_.session->client->peer().smtputf8) return progress_.open;
  const store::Job& job = *progress_.job;
  std::vector<std::size_t> batch;
  for (const std::size_t i : progress_.open) {
    if (!needs_smtputf8(job.envelope, job.recipients[i].address)) {
      batch.push_back(i);
    } else {
      note_missing({i}, smtpclient::missing_smtputf8(), hop);
    }
  }
  return batch;
}

asio::awaitable<void> Transactions::end_transactions(std::size_t hop) {
  Attempt& attempt = progress_.attempt;
  std::vector<std::size_t>& open = progress_.open;
  std::erase_if(
      open, [&](std::size_t i) { return attempt.recipients[i].fate != Fate::deferred || attempt.recipients[i].stop; });
  const auto told = std::find_if(open.begin(), open.end(),
                                 [&](std::size_t i) { return !lacks_extension(attempt.recipients[i], hop); });
  if (told != open.end()) {
    attempt.hops[hop].refusal = refusal_for(attempt.recipients[*told]);
  } else if (!open.empty()) {
    attempt.hops[hop].refusal = refusal_for(attempt.recipients[open.front()].missing);
  }
  const smtpclient::Client& client = *progress_.session->client;
  const bool goes_on = client.usable() && client.transactions() < messages_per_session();
  if (!goes_on) co_await progress_.leave_session();
}

std::size_t Transactions::messages_per_session() const {
  const auto& route = progress_.hosts.route;
  const auto set = route ? route->limits.messages_per_session : std::nullopt;
  return set ? *set : common_.options.messages_per_session;
}

}  // namespace hoplock::delivery
