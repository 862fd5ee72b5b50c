// SPDX-License-Identifier: Apache-2.0
#include "delivery/patience.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"

namespace hoplock::delivery {

namespace {

constexpr Milliseconds most_for_policy{std::chrono::hours{1}};
constexpr double growth_for_greylisting = 1.2;

template <std::size_t N>
bool has_any(std::string_view reply, const std::array<std::string_view, N>& words) {
  const std::string text = words_of(reply);
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return text.find(word) != std::string::npos; });
}

bool speaks_of_greylisting(std::string_view reply) {
  constexpr std::array<std::string_view, 5> words{"greylist", "graylist", "grey list", "gray list", "grey-list"};
  return has_any(reply, words);
}

// The second number of the enhanced code; '\0': there is none.
char digit_of_subject(std::string_view reply) {
  const bool has = reply.size() > 8 && is_digit(reply[4]) && reply[5] == '.' && is_digit(reply[6]) && reply[7] == '.';
  return has ? reply[6] : '\0';
}

// Exchange Online: "550 5.7.606 Access denied, banned sending IP", up to 5.7.649.
bool has_banned_code(std::string_view reply) {
  const auto at = reply.find("5.7.6");
  if (at == std::string_view::npos || reply.size() < at + 7) return false;
  const auto code = parse_decimal(reply.substr(at + 4, 3));
  return code && *code >= 606 && *code <= 649;
}

// What a link carries is an echo.
std::string without_links(const std::string& words) {
  std::string text;
  for (const std::string_view word : split(words, ' '))
    if (word.find("://") == std::string_view::npos) text.append(text.empty() ? "" : " ").append(word);
  return text;
}

}  // namespace

std::string words_of(std::string_view reply) {
  constexpr std::size_t most_read = 1000;
  constexpr std::string_view literal = "[ipv6:";
  const std::string lower = to_lower(reply.substr(0, most_read));
  std::string text;
  for (const std::string_view word : split(lower, ' ')) {
    if (word.find('@') != std::string_view::npos) continue;
    text += text.empty() ? "" : " ";
    const auto at = word.find(literal);
    text += word.substr(0, at);
    if (at != std::string_view::npos) text += word.substr(at + literal.size());
  }
  return text;
}

bool speaks_of_load(std::string_view reply) {
  constexpr std::array<std::string_view, 17> words{"4.7.500",
                                                   "4.7.28",
                                                   "too many",
                                                   "too fast",
                                                   "rate limit",
                                                   "unusual rate",
                                                   "busy",
                                                   "throttled",
                                                   "throttling",
                                                   "slow down",
                                                   "[tss0",
                                                   "unexpected volume",
                                                   "concurrent",
                                                   "connection limit",
                                                   "maximum connections",
                                                   "maximum number of connections",
                                                   "connections exceeded"};
  const char subject = digit_of_subject(reply);
  return subject != '1' && subject != '2' && has_any(reply, words);
}

bool speaks_of_load_at_rcpt(std::string_view reply) {
  constexpr std::string_view ours = "347";
  constexpr std::array<std::string_view, 2> codes{"4.3.2", "4.4.5"};
  if (ours.find(digit_of_subject(reply)) == std::string_view::npos) return false;
  return speaks_of_load(reply) || reply.substr(4, 5) == codes[0] || reply.substr(4, 5) == codes[1];
}

bool names_system(std::string_view reply) {
  constexpr std::array<std::string_view, 5> codes{"4.7.500", "4.7.28", "4.7.650", "4.3.2", "4.4.5"};
  return reply.starts_with("421") || has_any(reply, codes);
}

bool names_address(std::string_view reply, const std::optional<Ip>& ours) {
  if (!ours) return false;
  const std::string text = words_of(reply), address = ours->text();
  const auto at = text.find(address);
  if (at == std::string::npos) return false;
  const auto goes_on = [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || c == ':'; };
  const std::size_t end = at + address.size();
  const bool whole = at == 0 || (!goes_on(text[at - 1]) && text[at - 1] != '.');
  const std::string_view rest = std::string_view(text).substr(end);
  return whole && (rest.empty() || !goes_on(rest[0]) || (rest[0] == ':' && (rest.size() == 1 || !goes_on(rest[1]))));
}

