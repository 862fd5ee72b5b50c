// SPDX-License-Identifier: Apache-2.0
// The text format in which Prometheus reads metrics (exposition format 0.0.4), written. Values -> octets; knows no metric.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/histogram.h"

namespace hoplock::monitor {

struct Label {
  std::string_view name;
  std::string_view value;  // any octets
};

class Exposition {
 public:
  static constexpr std::string_view content_type = "text/plain; version=0.0.4; charset=utf-8";
  enum class Type : std::uint8_t { counter, gauge, histogram };

  // Begins a family, to which the samples that follow belong. REQUIRES: names and labels of [a-z0-9_], no family twice, the name of
  // a counter ends in "_total", no two samples with the same labels.
  void family(std::string_view name, Type type, std::string_view help);
  void sample(const std::vector<Label>& labels, std::uint64_t value);
  void sample(const std::vector<Label>& labels, double value);
  void sample(const Histogram& histogram);

  // A family of one sample without labels.
  void counter(std::string_view name, std::string_view help, std::uint64_t value);
  void gauge(std::string_view name, std::string_view help, double value);

  std::string take() { return std::move(text_); }

 private:
  void line(std::string_view suffix, const std::vector<Label>& labels, std::string_view value);
  std::string text_;
  std::string name_;
};

}  // namespace hoplock::monitor
