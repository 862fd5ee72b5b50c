// SPDX-License-Identifier: Apache-2.0
// A log line as a value. Modules build an Event and hand it to the Log they were given; the daemon alone knows where it
// goes (daemon/log_writer.h). Rendering as logfmt or JSON is pure and here, so that a line can be tested without a
// daemon.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/counted.h"
#include "base/time.h"

namespace hoplock {

enum class Level : std::uint8_t { trace, debug, info, warn, error };
std::string_view to_text(Level level);

class Event {
 public:
  Event(Level level, std::string_view name) : level_(level), name_(name) {}

  // Keys must outlive the event: string literals. An empty value is left out of the line.
  Event& add(std::string_view key, std::string value) &;
  Event& add(std::string_view key, std::int64_t value) &;
  // A word that JSON has without quotes: true or false.
  Event& add_bare(std::string_view key, std::string word) &;
  Event&& add(std::string_view key, std::string value) && { return std::move(add(key, std::move(value))); }
  Event&& add(std::string_view key, std::int64_t value) && { return std::move(add(key, value)); }

  struct Field {
    std::string_view key;
    std::string value;
    bool bare = false;  // a number, true or false: not quoted in JSON
  };
  Level level() const { return level_; }
  const std::string& name() const { return name_; }
  const std::vector<Field>& fields() const { return fields_; }
  // The value of a key, or "".
  std::string_view get(std::string_view key) const;

 private:
  Level level_;
  std::string name_;
  std::vector<Field> fields_;
};

// CONTRACT: one line, `time level event` first; values quoted where needed, `"`, `\` and control characters escaped as
// in JSON, UTF-8 as it is (octets that are not UTF-8 become U+FFFD). Without the newline.
std::string to_logfmt(const Event& event, Time time);
std::string to_json(const Event& event, Time time);

// Where events go, and what is counted of them. Implementations must not block and must be callable from any thread.
class Log {
 public:
  virtual ~Log() = default;
  virtual bool enabled(Level level) const = 0;
  virtual void write(const Event& event) = 0;
  // For metrics, whatever is written; a log that feeds none forgets it.
  virtual void count(const counted::Value& value) { static_cast<void>(value); }
};

}  // namespace hoplock
