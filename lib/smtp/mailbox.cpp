// SPDX-License-Identifier: Apache-2.0
#include "smtp/mailbox.h"

#include <algorithm>
#include <optional>

#include "base/ascii.h"
#include "base/ip.h"
#include "base/utf8.h"

namespace hoplock::smtp {

namespace {

constexpr std::size_t max_path = 2048;  // of what is looked at at all

// RFC 5322 section 3.2.3, and RFC 6531 section 3.3 for octets above 127.
bool is_atext(char c) {
  if (is_alpha(c) || is_digit(c) || static_cast<unsigned char>(c) >= 0x80) return true;
  return c != '\0' && std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos;
}

// Length of the dot-string or quoted string that `text` begins with; 0: neither (RFC 5321 section 4.1.2).
std::size_t local_length(std::string_view text) {
  if (!text.starts_with('"')) {
    std::size_t i = 0;
    for (bool atom = false; i < text.size(); ++i) {
      if (is_atext(text[i])) {
        atom = true;
      } else if (text[i] == '.' && atom) {
        atom = false;
      } else {
        break;
      }
    }
    return i > 0 && text[i - 1] == '.' ? 0 : i;
  }
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') return i + 1;
    if (text[i] == '\\' && ++i == text.size()) return 0;
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c == 0x7f || (c >= 0x80 && text[i - 1] == '\\' && i >= 2)) return 0;
  }
  return 0;
}

// Behind "@a.example,@b.example:" (RFC 5321 appendix C); nullopt: no such route.
std::optional<std::string_view> behind_route(std::string_view text) {
  for (;;) {
    if (!text.starts_with('@')) return std::nullopt;
    const auto end = text.starts_with("@[") ? text.find(']') : text.find_first_of(",:");
    const auto stop = end == std::string_view::npos ? end : text.find_first_of(",:", end);
    if (stop == std::string_view::npos || stop < 2) return std::nullopt;
    const std::string_view host = text.substr(1, stop - 1);
    const auto in_host = [](char c) {
      return is_alpha(c) || is_digit(c) || static_cast<unsigned char>(c) >= 0x80 ||
             (c != '\0' && std::string_view("-._[]:").find(c) != std::string_view::npos);
    };
    if (!std::all_of(host.begin(), host.end(), in_host)) return std::nullopt;
    const bool more = text[stop] == ',';
    text.remove_prefix(stop + 1);
    if (!more) return text;
  }
}

// RFC 5321 section 4.1.3; the content of a general literal is dcontent.
bool is_literal_form(std::string_view text) {
  if (text.size() < 3 || text.front() != '[' || text.back() != ']') return false;
  const std::string_view inner = text.substr(1, text.size() - 2);
  if (Ip::parse(inner)) return inner.find(':') == std::string_view::npos;
  const auto colon = inner.find(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == inner.size()) return false;
  if (equals_ignoring_case(inner.substr(0, colon), "IPv6")) {
    const auto ip = Ip::parse(inner.substr(colon + 1));
    return ip && ip->is_v6();
  }
  return std::all_of(inner.begin(), inner.end(),
                     [](char c) { return c > ' ' && c < 0x7f && c != '[' && c != ']' && c != '\\'; });
}

// RFC 1123 section 2.1, RFC 5321 section 4.1.2 (sub-domain): no label begins or ends with a hyphen.
bool has_hanging_hyphen(std::string_view domain) {
  return domain.starts_with('-') || domain.ends_with('-') || domain.find("-.") != std::string_view::npos ||
         domain.find(".-") != std::string_view::npos;
}

BadMailbox bad(BadMailbox::Kind kind, std::string why) { return BadMailbox{kind, std::move(why)}; }

}  // namespace

std::variant<Mailbox, BadMailbox> Mailbox::parse(std::string_view text) {
  using Kind = BadMailbox::Kind;
  Mailbox mailbox;
  if (text.empty()) return mailbox;
  if (text.size() > max_path) return bad(Kind::too_long, "path too long");
  if (equals_ignoring_case(text, "postmaster")) {
    mailbox.text_ = text;
    return mailbox;
  }
  if (text.front() == '@') {
    const auto behind = behind_route(text);
    if (!behind) return bad(Kind::syntax, "bad source route");
    text = *behind;
  }
  const std::size_t length = local_length(text);
  if (length == 0 || length >= text.size() || text[length] != '@') return bad(Kind::syntax, "not local-part@domain");
  if (length > max_local) return bad(Kind::too_long, "local part too long");
  const std::string_view local = text.substr(0, length), domain = text.substr(length + 1);
  if (!is_utf8(local)) return bad(Kind::syntax, "local part is not UTF-8");
  mailbox.at_ = length;
  if (domain.starts_with('[')) {
    if (!is_literal_form(domain)) return bad(Kind::syntax, "bad address literal");
    mailbox.literal_ = true;
    mailbox.text_ = text;
    return mailbox;
  }
  if (domain.empty() || domain.back() == '.' || domain.find('*') != std::string_view::npos) {
    return bad(Kind::syntax, "bad domain");
  }
  auto name = dns::Name::parse(domain);
  if (!name) {
    // A domain of other characters than domains have is syntax; one that has no A-label form is no domain (MX-15)
    return bad(is_ascii(domain) ? Kind::syntax : Kind::bad_domain, to_one_line(name.error().detail, 200));
  }
  if (has_hanging_hyphen(name->text())) return bad(Kind::syntax, "a label of the domain begins or ends with a hyphen");
  mailbox.domain_ = std::move(*name);
  mailbox.text_.reserve(length + 1 + mailbox.domain_.text().size());
  mailbox.text_ += local;
  mailbox.text_ += '@';
  mailbox.text_ += mailbox.domain_.text();
  return mailbox;
}

bool Mailbox::has_utf8_local() const { return !is_ascii(local()); }

std::string Mailbox::path() const {
  std::string out;
  out.reserve(text_.size() + 2);
  out += '<';
  out += text_;
  out += '>';
  return out;
}

std::string_view Mailbox::local() const { return std::string_view(text_).substr(0, at_); }

std::string_view Mailbox::domain_text() const {
  return at_ == std::string::npos ? std::string_view{} : std::string_view(text_).substr(at_ + 1);
}

}  // namespace hoplock::smtp
