// SPDX-License-Identifier: Apache-2.0
#include "postgres/rows.h"

#include <charconv>
#include <stdexcept>

#include "postgres/big_endian.h"
#include "postgres/libpq.h"

namespace hoplock::postgres {
namespace {

enum : Oid {
  boolean_oid = 16,
  bytea_oid = 17,
  name_oid = 19,
  bigint_oid = 20,
  smallint_oid = 21,
  integer_oid = 23,
  text_oid = 25,
  varchar_oid = 1043,
  uuid_oid = 2950
};

std::string_view octets(const pg_result* result, int row, int column) {
  return {pq().PQgetvalue(result, row, column), static_cast<std::size_t>(pq().PQgetlength(result, row, column))};
}

[[noreturn]] void throw_type(const pg_result* result, int column, const char* wanted) {
  const char* called = pq().PQfname(result, column);
  throw std::logic_error("the column " + std::string(called == nullptr ? "?" : called) + " is not " + wanted);
}

}  // namespace

bool Row::null(int column) const {
  if (column >= pq().PQnfields(result_)) throw_type(result_, column, "there");
  return pq().PQgetisnull(result_, row_, column) != 0;
}

std::int64_t Row::integer(int column) const {
  if (null(column)) return 0;
  switch (pq().PQftype(result_, column)) {
    case boolean_oid:
    case smallint_oid:
    case integer_oid:
    case bigint_oid:
      return read_big_endian(octets(result_, row_, column));
    default:
      throw_type(result_, column, "an integer");
  }
}

std::string_view Row::text(int column) const {
  if (null(column)) return {};
  switch (pq().PQftype(result_, column)) {
    case text_oid:
    case varchar_oid:
    case name_oid:
      return octets(result_, row_, column);
    default:
      throw_type(result_, column, "text");
  }
}

std::string_view Row::bytea(int column) const {
  if (null(column)) return {};
  if (pq().PQftype(result_, column) != bytea_oid) throw_type(result_, column, "bytea");
  return octets(result_, row_, column);
}

std::string Row::uuid(int column) const {
  if (null(column)) return {};
  if (pq().PQftype(result_, column) != uuid_oid) throw_type(result_, column, "a uuid");
  std::string text;
  constexpr char digits[] = "0123456789abcdef";
  for (const char c : octets(result_, row_, column)) {
    if (text.size() == 8 || text.size() == 13 || text.size() == 18 || text.size() == 23) text += '-';
    text += digits[static_cast<unsigned char>(c) >> 4];
    text += digits[static_cast<unsigned char>(c) & 0xf];
  }
  return text;
}

std::optional<std::int64_t> Row::maybe_integer(int column) const {
  if (null(column)) return {};
  return integer(column);
}

std::optional<std::string> Row::maybe_text(int column) const {
  if (null(column)) return {};
  return std::string(text(column));
}

std::size_t Rows::size() const { return result_ ? static_cast<std::size_t>(pq().PQntuples(result_.get())) : 0; }

int Rows::columns() const { return result_ ? pq().PQnfields(result_.get()) : 0; }

std::string_view Rows::tag() const {  // libpq takes it as one that it could write to
  return result_ ? pq().PQcmdStatus(const_cast<pg_result*>(result_.get())) : std::string_view();
}

std::int64_t Rows::changed() const {
  const std::string_view all = tag();
  const std::string_view last = all.substr(all.rfind(' ') + 1);
  std::int64_t count = 0;
  std::from_chars(last.data(), last.data() + last.size(), count);
  return count;
}

}  // namespace hoplock::postgres
