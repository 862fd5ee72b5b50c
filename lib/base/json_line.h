// SPDX-License-Identifier: Apache-2.0
// One flat JSON object on one line, for what is not a log: the history of messages keeps such lines. Its keys are on disk and none of the
// log's, though many are the same words.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace hoplock {

class JsonLine {
 public:
  // {"event":"delivered"
  explicit JsonLine(std::string_view event);

  // In this order. An empty value is left out.
  JsonLine& add(std::string_view key, std::string_view value);
  JsonLine& add(std::string_view key, std::int64_t value);
  // What is JSON already.
  JsonLine& add_bare(std::string_view key, std::string_view json);
  std::string text() const { return out_ + "}"; }

 private:
  std::string out_;
};

// A JSON string with its quotes.
std::string json_string(std::string_view text);

}  // namespace hoplock
