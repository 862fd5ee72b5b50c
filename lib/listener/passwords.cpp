// SPDX-License-Identifier: Apache-2.0
#include "listener/passwords.h"

#include <openssl/crypto.h>
#include <pthread.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>
#include <optional>
#include <utility>

#include "net/condition.h"

namespace hoplock::listener {

namespace asio = boost::asio;

namespace {
constexpr unsigned turns_by_rank = 4;  // each fourth goes to who has waited longest
}  // namespace

struct Passwords::Question {
  std::shared_ptr<const Users> users;
  Attempt attempt;
  Logins::Rank rank;
  net::Condition answered;
  std::optional<Credentials> found;
};

Passwords::Passwords(asio::any_io_executor loop, const Logins& logins) : loop_(std::move(loop)), logins_(logins) {
  asio::post(worker_, [] { ::pthread_setname_np(::pthread_self(), "passwords"); });
}

Passwords::~Passwords() {
  worker_.stop();
  worker_.join();
}

asio::awaitable<Credentials> Passwords::check(std::shared_ptr<const Users> users, Attempt attempt) {
  auto question = std::make_shared<Question>();
  question->users = std::move(users);
  question->attempt = std::move(attempt);
  const auto same = std::count_if(waiting_.begin(), waiting_.end(),
                                  [&](const auto& one) { return one->attempt.site == question->attempt.site; });
  question->rank = logins_.rank(question->attempt.site, question->attempt.user, std::chrono::steady_clock::now());
  question->rank.doubts += static_cast<unsigned>(same);
  if (!make_room(*question)) co_return Credentials::unknown;
  waiting_.push_back(question);
  if (!busy_) ask_next();
  while (!question->found) co_await question->answered.wait();
  co_return *question->found;
}

// False: it would be last itself.
bool Passwords::make_room(const Question& newest) {
  if (waiting_.size() < most_waiting) return true;
  const auto last = std::minmax_element(waiting_.begin(), waiting_.end(), [](const auto& a, const auto& b) {
                      return a->rank < b->rank;
                    }).second;  // of equals the newest
  if ((*last)->rank <= newest.rank) return false;
  answer(**last, Credentials::unknown);
  waiting_.erase(last);
  return true;
}

void Passwords::ask_next() {
  if (waiting_.empty()) return;
  const bool by_age = ++turns_ % turns_by_rank == 0;
  const auto next = by_age ? waiting_.begin()
                           : std::min_element(waiting_.begin(), waiting_.end(),
                                              [](const auto& a, const auto& b) { return a->rank < b->rank; });
  const auto question = *next;
  waiting_.erase(next);
  busy_ = true;
  // The answer may come to the loop when this is no more: its destructor waits for the hash, not for the loop.
  asio::post(worker_, [self = std::weak_ptr<Passwords*>(self_), loop = loop_, question] {
    const Credentials found = question->users->check(question->attempt.user, question->attempt.password);
    asio::post(loop, [self, question, found] {
      const auto alive = self.lock();
      if (!alive) return;
      (*alive)->busy_ = false;
      answer(*question, found);
      (*alive)->ask_next();
    });
  });
}

void Passwords::answer(Question& question, Credentials found) {
  OPENSSL_cleanse(question.attempt.password.data(), question.attempt.password.size());
  question.found = found;
  question.answered.notify_all();
}

}  // namespace hoplock::listener
