// SPDX-License-Identifier: Apache-2.0
#include "dsn/notice.h"

#include <algorithm>

#include "base/ascii.h"
#include "base/utf8.h"
#include "dsn/explain.h"
#include "dsn/wrap.h"
#include "message/date.h"
#include "message/header_scan.h"
#include "message/transfer_encoding.h"

namespace hoplock::dsn {

namespace {

constexpr std::string_view end_of_line = "\r\n";
constexpr std::string_view as_it_is = "Content-Transfer-Encoding: 8bit\r\n";
constexpr std::size_t most_address = 900;

std::string_view subject(Action action) {
  switch (action) {
    case Action::failed:
      return "Undeliverable mail: your message was not delivered";
    case Action::delayed:
      return "Delayed mail: your message is still waiting to be delivered";
    case Action::relayed:
      return "Relayed mail: your message was handed on";
  }
  return "";
}

// A Message-ID as it may stand in our header: printable, in angle brackets.
std::string reference(std::string_view message_id) {
  const bool good = message_id.size() >= 3 && message_id.size() <= 900 && message_id.front() == '<' &&
                    message_id.back() == '>' &&
                    std::all_of(message_id.begin(), message_id.end(), [](char c) { return c > ' ' && c < 0x7f; });
  return good ? std::string(message_id) : "";
}

std::string header_of(const Notice& notice, const Text& text, std::string_view original) {
  std::string out = unfolded_field("From", "\"Mail Delivery System\" <" + notice.from + ">");
  out += notice.script == Script::utf8 ? "To: <" + to_one_line(notice.to, most_address) + ">\r\n"
                                       : unfolded_field("To", "<" + notice.to + ">");
  out += field("Date", message::to_rfc5322(notice.date));
  out += field("Subject", subject(notice.action));
  out += field("Message-ID", "<" + notice.message_id + ">");
  if (!original.empty()) {
    out += field("In-Reply-To", original);
    out += field("References", original);
  }
  out += field("Auto-Submitted", "auto-replied");  // RFC 3834 section 5
  out += field("MIME-Version", "1.0");
  out += "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"" + notice.boundary + "\"\r\n";
  if (text.octets == Content::Octets::eight_bit) out += field("Content-Transfer-Encoding", "8bit");
  return out + "\r\nThis is a report about a message, in parts that need MIME to be read.\r\n\r\n";
}

// --- the part for people

std::string opening(const Notice& notice) {
  const std::string ours = "This is the mail relay at " + notice.hostname + ".";
  std::string out = paragraph(ours, "") + std::string(end_of_line);
  switch (notice.action) {
    case Action::failed:
      return out +
             paragraph(
                 "Your message could not be delivered to the addresses below. We have given up and will not try again.",
                 "");
    case Action::delayed:
      out += paragraph(
          "Your message could not be delivered yet to the addresses below. We go on trying: you need not send it "
          "again.",
          "");
      if (notice.retry_until)
        out += paragraph(
            "If it is still undelivered, you will be told on " + message::to_rfc5322(*notice.retry_until) + ".", "");
      return out;
    case Action::relayed:
      return out + paragraph(
                       "Your message was handed on to the mail servers of the addresses below. They do not confirm "
                       "deliveries, so this is "
                       "all that you will hear, unless they send you a message of their own.",
                       "");
  }
  return out;
}

std::string in_words(const Recipient& recipient, Action action) {
  const std::string reply = to_one_line(recipient.reply, 900);
  if (recipient.by == Recipient::By::peer) {
    const std::string host = recipient.host.empty() ? "The mail server" : "The server " + recipient.host;
    return host + (action == Action::relayed ? " took it and said: " : " said: ") + reply;
  }
  if (recipient.host.empty()) return "What happened: " + reply;
  return "The server " + recipient.host + " was not given the message: " + reply;
}

std::string ascii(std::string text, Script script) {
  if (script == Script::utf8) return to_one_line(text, most_address);
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
  return text;
}

std::string people_part(const Notice& notice) {
  const bool utf8 = notice.script == Script::utf8;
  std::string out = "Content-Type: text/plain; charset=" + std::string(utf8 ? "utf-8\r\n" : "us-ascii\r\n");
  out += std::string(utf8 ? as_it_is : "") + "\r\n" + opening(notice);
  for (const Recipient& recipient : notice.recipients) {
    out += end_of_line;
    out += paragraph("<" + ascii(recipient.address, notice.script) + ">", "");
    out += paragraph(ascii(in_words(recipient, notice.action), notice.script), "    ");
    for (const std::string& sentence : explain(recipient)) out += paragraph(sentence, "    ");
  }
  out += end_of_line;
  out += paragraph("Your administrators find the message in our log under " + notice.id + ".", "");
  return out;
}

// --- the part for programs

std::string final_recipient(std::string_view address, Script script) {
  constexpr std::string_view name = "Final-Recipient";
  if (is_ascii(address)) return unfolded_field(name, "rfc822; " + std::string(address));
  if (script == Script::ascii) return unfolded_field(name, "utf-8; " + to_utf8_addr_xtext(address));
  return std::string(name) + ": utf-8; " + to_one_line(address, most_address) + "\r\n";
}

// The name in "mx1.example.org[192.0.2.1]"; a literal "[192.0.2.1]" is its own name.
std::string_view name_of(std::string_view host) { return host.substr(0, host.find('[', 1)); }

std::string group_of(const Recipient& recipient, const Notice& notice) {
  std::string out(end_of_line);
  if (const auto original = smtp::parse_orcpt(recipient.orcpt))
    out += unfolded_field("Original-Recipient", original->type + ";" + original->address);
  out += final_recipient(recipient.address, notice.script);
  out += field("Action", to_text(notice.action));
  out += field("Status", recipient.status);
  if (recipient.by == Recipient::By::peer) {
    if (!recipient.host.empty()) out += field("Remote-MTA", "dns; " + std::string(name_of(recipient.host)));
    out += field("Diagnostic-Code", "smtp; " + to_one_line(recipient.reply, 900));
  } else if (!recipient.reply.empty()) {
    out += field("X-Hoplock-Reason", to_one_line(recipient.reply, 900));
  }
  if (recipient.last_attempt) out += field("Last-Attempt-Date", message::to_rfc5322(*recipient.last_attempt));
  if (notice.action == Action::delayed && notice.retry_until)
    out += field("Will-Retry-Until", message::to_rfc5322(*notice.retry_until));
  return out;
}

std::string machine_part(const Notice& notice) {
  std::string out = "Content-Type: message/delivery-status\r\n\r\n";
  if (notice.script == Script::utf8) {
    out = "Content-Type: message/global-delivery-status\r\n" + std::string(as_it_is) + "\r\n";
  }
  out += field("Reporting-MTA", "dns; " + notice.hostname);
  if (const auto envid = smtp::decode_xtext(notice.envid); envid && !envid->empty())
    out += unfolded_field("Original-Envelope-Id", *envid);
  out += field("Arrival-Date", message::to_rfc5322(notice.arrival));
  out += field("X-Hoplock-Queue-ID", notice.id);
  for (const Recipient& recipient : notice.recipients) out += group_of(recipient, notice);
  return out;
}

// --- what goes back

// The header in whole lines, cut to what a notice returns.
std::string_view header_in(std::string_view message) {
  std::string_view header = message.substr(0, most_header);
  if (header.starts_with(end_of_line)) return {};
  const auto end = header.find("\r\n\r\n");
  if (end != std::string_view::npos) return header.substr(0, end + 2);
  if (header.size() == message.size() && header.ends_with(end_of_line)) return header;
  const auto last_line = header.rfind(end_of_line);
  return last_line == std::string_view::npos ? std::string_view{} : header.substr(0, last_line + 2);
}

std::size_t longest_line(std::string_view text) {
  std::size_t longest = 0, line = 0;
  for (const char c : text) {
    longest = std::max(longest, ++line);
    if (c == '\n') line = 0;
  }
  return longest;
}

// Lines that any server on the way may be sent: no NUL and, which BODY=BINARYMIME may bring, no lone CR or LF.
bool is_of_lines(std::string_view header) {
  for (std::size_t i = 0; i < header.size(); ++i) {
    if (header[i] == '\0' || (header[i] == '\n' && (i == 0 || header[i - 1] != '\r'))) return false;
    if (header[i] == '\r' && (i + 1 == header.size() || header[i + 1] != '\n')) return false;
  }
  return longest_line(header) <= 998;
}

bool is_plain(std::string_view header) { return is_ascii(header) && is_of_lines(header); }

// RFC 6522 section 4: in quoted-printable, because a server on the way may know nothing of 8-bit octets.
std::string headers_part(std::string_view header, Script script) {
  if (script == Script::utf8 && is_utf8(header) && is_of_lines(header))
    return "Content-Type: message/global-headers\r\n" + std::string(as_it_is) + "\r\n" + std::string(header);
  if (is_plain(header)) return "Content-Type: text/rfc822-headers\r\n\r\n" + std::string(header);
  return "Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
         message::quoted_printable(header);
}

}  // namespace

std::string_view to_text(Action action) {
  switch (action) {
    case Action::failed:
      return "failed";
    case Action::delayed:
      return "delayed";
    case Action::relayed:
      return "relayed";
  }
  return "";
}

Text compose(const Notice& notice, const Content& content) {
  Text text;
  const bool whole = content.what == Return::message;
  const bool utf8 = notice.script == Script::utf8;
  if (whole) text.octets = content.octets;
  if (utf8) text.octets = Content::Octets::eight_bit;
  text.script = notice.script;
  const std::string_view header = header_in(content.beginning);
  message::HeaderScan scan(notice.hostname);
  scan.feed(header);
  scan.finish();
  const std::string delimiter = "\r\n--" + notice.boundary;
  const bool told = content.what != Return::nothing;  // its Message-ID is of its header, too
  text.head = header_of(notice, text, told ? reference(scan.facts().message_id) : "");
  text.head += delimiter.substr(2) + "\r\n" + people_part(notice);
  text.head += delimiter + "\r\n" + machine_part(notice);
  if (whole) {
    text.head += delimiter + "\r\nContent-Type: message/" + (utf8 ? "global" : "rfc822") + "\r\n";
    if (text.octets == Content::Octets::eight_bit) text.head += "Content-Transfer-Encoding: 8bit\r\n";
    text.head += "\r\n";
    text.between = Text::Between::message;
  } else if (content.what == Return::headers) {
    text.head += delimiter + "\r\n" + headers_part(header, notice.script);
  }
  text.tail = delimiter + "--\r\n";
  return text;
}

std::optional<std::string> redacted(std::string_view notice) {
  constexpr std::string_view token = "boundary=\"";
  const auto end = notice.find("\r\n\r\n");
  const auto begin = notice.substr(0, end).find(token);
  if (end == std::string_view::npos || begin == std::string_view::npos) return std::nullopt;
  const std::string_view rest = notice.substr(begin + token.size());
  const std::string delimiter = "\r\n--" + std::string(rest.substr(0, rest.find('"')));
  std::size_t part = end;  // the delimiters of the text, the fields, and what is returned, or the last one
  for (int n = 0; n < 3; ++n) {
    part = notice.find(delimiter, n == 0 ? part : part + 1);
    if (part == std::string_view::npos) return std::nullopt;
  }
  std::string out;
  bool cut = false;
  for (std::size_t at = 0; at < end + 2;) {
    const auto next = notice.find(end_of_line, at) + 2;
    const std::string_view line = notice.substr(at, next - at);
    const bool folded = line.front() == ' ' || line.front() == '\t';
    if (!folded) cut = line.starts_with("In-Reply-To:") || line.starts_with("References:");
    if (!cut) out += line;
    at = next;
  }
  out += notice.substr(end + 2, part - end - 2);
  return out + delimiter + "--\r\n";
}

}  // namespace hoplock::dsn
