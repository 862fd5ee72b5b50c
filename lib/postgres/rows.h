// SPDX-License-Identifier: Apache-2.0
// What a statement gave back, as values: cheap to copy, of any thread, valid as long as somebody holds it. Rows and columns count from 0.
//
// Columns are smallint, integer, bigint, boolean, text, varchar, name, bytea, uuid; SQL casts what is something else: sum() and avg() give
// numeric (`sum(n)::bigint`), now() a timestamp (`(extract(epoch FROM now()) * 1000)::bigint`).
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

struct pg_result;

namespace hoplock::postgres {

class Rows;

class Row {
 public:
  bool null(int column) const;
  // 0 and "" for NULL. Throw std::logic_error where the column is of another type: a bug in SQL.
  std::int64_t integer(int column) const;  // any integer, or a boolean
  bool boolean(int column) const { return integer(column) != 0; }
  Time time(int column) const { return from_millis(integer(column)); }
  std::string_view text(int column) const;   // valid as long as the Rows
  std::string_view bytea(int column) const;  // likewise
  std::string uuid(int column) const;        // "8c5f2c5e-…"
  std::optional<std::int64_t> maybe_integer(int column) const;
  std::optional<std::string> maybe_text(int column) const;

 private:
  friend Rows;
  Row(const pg_result* result, int row) : result_(result), row_(row) {}
  const pg_result* result_;
  int row_;
};

class Rows {
 public:
  Rows() = default;
  explicit Rows(std::shared_ptr<const pg_result> result) : result_(std::move(result)) {}

  std::size_t size() const;
  bool empty() const { return size() == 0; }
  int columns() const;
  // Of INSERT, UPDATE, DELETE and SELECT: how many rows it changed or gave, with or without RETURNING.
  std::int64_t changed() const;
  std::string_view tag() const;  // "COMMIT", "UPDATE 3"

  Row operator[](std::size_t row) const { return {result_.get(), static_cast<int>(row)}; }
  class Iterator {
   public:
    Iterator(const pg_result* result, int row) : result_(result), row_(row) {}
    Row operator*() const { return {result_, row_}; }
    Iterator& operator++() {
      ++row_;
      return *this;
    }
    bool operator==(const Iterator&) const = default;

   private:
    friend Rows;
    const pg_result* result_;
    int row_;
  };
  Iterator begin() const { return {result_.get(), 0}; }
  Iterator end() const { return {result_.get(), static_cast<int>(size())}; }

 private:
  std::shared_ptr<const pg_result> result_;
};

}  // namespace hoplock::postgres
