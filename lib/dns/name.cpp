// SPDX-License-Identifier: Apache-2.0
#include "dns/name.h"

#include <idn2.h>

#include <algorithm>
#include <memory>

#include "base/ascii.h"
#include "base/utf8.h"

namespace hoplock::dns {

namespace {

constexpr std::size_t max_label = 63, max_name = 253;  // RFC 1035 section 2.3.4, in text without the trailing dot

bool is_name_octet(char c) { return is_digit(c) || is_alpha(c) || c == '-' || c == '_'; }

// Checks lengths and octets of a lower-case ASCII name without trailing dot.
Result<> check(std::string_view text) {
  if (text.empty()) return bad_input("empty domain name");
  if (text.size() > max_name)
    return bad_input("domain name of " + std::to_string(text.size()) + " octets, at most 253 are allowed");
  for (const std::string_view label : split(text, '.')) {
    if (label.empty()) return bad_input("empty label in '" + std::string(text) + "'");
    if (label.size() > max_label) return bad_input("label of more than 63 octets in '" + std::string(text) + "'");
    if (label != "*" && !std::all_of(label.begin(), label.end(), is_name_octet)) {
      return bad_input("a label of '" + std::string(text) + "' has a character outside letters, digits, '-' and '_'");
    }
  }
  return {};
}

Result<std::string> to_a_labels(const std::string& text) {
  char* raw = nullptr;
  // IDNA2008 with Unicode TR46 non-transitional mapping for case and width; no fallback to IDNA2003.
  const int code = idn2_to_ascii_8z(text.c_str(), &raw, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
  const std::unique_ptr<char, void (*)(void*)> owned(raw, idn2_free);
  if (code != IDN2_OK) return bad_input("'" + text + "' is no internationalized domain name: " + idn2_strerror(code));
  return std::string(owned.get());
}

}  // namespace

std::string Name::unicode() const {
  if (text_.find("xn--") == std::string::npos) return text_;
  char* raw = nullptr;
  const int code = idn2_to_unicode_8z8z(text_.c_str(), &raw, 0);
  const std::unique_ptr<char, void (*)(void*)> owned(raw, idn2_free);
  return code == IDN2_OK ? std::string(owned.get()) : text_;
}

Result<Name> Name::parse(std::string_view text) {
  Name name;
  if (text == ".") return name;
  std::string canonical(text);
  if (canonical.find('\0') != std::string::npos) return bad_input("NUL in a domain name");
  if (!is_ascii(canonical)) {
    auto converted = to_a_labels(canonical);
    if (!converted) return converted.error();
    canonical = std::move(*converted);
  }
  if (canonical.size() > 1 && canonical.back() == '.') canonical.pop_back();
  canonical = to_lower(canonical);
  if (auto good = check(canonical); !good) return good.error();
  name.text_ = std::move(canonical);
  return name;
}

Result<Name> Name::from_wire(std::string_view wire) {
  std::string text;
  for (;;) {
    if (wire.empty()) return bad_input("domain name cut short");
    const auto length = static_cast<std::size_t>(static_cast<unsigned char>(wire.front()));
    wire.remove_prefix(1);
    if (length == 0) break;
    if (length > max_label || length > wire.size()) return bad_input("bad label length in a domain name");
    const std::string_view label = wire.substr(0, length);
    if (label.find('.') != std::string_view::npos) return bad_input("a dot inside a label");
    if (!text.empty()) text += '.';
    text += label;
    wire.remove_prefix(length);
  }
  if (!wire.empty()) return bad_input("octets after a domain name");
  if (text.empty()) return Name{};
  if (!is_ascii(text)) return bad_input("a domain name with octets above 127");
  text = to_lower(text);
  if (auto good = check(text); !good) return good.error();
  Name name;
  name.text_ = std::move(text);
  return name;
}

std::size_t Name::labels() const {
  return is_root() ? 0 : static_cast<std::size_t>(std::count(text_.begin(), text_.end(), '.')) + 1;
}

Result<Name> Name::under(std::string_view prefix) const {
  return parse(is_root() ? std::string(prefix) : std::string(prefix) + "." + text_);
}

bool Name::is_within(const Name& zone) const {
  if (zone.is_root() || text_ == zone.text_) return true;
  return text_.size() > zone.text_.size() && text_.ends_with(zone.text_) &&
         text_[text_.size() - zone.text_.size() - 1] == '.';
}

Name Name::parent() const {
  Name up;
  if (const auto dot = text_.find('.'); !is_root() && dot != std::string::npos) up.text_ = text_.substr(dot + 1);
  return up;
}

}  // namespace hoplock::dns
