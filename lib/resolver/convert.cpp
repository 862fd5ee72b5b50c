// SPDX-License-Identifier: Apache-2.0
#include "resolver/convert.h"

#include <utility>

namespace hoplock::resolver {

namespace {

constexpr int noerror = 0;
constexpr int nxdomain = 3;
constexpr std::size_t header_size = 12;

std::string rcode_text(int rcode) {
  switch (rcode) {
    case 1:
      return "FORMERR";
    case 2:
      return "SERVFAIL";
    case 4:
      return "NOTIMP";
    case 5:
      return "REFUSED";
    default:
      return "RCODE " + std::to_string(rcode);
  }
}

template <class T>
Result<dns::Record> widened(Result<T> parsed) {
  if (!parsed) return parsed.error();
  return dns::Record{std::move(*parsed)};
}

Result<dns::Record> parse_record(dns::Type type, std::string_view rdata) {
  switch (type) {
    case dns::Type::a:
      return widened(dns::parse_a(rdata));
    case dns::Type::aaaa:
      return widened(dns::parse_aaaa(rdata));
    case dns::Type::mx:
      return widened(dns::parse_mx(rdata));
    case dns::Type::cname:
      return widened(dns::parse_cname(rdata));
    case dns::Type::ptr:
      return widened(dns::parse_ptr(rdata));
    case dns::Type::tlsa:
      return dns::Record{dns::parse_tlsa(rdata)};
    case dns::Type::txt:
      return widened(dns::parse_txt(rdata));
    case dns::Type::soa:
      return dns::Record{std::string(rdata)};  // only its security is of interest (DNS-04)
  }
  return bad_input("a type that is never asked for");
}

// Fills in the records. One MX or PTR record with a name that no host can have does not spoil the others; every other record that
// does not parse fails the answer.
void add_records(dns::Answer& answer, const ub_result& result) {
  answer.status = dns::Status::records;
  for (int i = 0; result.data[i] != nullptr; ++i) {
    auto record = parse_record(answer.type, {result.data[i], static_cast<std::size_t>(result.len[i])});
    if (record) {
      answer.records.push_back(std::move(*record));
    } else if (answer.type == dns::Type::mx || answer.type == dns::Type::ptr) {
      answer.why = "a record was left out: " + record.error().detail;
    } else {
      answer = failed(answer.question, answer.type, "malformed record: " + record.error().detail);
      return;
    }
  }
  if (answer.records.empty()) answer = failed(answer.question, answer.type, "no record is well-formed: " + answer.why);
}

// A cursor over a DNS message (RFC 1035 section 4.1).
struct Cursor {
  std::string_view message;
  std::size_t at = 0;
  bool good = true;

  std::size_t take(std::size_t octets) {
    std::size_t value = 0;
    if (octets > message.size() - at) {
      good = false;
      at = message.size();
      return 0;
    }
    for (std::size_t i = 0; i < octets; ++i) value = (value << 8U) | static_cast<unsigned char>(message[at + i]);
    at += octets;
    return value;
  }
  void skip(std::size_t octets) {
    good = good && octets <= message.size() - at;
    at = good ? at + octets : message.size();
  }
  // A name in place: its labels up to the root or the first compression pointer.
  void skip_name() {
    while (good) {
      const std::size_t length = take(1);
      if (length == 0) return;
      if (length >= 0xC0) return skip(1);
      if (length > 63) good = false;
      skip(length);
    }
  }
};

}  // namespace

dns::Answer failed(dns::Name name, dns::Type type, std::string why) {
  dns::Answer answer;
  answer.question = name;
  answer.canonical = std::move(name);
  answer.type = type;
  answer.why = std::move(why);
  return answer;
}

std::optional<std::size_t> count_aliases(std::string_view message) {
  Cursor cursor{message};
  cursor.skip(4);
  const std::size_t questions = cursor.take(2);
  const std::size_t answers = cursor.take(2);
  cursor.skip(header_size - 8);
  for (std::size_t i = 0; cursor.good && i < questions; ++i) {
    cursor.skip_name();
    cursor.skip(4);
  }
  std::size_t aliases = 0;
  for (std::size_t i = 0; cursor.good && i < answers; ++i) {
    cursor.skip_name();
    if (cursor.take(2) == static_cast<std::size_t>(dns::Type::cname)) ++aliases;
    cursor.skip(6);
    cursor.skip(cursor.take(2));
  }
  if (!cursor.good) return std::nullopt;
  return aliases;
}

dns::Answer to_answer(dns::Name name, dns::Type type, const ub_result& result) {
  if (result.bogus != 0) {
    auto answer =
        failed(std::move(name), type, result.why_bogus != nullptr ? result.why_bogus : "DNSSEC validation failed");
    answer.security = dns::Security::bogus;
    return answer;
  }
  if (result.rcode != noerror && result.rcode != nxdomain)
    return failed(std::move(name), type, rcode_text(result.rcode));

  dns::Answer answer;
  answer.question = std::move(name);
  answer.type = type;
  answer.canonical = answer.question;
  if (result.canonname != nullptr && *result.canonname != '\0') {
    auto canonical = dns::Name::parse(result.canonname);
    // RFC 2317 section 4: "1.0/25.2.0.192.in-addr.arpa" is where many a PTR record stands, and nobody asks for its name
    if (!canonical && type != dns::Type::ptr)
      return failed(answer.question, type, "an alias leads to a name that no host can have");
    if (canonical) answer.canonical = std::move(*canonical);
  }
  if (type != dns::Type::cname && answer.aliased()) {
    const auto aliases =
        count_aliases({static_cast<const char*>(result.answer_packet), static_cast<std::size_t>(result.answer_len)});
    if (!aliases) return failed(answer.question, type, "malformed answer");
    if (*aliases > max_aliases) {
      return failed(answer.question, type, "more than " + std::to_string(max_aliases) + " aliases in a row");
    }
  }
  answer.security = result.secure != 0 ? dns::Security::secure : dns::Security::insecure;
  answer.ttl = std::chrono::seconds{result.ttl > 0 ? result.ttl : 0};
  answer.status = result.nxdomain != 0 || result.rcode == nxdomain ? dns::Status::no_name : dns::Status::no_data;
  if (answer.status == dns::Status::no_data && result.havedata != 0) add_records(answer, result);
  return answer;
}

}  // namespace hoplock::resolver
