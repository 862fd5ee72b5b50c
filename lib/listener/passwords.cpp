#include "listener/passwords.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <optional>
#include <utility>

namespace hoplock::listener {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::minutes memory{15};
constexpr std::chrono::milliseconds longest{30000};
constexpr std::size_t most_clients = 10000;  // remembered at once

struct Question {
  std::shared_ptr<const Users> users;
  std::string name;
  std::string password;
  net::Signal answered;
  std::optional<Credentials> answer;
};

}  // namespace

Passwords::~Passwords() {
  worker_.stop();
  worker_.join();
}

asio::awaitable<Credentials> Passwords::check(std::shared_ptr<const Users> users, std::string name,
                                              std::string password) {
  if (waiting_ >= most_waiting) co_return Credentials::unknown;
  auto question = std::make_shared<Question>();
  question->users = std::move(users);
  question->name = std::move(name);
  question->password = std::move(password);
  ++waiting_;
  std::size_t& waiting = waiting_;
  auto work = [question, loop = loop_, &waiting] {
    const Credentials answer = question->users->check(question->name, question->password);
    OPENSSL_cleanse(question->password.data(), question->password.size());
    asio::post(loop, [question, answer, &waiting] {
      --waiting;
      question->answer = answer;
      question->answered.notify_all();
    });
  };
  asio::post(worker_, std::move(work));
  while (!question->answer) co_await question->answered.wait();
  co_return *question->answer;
}

FailedLogins::Duration FailedLogins::add(const Ip& client, net::SteadyTime now, Duration first) {
  const auto is_old = [now](const auto& one) { return now - one.second.last > memory; };
  if (failures_.size() >= most_clients) std::erase_if(failures_, is_old);
  if (failures_.size() >= most_clients) failures_.erase(failures_.begin());
  Failures& failures = failures_[client];
  if (now - failures.last > memory) failures.count = 0;
  failures.last = now;
  const unsigned doubled = std::min(failures.count++, 15U);
  return std::min(longest, first * (1U << doubled));
}

}  // namespace hoplock::listener
