// SPDX-License-Identifier: Apache-2.0
#include "statistics/batch.h"

namespace hoplock::statistics {

namespace {

constexpr unsigned same_domain = 0x80;
constexpr unsigned continued = 0x80, bits_of_each = 7;

void append(std::string& to, std::uint64_t number) {
  for (; number >= continued; number >>= bits_of_each) to += static_cast<char>(number | continued);
  to += static_cast<char>(number);
}

void append(std::string& to, std::string_view text) {
  append(to, text.size());
  to += text;
}

std::uint64_t second_in(Time time, Day day) {
  return static_cast<std::uint64_t>(std::chrono::floor<Seconds>(time - day).count());
}

class Cursor {
 public:
  explicit Cursor(std::string_view octets) : rest_(octets) {}
  bool at_end() const { return rest_.empty(); }
  bool is_good() const { return good_; }
  unsigned octet() {
    if (rest_.empty()) return damaged();
    const auto first = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    return first;
  }
  std::uint64_t number() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += bits_of_each) {
      const std::uint64_t next = octet();
      value |= (next & ~std::uint64_t{continued}) << shift;
      if (next < continued) return value;
    }
    return damaged();
  }
  std::string_view text() {
    const std::uint64_t size = number();
    if (size > rest_.size()) damaged();
    const std::string_view found = rest_.substr(0, good_ ? size : 0);
    rest_.remove_prefix(found.size());
    return found;
  }

 private:
  unsigned damaged() {
    good_ = false;
    rest_ = {};
    return 0;
  }
  std::string_view rest_;
  bool good_ = true;
};

}  // namespace

std::map<Day, std::string> packed(const Counts& counts) {
  std::map<Day, std::string> days;
  const Row* before = nullptr;
  for (const auto& [row, sum] : counts.rows()) {
    std::string& to = days[row.day];
    const bool same = before != nullptr && before->day == row.day && before->domain == row.domain;
    to += static_cast<char>(static_cast<unsigned>(row.kind) | (same ? same_domain : 0));
    if (!same) append(to, row.domain);
    append(to, row.what);
    for (const std::uint64_t number :
         {sum.count, sum.messages, sum.octets, second_in(sum.first, row.day), second_in(sum.last, row.day)})
      append(to, number);
    before = &row;
  }
  return days;
}

void unpack(std::string_view octets, Day day, const std::function<void(const Unpacked&)>& call) {
  Cursor cursor(octets);
  Unpacked one;
  while (!cursor.at_end()) {
    const unsigned head = cursor.octet();
    one.kind = static_cast<Kind>(head & ~same_domain);
    if ((head & same_domain) == 0) one.domain = cursor.text();
    one.what = cursor.text();
    one.sum.count = cursor.number();
    one.sum.messages = cursor.number();
    one.sum.octets = cursor.number();
    one.sum.first = day + Seconds(static_cast<std::int64_t>(cursor.number()));
    one.sum.last = day + Seconds(static_cast<std::int64_t>(cursor.number()));
    if (!cursor.is_good()) return;
    call(one);
  }
}

}  // namespace hoplock::statistics
