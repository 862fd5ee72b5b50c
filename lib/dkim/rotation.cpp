// SPDX-License-Identifier: Apache-2.0
#include "dkim/rotation.h"

#include <algorithm>
#include <cstddef>

#include "base/ascii.h"

namespace hoplock::dkim {

namespace {
// What other systems may keep a message for before it is verified: RFC 5321 section 4.5.4.1 has them try for 4 to 5 days.
constexpr std::chrono::hours at_next_system{5 * 24};
constexpr std::size_t most_pasts = 10'000;

bool is_of(const Past& past, const Identity& identity) {
  return past.domain == identity.domain && equals_ignoring_case(past.selector, identity.selector);
}

// Who of them signs because of what the DNS holds; its size: nobody.
std::size_t chosen(const std::vector<Candidate>& keys) {
  for (std::size_t i = keys.size(); i-- > 0;) {
    if (keys[i].always || keys[i].standing.published == true) return i;
  }
  for (std::size_t i = keys.size(); i-- > 0;) {
    if (keys[i].signed_last && !keys[i].standing.published) return i;
  }
  const auto unknown =
      std::find_if(keys.begin(), keys.end(), [](const Candidate& key) { return !key.standing.published; });
  return static_cast<std::size_t>(unknown - keys.begin());
}
}  // namespace

bool are_siblings(const Identity& a, const Identity& b) {
  return a.domain == b.domain && a.key->algorithm() == b.key->algorithm();
}

std::vector<Role> roles(const std::vector<Candidate>& keys) {
  const std::size_t signer = chosen(keys);
  std::vector<Role> found(keys.size(), Role::waits);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (i == signer || keys[i].always) {
      found[i] = Role::signs;
    } else if (i < signer && signer < keys.size()) {
      found[i] = Role::retires;
    }
  }
  return found;
}

const Past* past_of(const Pasts& pasts, const Identity& identity) {
  const auto found = std::find_if(pasts.begin(), pasts.end(), [&](const Past& past) { return is_of(past, identity); });
  return found == pasts.end() ? nullptr : &*found;
}

std::vector<Role> roles(const Keyring& keyring, const Pasts& pasts) {
  const auto& all = keyring.all();
  std::vector<Role> found(all.size(), Role::waits);
  for (std::size_t first = 0; first < all.size(); ++first) {
    const auto is_sibling = [&](const Identity& one) { return are_siblings(one, all[first]); };
    const auto end = all.begin() + static_cast<std::ptrdiff_t>(first);
    if (std::any_of(all.begin(), end, is_sibling)) continue;  // settled with the first of them
    std::vector<std::size_t> places;
    std::vector<Candidate> siblings;
    for (std::size_t i = first; i < all.size(); ++i) {
      if (!is_sibling(all[i])) continue;
      const Past* past = past_of(pasts, all[i]);
      places.push_back(i);
      siblings.push_back({all[i].standing ? *all[i].standing : Standing{}, all[i].standing == nullptr,
                          past != nullptr && !past->stopped});
    }
    const auto theirs = roles(siblings);
    for (std::size_t i = 0; i < places.size(); ++i) found[places[i]] = theirs[i];
  }
  return found;
}

Pasts advance(const Pasts& pasts, const Keyring& keyring, const std::vector<Role>& roles, Moment moment) {
  Pasts next;
  const auto& all = keyring.all();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Past* past = past_of(pasts, all[i]);
    if (roles[i] == Role::waits && past == nullptr) continue;
    Past now{all[i].domain, all[i].selector, std::nullopt};
    if (roles[i] != Role::signs)  // a clock that was ahead makes nobody wait for it
      now.stopped = std::min(past != nullptr && past->stopped ? *past->stopped : moment.now, moment.now);
    next.push_back(std::move(now));
  }
  for (const Past& past : pasts) {
    if (std::any_of(all.begin(), all.end(), [&](const Identity& one) { return is_of(past, one); })) continue;
    const Time stopped = std::min(past.stopped.value_or(moment.now), moment.now);
    if (moment.now - stopped <= moment.keep) next.push_back({past.domain, past.selector, stopped});
  }
  return next;
}

Milliseconds longest_on_the_way(Milliseconds expire) { return expire + at_next_system; }

std::string to_text(const Pasts& pasts) {
  std::string text;
  for (const Past& past : pasts) {
    text += past.domain.text() + " " + past.selector + " " +
            (past.stopped ? "stopped " + to_rfc3339(*past.stopped) : "signs") + "\n";
  }
  return text;
}

Pasts parse_pasts(std::string_view text) {
  Pasts found;
  for (const auto line : split(text, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() < 3 || words[1].empty() || found.size() == most_pasts) continue;
    auto domain = dns::Name::parse(words[0]);
    if (!domain || domain->is_root()) continue;
    Past past{std::move(*domain), std::string(words[1]), std::nullopt};
    if (words[2] == "stopped" && words.size() == 4) past.stopped = parse_rfc3339(words[3]);
    const bool good = words[2] == "signs" ? words.size() == 3 : past.stopped.has_value();
    if (good) found.push_back(std::move(past));
  }
  return found;
}

}  // namespace hoplock::dkim
