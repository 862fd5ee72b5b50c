// SPDX-License-Identifier: Apache-2.0
#include "dns/reverse.h"

#include <algorithm>

#include "base/ascii.h"

namespace hoplock::dns {

namespace {

constexpr std::size_t most_told = 3;  // names or addresses in one list

enum class Leads : std::uint8_t { here, elsewhere, unknown };

class Judgement {
 public:
  explicit Judgement(const ReverseFacts& facts)
      : facts_(facts),
        ip_(facts.ip.text()),
        kind_(to_text(address_type(facts.ip))),
        pointed_(facts.pointer.all<Name>()) {}

  Agreement go() {
    look_at_pointer();
    for (const Name& name : facts_.said) look_at_said(name);
    if (astray_ > most_told) found_.why += "; and " + std::to_string(astray_ - most_told) + " more such names";
    if (found_.state == Agreement::State::disagrees) return std::move(found_);
    if (!unknown_.empty()) return {Agreement::State::unknown, unknown_, ""};
    return std::move(found_);
  }

 private:
  void add(Agreement::State state, const std::string& why, const std::string& advice) {
    if (state == Agreement::State::disagrees || found_.why.empty()) found_.state = state;
    found_.why += (found_.why.empty() ? "" : "; ") + why;
    found_.advice += (found_.advice.empty() ? "" : "; ") + advice;
  }
  void could_not_ask(const std::string& what, const Answer* answer) {
    if (!unknown_.empty()) return;
    unknown_ = what + " cannot be looked up" + (answer != nullptr ? ": " + answer->why : std::string());
  }

  const Answer* answer_of(const Name& name) const {
    const auto found = facts_.addresses.find(name);
    return found == facts_.addresses.end() ? nullptr : &found->second;
  }
  Leads leads(const Name& name) const {
    const Answer* answer = answer_of(name);
    if (answer == nullptr || answer->failed()) return Leads::unknown;
    const auto all = answer->all<Ip>();
    return std::find(all.begin(), all.end(), facts_.ip) != all.end() ? Leads::here : Leads::elsewhere;
  }
  // REQUIRES: the name leads elsewhere.
  std::string where(const Name& name) const {
    const auto all = answer_of(name)->all<Ip>();
    if (all.empty()) return "has no " + kind_ + " record";
    std::string text = "leads to ";
    for (std::size_t i = 0; i < std::min(all.size(), most_told); ++i) text += (i == 0 ? "" : ", ") + all[i].text();
    return text + (all.size() > most_told ? ", …" : "");
  }
  static std::string list(const std::vector<Name>& names) {
    std::string text;
    for (std::size_t i = 0; i < std::min(names.size(), most_told); ++i) text += (i == 0 ? "" : ", ") + names[i].text();
    return text + (names.size() > most_told ? ", …" : "");
  }

  bool is_pointed_to(const Name& name) const {
    return std::find(pointed_.begin(), pointed_.end(), name) != pointed_.end();
  }
  std::string publish_pointer() const {
    const std::string name = facts_.said.empty() ? "the EHLO name" : facts_.said.front().text();
    return "have whoever gave you the address publish: " + reverse_name(facts_.ip).text() + ". PTR " + name + ".";
  }
  std::string publish_address(const Name& name) const {
    return "publish: " + name.text() + ". " + kind_ + " " + facts_.ip.unmapped().text();
  }

  void look_at_pointer() {
    using State = Agreement::State;
    if (facts_.pointer.failed()) return could_not_ask("the PTR record of " + ip_, &facts_.pointer);
    if (pointed_.empty()) return add(State::disagrees, ip_ + " has no PTR record", publish_pointer());
    const bool said =
        std::any_of(facts_.said.begin(), facts_.said.end(), [this](const Name& name) { return is_pointed_to(name); });
    if (said) return;  // whether that name leads back is looked at with the names said
    const auto count = [this](Leads how) {
      return std::count_if(pointed_.begin(), pointed_.end(), [&](const Name& name) { return leads(name) == how; });
    };
    const std::string names = "the PTR record of " + ip_ + " names " + list(pointed_);
    if (count(Leads::here) > 0) {
      const std::string own = facts_.said.empty() ? "" : facts_.said.front().text();
      return add(State::differs, names + ", not " + own,
                 "have the PTR record name " + own + ", or say in EHLO what it names");
    }
    if (count(Leads::unknown) > 0) {
      const auto open = std::find_if(pointed_.begin(), pointed_.end(),
                                     [this](const Name& name) { return leads(name) == Leads::unknown; });
      return could_not_ask(open->text(), answer_of(*open));
    }
    add(State::disagrees, names + ", which " + where(pointed_.front()), publish_pointer());
  }

  void look_at_said(const Name& name) {
    switch (leads(name)) {
      case Leads::here:
        return;
      case Leads::unknown:
        return could_not_ask(name.text(), answer_of(name));
      case Leads::elsewhere:
        if (++astray_ > most_told) return;
        add(Agreement::State::disagrees, name.text() + ", said in EHLO from " + ip_ + ", " + where(name),
            publish_address(name));
    }
  }

  const ReverseFacts& facts_;
  std::string ip_;
  std::string kind_;
  std::vector<Name> pointed_;
  Agreement found_{Agreement::State::agrees, {}, {}};
  std::string unknown_;
  std::size_t astray_ = 0;  // names said that lead elsewhere
};

}  // namespace

Name reverse_name(const Ip& ip) {
  const Ip plain = ip.unmapped();
  const std::string octets = plain.octets();
  std::string text;
  if (plain.is_v4()) {
    for (auto octet = octets.rbegin(); octet != octets.rend(); ++octet)
      text += std::to_string(static_cast<unsigned char>(*octet)) + ".";
    text += "in-addr.arpa";
  } else {
    const std::string nibbles = to_hex(octets);
    for (auto nibble = nibbles.rbegin(); nibble != nibbles.rend(); ++nibble) text += std::string(1, *nibble) + ".";
    text += "ip6.arpa";
  }
  return Name::parse(text).value();
}

Type address_type(const Ip& ip) { return ip.unmapped().is_v4() ? Type::a : Type::aaaa; }

Agreement agreement(const ReverseFacts& facts) { return Judgement(facts).go(); }

}  // namespace hoplock::dns
