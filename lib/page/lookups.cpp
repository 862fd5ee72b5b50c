// SPDX-License-Identifier: Apache-2.0
#include "page/lookups.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/ascii.h"
#include "monitor/since.h"
#include "net/condition.h"
#include "tlsrpt/report.h"

namespace hoplock::page {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds longest_wait{5};  // for others that asked before; then the page says that too many ask
constexpr int worker_niceness = 5;               // Linux: of the calling thread alone
constexpr std::size_t stories_of_domain = 120;
constexpr std::size_t stories_of_address = 50;
constexpr std::size_t events_of_each = 6;        // in a list
constexpr std::size_t events_of_one = 300;       // on its own page
constexpr std::size_t most_history = 2U << 20U;  // octets that a list reads
constexpr int days_of_reports = 31;
constexpr std::size_t least_prefix = 3;  // characters of an ID
constexpr std::size_t most_ids = 20;

std::size_t octets_of(const store::Tail& tail) {
  std::size_t sum = 0;
  for (const auto& one : tail.traced.events) sum += one.text.size();
  return sum;
}

void note(std::string& error, const Error& happened) {
  if (error.empty()) error = happened.detail;
}

struct Listed {
  std::vector<Story> stories;
  store::Recent::Extent extent = store::Recent::Extent::all;
};

Result<Listed> read_stories(store::MailReader& reader, const store::PartyQuery& query) {
  Listed listed;
  const auto recent = reader.recent(query);
  if (!recent) return recent.error();
  listed.extent = recent->extent;
  std::size_t read = 0;
  for (const store::Id id : recent->ids) {
    if (read > most_history) {
      listed.extent = store::Recent::Extent::part;
      break;
    }
    const auto tail = reader.tail(id, events_of_each);
    if (!tail) return tail.error();
    read += octets_of(*tail);
    Story story = story_of(*tail);
    if (!story.events.empty()) listed.stories.push_back(std::move(story));
  }
  return listed;
}

bool has_party(const Story& story, const std::string& address) {
  if (equals_ignoring_case(story.from, address)) return true;
  return std::any_of(story.to.begin(), story.to.end(),
                     [&](const std::string& to) { return equals_ignoring_case(to, address); });
}

std::string_view domain_part(std::string_view address) {
  const auto at = address.rfind('@');
  return at == std::string_view::npos ? std::string_view() : address.substr(at + 1);
}

bool is_at(const Story& story, const dns::Name& domain) {
  if (equals_ignoring_case(domain_part(story.from), domain.text())) return true;
  return std::any_of(story.to.begin(), story.to.end(),
                     [&](const std::string& to) { return equals_ignoring_case(domain_part(to), domain.text()); });
}

void read_queue(const store::Readers& readers, DomainLook& look) {
  auto reader = readers.mail();
  if (!reader) return note(look.unread.mail, reader.error());
  store::PartyQuery query;
  query.domain = look.domain.text();
  query.most = stories_of_domain;
  auto listed = read_stories(**reader, query);
  if (!listed) return note(look.unread.mail, listed.error());
  look.extent = listed->extent;
  look.stories = std::move(listed->stories);
  std::erase_if(look.stories, [&](const Story& story) { return !is_at(story, look.domain); });
  auto wait = (*reader)->wait_of(look.domain.text());
  if (!wait) return note(look.unread.mail, wait.error());
  look.wait = std::move(*wait);
  if (!look.wait || !look.wait->tried) return;
  const auto tail = (*reader)->tail(*look.wait->tried, events_of_one);
  if (!tail) return note(look.unread.mail, tail.error());
  look.wait->since = monitor::failing_since(tail->traced, *look.wait);
}

void read_policy(const store::Readers& readers, DomainLook& look) {
  auto reader = readers.policies();
  if (!reader) return note(look.unread.policy, reader.error());
  auto row = (*reader)->find(look.domain);
  if (!row) return note(look.unread.policy, row.error());
  look.policy = std::move(*row);
}

// Day by day: the ledger is ordered by day, and has no other index.
void read_reports(const store::Readers& readers, DomainLook& look, Time now) {
  auto reader = readers.ledger();
  if (!reader) return note(look.unread.reports, reader.error());
  for (int ago = 0; ago < days_of_reports; ++ago) {
    store::ReportSelection selection;
    selection.day = tlsrpt::day_of(now) - std::chrono::days(ago);
    selection.domain = look.domain;
    const auto read = (*reader)->list(std::move(selection), [&](const auto& row) { look.reports.push_back(row); });
    if (!read) return note(look.unread.reports, read.error());
  }
}

// Day by day, as its index has them.
void read_proofs(const store::Readers& readers, DomainLook& look, Time now) {
  auto reader = readers.statistics();
  if (!reader) return note(look.unread.deliveries, reader.error());
  const auto today = statistics::day_of(now);
  for (int ago = 0; ago < days_of_proofs; ++ago) {
    const auto day = today - std::chrono::days(ago);
    const auto found = (*reader)->read({day, day, look.domain.text()});
    if (!found) return note(look.unread.deliveries, found.error());
    look.counted_since = found->since;
    const auto partner = found->partners.find(look.domain.text());
    if (partner == found->partners.end()) continue;
    for (const auto& [row, sum] : partner->second) {
      const auto words = statistics::split_words(row.second);
      if (row.first != statistics::Kind::delivered || words.size() < 3) continue;
      look.delivered[day][static_cast<std::size_t>(statistics::proof_of(words[0], words[1], words[2]))] += sum.count;
    }
  }
}

}  // namespace

