// SPDX-License-Identifier: Apache-2.0
#include "listener/proven.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

namespace hoplock::listener {

namespace asio = boost::asio;

namespace {

constexpr std::size_t key_octets = 32;

const unsigned char* octets(const std::string& text) { return reinterpret_cast<const unsigned char*>(text.data()); }

}  // namespace

ProvenLogins::ProvenLogins(Check check, Clock clock) : check_(std::move(check)), clock_(std::move(clock)) {}

void ProvenLogins::begin_with(std::shared_ptr<const Users> users) {
  proven_.clear();
  std::array<unsigned char, key_octets> random{};
  if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1)
    throw std::runtime_error("OpenSSL has no random octets");
  key_.assign(random.begin(), random.end());
  users_ = std::move(users);
}

// The length of the name tells where the password begins. By address, too: whoever tries passwords from elsewhere is hashed, and waits.
std::string ProvenLogins::digest_of(const Passwords::Attempt& attempt) const {
  std::string text = attempt.site.text() + " " + std::to_string(attempt.user.size()) + ":";
  text += attempt.user + attempt.password;
  std::array<unsigned char, EVP_MAX_MD_SIZE> room{};
  unsigned length = 0;
  const bool made = HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()), octets(text), text.size(),
                         room.data(), &length) != nullptr;
  OPENSSL_cleanse(text.data(), text.size());
  if (!made) throw std::runtime_error("OpenSSL makes no HMAC");
  return {room.begin(), room.begin() + length};
}

bool ProvenLogins::is_proven(const std::string& digest) {
  const auto found = proven_.find(digest);
  if (found == proven_.end()) return false;
  if (clock_() < found->second) return true;
  proven_.erase(found);
  return false;
}

void ProvenLogins::keep(const std::string& digest) {
  const auto now = clock_();
  if (proven_.size() >= most) std::erase_if(proven_, [now](const auto& one) { return one.second <= now; });
  if (proven_.size() >= most)
    proven_.erase(
        std::min_element(proven_.begin(), proven_.end(), [](auto& a, auto& b) { return a.second < b.second; }));
  proven_[digest] = now + memory;
}

asio::awaitable<Credentials> ProvenLogins::check(std::shared_ptr<const Users> users, Passwords::Attempt attempt) {
  if (users != users_) begin_with(users);
  const std::string digest = digest_of(attempt);
  for (;;) {
    if (is_proven(digest)) {
      OPENSSL_cleanse(attempt.password.data(), attempt.password.size());
      co_return Credentials::right;
    }
    const auto flight = flights_.find(digest);
    if (!flight) break;
    co_await flight->wait();
    if (flight->found()) co_return *flight->found();
  }
  net::SingleFlight<std::string, Credentials>::Work work(flights_, digest);
  const Credentials found = co_await check_(users, std::move(attempt));
  work.done(found);
  if (found == Credentials::right && users == users_) keep(digest);
  co_return found;
}

}  // namespace hoplock::listener
