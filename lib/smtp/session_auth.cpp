// SPDX-License-Identifier: Apache-2.0
// The part of Session that is about logins (RFC 4954, 4616): PLAIN and LOGIN, inside TLS only. It takes the exchange apart; whether
// a password is right is not known here.
#include <utility>

#include "base/ascii.h"
#include "smtp/answers.h"
#include "smtp/session.h"

namespace hoplock::smtp {

namespace {

constexpr std::size_t longest_name = 255;

Answer challenge(std::string_view text) { return {Reply(334, std::nullopt, std::string(text)), Action::none}; }
Answer bad_base64() { return answer(501, {5, 5, 2}, "Authentication exchange is malformed"); }
Answer check() { return {Reply{}, Action::check_login}; }

bool is_name(std::string_view name) { return !name.empty() && name.size() <= longest_name; }

}  // namespace

Answer Session::auth(const Command& command) {
  if (options_.logins == Logins::none) return answer(502, {5, 5, 1}, "Command not implemented");
  if (channel_ == Channel::clear) return answer(538, {5, 7, 11}, "Encryption required, use STARTTLS first");
  if (state_ == State::start || !extended_) return out_of_order("Send EHLO first");
  if (!user_.empty()) return out_of_order("Already authenticated");
  if (state_ != State::greeted) return out_of_order("AUTH not permitted during a mail transaction");
  const std::string_view mechanism = command.argument.substr(0, command.argument.find(' '));
  if (!command.well_formed) return bad_argument("Syntax: AUTH mechanism");
  std::string_view initial = command.argument.substr(mechanism.size());
  if (initial.starts_with(' ')) initial.remove_prefix(1);
  if (equals_ignoring_case(mechanism, "PLAIN")) return begin_plain(initial);
  if (equals_ignoring_case(mechanism, "LOGIN")) return begin_login(initial);
  return answer(504, {5, 5, 4}, "Unrecognized authentication mechanism");
}

Answer Session::begin_plain(std::string_view initial) {
  if (!initial.empty()) return take_plain(initial);
  challenge_ = Challenge::plain;
  return challenge("");
}

Answer Session::begin_login(std::string_view initial) {
  challenge_ = Challenge::user;
  return initial.empty() ? challenge(to_base64("Username:")) : take_response(initial);
}

// The client's line after a 334, or what it sent along with AUTH.
Answer Session::take_response(std::string_view line) {
  const Challenge asked = std::exchange(challenge_, Challenge::none);
  if (line == "*") return answer(501, {5, 7, 0}, "Authentication cancelled");
  if (asked == Challenge::plain) return take_plain(line);
  auto decoded = from_base64(line);
  if (!decoded || decoded->empty()) return bad_base64();
  if (asked == Challenge::user) {
    if (!is_name(*decoded)) return bad_base64();
    login_ = Login{std::move(*decoded), {}};
    challenge_ = Challenge::password;
    return challenge(to_base64("Password:"));
  }
  login_.password = std::move(*decoded);
  return check();
}

// RFC 4616: [authzid] NUL authcid NUL passwd.
Answer Session::take_plain(std::string_view message) {
  const auto decoded = from_base64(message);
  if (!decoded) return bad_base64();
  const auto parts = split(*decoded, '\0');
  if (parts.size() != 3 || !is_name(parts[1]) || parts[2].empty()) return bad_base64();
  login_ = Login{std::string(parts[1]), std::string(parts[2])};
  // Nobody may act as somebody else (SUB-33): looked up all the same, so that it is slow, counted and told as any wrong login is.
  acts_as_another_ = !parts[0].empty() && parts[0] != parts[1];
  return check();
}

Answer Session::end_of_login(LoginVerdict verdict) {
  const std::string user = std::exchange(login_, Login{}).user;
  if (std::exchange(acts_as_another_, false) && verdict == LoginVerdict::right) verdict = LoginVerdict::wrong;
  switch (verdict) {
    case LoginVerdict::right:
      user_ = user;
      return answer(235, {2, 7, 0}, "Authentication successful");
    case LoginVerdict::unavailable:
      if (++undecided_logins_ >= options_.undecided_logins)
        return answer(421, {4, 7, 0}, options_.hostname + " Too many login attempts", Action::close);
      return answer(454, {4, 7, 0}, "Temporary authentication failure");
    case LoginVerdict::wrong:
      break;
  }
  if (++failed_logins_ >= options_.failed_logins)
    return answer(421, {4, 7, 0}, options_.hostname + " Too many failed logins", Action::close);
  return count(answer(535, {5, 7, 8}, "Authentication credentials invalid"));
}

}  // namespace hoplock::smtp