DomainLook look_at_domain(const store::Readers& readers, const dns::Name& domain, Time now) {
  DomainLook look;
  look.domain = domain;
  read_queue(readers, look);
  read_policy(readers, look);
  read_reports(readers, look, now);
  read_proofs(readers, look, now);
  return look;
}

MessageLook look_at_message(const store::Readers& readers, store::Id id, const std::vector<store::Lease>& active) {
  MessageLook look;
  look.story.id = id;
  auto reader = readers.mail();
  if (!reader) {
    note(look.unread.history, reader.error());
    note(look.unread.queue, reader.error());
    return look;
  }
  if (const auto tail = (*reader)->tail(id, events_of_one))
    look.story = story_of(*tail);
  else
    note(look.unread.history, tail.error());
  if (auto queued = (*reader)->show(id, active))
    look.queued = std::move(*queued);
  else
    note(look.unread.queue, queued.error());
  return look;
}

Sought seek(const store::Readers& readers, const std::string& word) {
  Sought sought;
  auto reader = readers.mail();
  if (!reader) {
    note(sought.error, reader.error());
    return sought;
  }
  sought.by_address = word.find('@') != std::string::npos;
  if (sought.by_address) {
    store::PartyQuery query;
    query.address = word;
    query.most = stories_of_address;
    auto listed = read_stories(**reader, query);
    if (!listed) note(sought.error, listed.error());
    if (listed) sought.stories = std::move(listed->stories);
    std::erase_if(sought.stories, [&](const Story& story) { return !has_party(story, word); });
    return sought;
  }
  if (word.size() >= least_prefix) {
    auto ids = (*reader)->beginning_with(word, most_ids);
    if (!ids) note(sought.error, ids.error());
    if (ids) sought.ids = std::move(*ids);
  }
  if (auto name = dns::Name::parse(word); name && !name->is_root()) sought.domain = std::move(*name);
  return sought;
}

FiguresLook look_at_figures(const store::Readers& readers, statistics::Span span, Time now) {
  FiguresLook look;
  auto reader = readers.statistics();
  if (!reader) {
    note(look.error, reader.error());
    return look;
  }
  for (const auto which : {span, statistics::Span::week}) {
    auto series = (*reader)->series(which, now);
    if (!series) note(look.error, series.error());
    if (!series) continue;
    if (which == statistics::Span::week) look.week = *series;
    if (which == span) look.shown = std::move(*series);
  }
  return look;
}

struct Lookups::State {
  asio::any_io_executor loop;
  store::ReadersPtr readers;
  std::size_t waiting = 0;
  net::Condition answered;
};

Lookups::Lookups(asio::any_io_executor loop, store::ReadersPtr readers) : state_(std::make_shared<State>()) {
  state_->loop = std::move(loop);
  state_->readers = std::move(readers);
  asio::post(worker_, [] {
    ::pthread_setname_np(::pthread_self(), "page");
    setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), worker_niceness);
  });
}

Lookups::~Lookups() {
  worker_.stop();
  worker_.join();
}

template <class Look>
asio::awaitable<std::shared_ptr<const Look>> Lookups::ask(std::function<Look(const store::Readers&)> read) {
  const auto state = state_;
  if (state->waiting >= most_waiting) co_return nullptr;
  ++state->waiting;
  auto answer = std::make_shared<std::shared_ptr<const Look>>();
  std::weak_ptr<std::shared_ptr<const Look>> asker = answer;
  auto work = [state, loop = state->loop, asker = std::move(asker), read = std::move(read)]() mutable {
    std::shared_ptr<const Look> found;
    if (!asker.expired()) found = std::make_shared<const Look>(read(*state->readers));
    auto done = [state = std::move(state), asker = std::move(asker), found = std::move(found)] {
      if (const auto to = asker.lock()) *to = found;
      --state->waiting;
      state->answered.notify_all();
    };
    asio::post(loop, std::move(done));
  };
  asio::post(worker_, std::move(work));
  const auto deadline = std::chrono::steady_clock::now() + longest_wait;
  while (!*answer && co_await state->answered.wait_until(deadline) == net::Woken::notified) {
  }
  co_return *answer;
}

asio::awaitable<std::shared_ptr<const DomainLook>> Lookups::domain(dns::Name domain, Time now) {
  std::function<DomainLook(const store::Readers&)> read =
      [domain = std::move(domain), now](const store::Readers& readers) { return look_at_domain(readers, domain, now); };
  return ask<DomainLook>(std::move(read));
}

asio::awaitable<std::shared_ptr<const MessageLook>> Lookups::message(store::Id id, std::vector<store::Lease> active) {
  std::function<MessageLook(const store::Readers&)> read =
      [id, active = std::move(active)](const store::Readers& readers) { return look_at_message(readers, id, active); };
  return ask<MessageLook>(std::move(read));
}

asio::awaitable<std::shared_ptr<const Sought>> Lookups::sought(std::string word) {
  std::function<Sought(const store::Readers&)> read = [word = std::move(word)](const store::Readers& readers) {
    return seek(readers, word);
  };
  return ask<Sought>(std::move(read));
}

asio::awaitable<std::shared_ptr<const FiguresLook>> Lookups::figures(statistics::Span span, Time now) {
  std::function<FiguresLook(const store::Readers&)> read = [span, now](const store::Readers& readers) {
    return look_at_figures(readers, span, now);
  };
  return ask<FiguresLook>(std::move(read));
}

}  // namespace hoplock::page
