// SPDX-License-Identifier: Apache-2.0
// A plan as one text that covers every member of Connect, for tests that gather plans: two plans with the same digest are the same.
#pragma once
#include <string>
#include <vector>

#include "hop/plan.h"

namespace hoplock::hop::testing {

namespace digested {

inline std::string list(const std::vector<dns::Name>& names) {
  std::string text;
  for (const auto& name : names) text += "," + name.text();
  return text;
}

inline std::string list(const std::vector<dns::Tlsa>& records) {
  std::string text;
  for (const auto& record : records) text += "," + record.text();
  return text;
}

inline std::string text_of(const DaneCheck& check) {
  return check.base.text() + ";" + list(check.records) + ";" + list(check.names);
}

// The length first, so that nothing in a free text passes for another member.
inline std::string text_of(const Refusal& refusal) {
  return std::string(to_text(refusal.reason)) + refusal.status + ":" + std::to_string(refusal.text.size()) + ":" +
         refusal.text;
}

inline std::string text_of(const Observed& observed) {
  std::string text = " observed=" + std::string(to_text(observed.policy));
  if (observed.known) text += " known=" + text_of(*observed.known);
  if (observed.dane) text += " watch-dane=" + text_of(*observed.dane);
  if (observed.pkix) text += " watch-pkix=" + list(observed.pkix->names);
  return text;
}

template <class Enum>
inline std::string number(Enum value) {
  return std::to_string(static_cast<unsigned>(value));
}

}  // namespace digested

// Names hold no blank, comma or equals sign and records none but the blanks of their fixed fields; free texts tell their length.
inline std::string digest(const Connect& plan) {
  using namespace digested;
  std::string text =
      "policy=" + std::string(to_text(plan.policy)) + " tls=" + number(plan.tls) + " fail=" + number(plan.on_failure);
  text += " mx=" + std::string(dns::to_text(plan.mx_security)) + " sni=" + plan.sni.text();
  if (plan.tlsa_unusable) text += " unusable";
  if (plan.dane) text += " dane=" + text_of(*plan.dane);
  if (plan.pkix) text += " pkix=" + list(plan.pkix->names);
  if (plan.waived) text += " waived=" + text_of(*plan.waived);
  if (plan.observed) text += text_of(*plan.observed);
  if (plan.required) {
    text += " required=" + std::string(to_text(plan.required->underlying)) + ";" + list(plan.required->names);
  }
  return text;
}

}  // namespace hoplock::hop::testing