bool names_our_network(std::string_view reply) {
  constexpr std::array<std::string_view, 10> words{"your ip",      "sending ip", "sending mta", "ip address",
                                                   "client host",  "s3140",      "s3150",       "their network",
                                                   "your network", "[bl"};
  constexpr std::array<std::string_view, 4> lists{"spamhaus", "spamcop", "barracuda", "dnsbl"};
  constexpr std::array<std::string_view, 2> of_domains{"dbl.", " dbl"};  // "dnsbl" has neither
  return has_banned_code(reply) || has_any(reply, words) || (has_any(reply, lists) && !has_any(reply, of_domains));
}

bool names_any_address(std::string_view reply) {
  const std::string text = words_of(reply);
  const auto is_of_address = [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || c == ':' || c == '.'; };
  for (auto at = text.begin(); at != text.end();) {
    at = std::find_if(at, text.end(), is_of_address);
    const auto end = std::find_if_not(at, text.end(), is_of_address);
    std::string_view word(text.data() + (at - text.begin()), static_cast<std::size_t>(end - at));
    while (!word.empty() && (word.back() == '.' || word.back() == ':')) word.remove_suffix(1);
    if (std::any_of(word.begin(), word.end(), is_digit) && Ip::parse(word)) return true;
    at = end;
  }
  return false;
}

bool judges_sending_domain(std::string_view reply) {
  constexpr std::array<std::string_view, 6> words{"sending domain", "sender domain",     "sender's domain",
                                                  "from domain",    "domain reputation", "reputation of your domain"};
  return has_any(reply, words);
}

bool names_sender(std::string_view reply, std::string_view sender) {
  if (judges_sending_domain(reply)) return true;
  const auto at = sender.rfind('@');
  if (at == std::string_view::npos) return false;
  const std::string text = without_links(words_of(reply)), domain = to_lower(sender.substr(at + 1));
  const auto goes_on = [](char c) { return is_alpha(c) || is_digit(c) || c == '-' || c == '.'; };
  for (auto found = text.find(domain); found != std::string::npos; found = text.find(domain, found + 1)) {
    const std::string_view rest = std::string_view(text).substr(found + domain.size());
    const bool ends = rest.empty() || !goes_on(rest[0]) || (rest[0] == '.' && (rest.size() == 1 || !goes_on(rest[1])));
    if (ends && (found == 0 || !goes_on(text[found - 1]))) return true;
  }
  return false;
}

bool names_public_list(std::string_view reply) {
  constexpr std::array<std::string_view, 16> words{
      "spamhaus",       "dnsbl",          "barracuda",     "spamcop",      "banned", "your ip",
      "client host",    "reputation",     "s3140",         "s3150",        "[bl",    "their network",
      "our block list", "our black list", "our blocklist", "our blacklist"};
  return has_banned_code(reply) || has_any(reply, words);
}

bool speaks_of_reputation(std::string_view reply) {
  if (has_banned_code(reply)) return true;
  constexpr std::array<std::string_view, 2> codes{"5.7.1", "5.7.0"};
  constexpr std::array<std::string_view, 12> words{"block list", "blocklist", "blacklist",  "black list",
                                                   "spamhaus",   "dnsbl",     "reputation", "barracuda",
                                                   "banned",     "spamcop",   "block-list", "is blocked"};
  return has_any(reply, codes) && has_any(reply, words);
}

FailureClass class_of(std::optional<hop::Reason> reason, std::string_view reply) {
  switch (reason ? hop::kind(*reason) : hop::Kind::reply) {
    case hop::Kind::policy:
    case hop::Kind::waived:
      return FailureClass::policy;
    case hop::Kind::lookup:
    case hop::Kind::transport:
      return FailureClass::connection;
    case hop::Kind::reply:
      break;
  }
  return speaks_of_greylisting(reply) ? FailureClass::greylisting : FailureClass::reply;
}

queue::Retry retry_for(FailureClass failure, const queue::Retry& configured) {
  queue::Retry retry = configured;
  if (failure == FailureClass::policy) retry.max = std::min(retry.max, std::max(retry.first, most_for_policy));
  if (failure == FailureClass::greylisting) retry.factor = std::min(retry.factor, growth_for_greylisting);
  return retry;
}

bool is_by_policy(const store::Backoff& hold) {
  return class_of(hop::parse_reason(hold.reason), hold.reply) == FailureClass::policy;
}

store::Backoff held_with_site(const std::optional<store::Backoff>& own, const store::Backoff& site) {
  if (!own || !is_by_policy(*own)) return site;
  store::Backoff hold = *own;
  hold.until = std::max(own->until, site.until);
  return hold;
}

}  // namespace hoplock::delivery
