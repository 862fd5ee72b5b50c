// SPDX-License-Identifier: Apache-2.0
// A statement's parameter, encoded once in PostgreSQL's binary format with its type, so that a batch can be sent again as it is:
//
//   integers, enums, Time   bigint         std::vector of them   bigint[]
//   bool                    boolean                              boolean[]
//   std::string(_view)      text           (UTF-8 without NUL)   text[]
//   Octets                  bytea                                bytea[]
//   std::optional of these: the same type, or NULL; also inside a vector. Time is milliseconds since 1970.
//
// So SQL says `unnest($1, $2)`, `= ANY($1)`, and casts only where a column is narrower and an operator asks for it ($1::int).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/time.h"

namespace hoplock::postgres {

struct Octets {
  std::string octets;
};

class Parameter {
 public:
  // What stands in it when it is sent, where the sender does not know it: of a job (batch.h) only.
  enum class Filled : std::uint8_t { here, incarnation, batch, slot };
  static Parameter incarnation() { return Parameter(Filled::incarnation); }  // ours: bigint
  static Parameter batch() { return Parameter(Filled::batch); }  // the number under which the job is sent: bigint
  static Parameter slot() { return Parameter(Filled::slot); }    // ours: bigint

  template <class T>
  requires(!std::is_same_v<std::remove_cvref_t<T>, Parameter>)
      Parameter(const T& value) {  // NOLINT(google-explicit-constructor): values are written as they are
    put(value);
  }

  Filled filled() const { return filled_; }
  std::uint32_t type() const { return type_; }
  bool null() const { return null_; }
  const std::string& octets() const { return octets_; }  // as the wire has them

 private:
  static constexpr std::uint32_t boolean_type = 16, bytea_type = 17, bigint_type = 20, text_type = 25;
  template <class T>
  struct IsOptional : std::false_type {};
  template <class T>
  struct IsOptional<std::optional<T>> : std::true_type {};
  template <class T>
  struct IsVector : std::false_type {};
  template <class T>
  struct IsVector<std::vector<T>> : std::true_type {};

  explicit Parameter(Filled filled) : filled_(filled), type_(bigint_type) {}

  template <class T>
  static constexpr std::uint32_t type_of() {
    if constexpr (IsOptional<T>::value)
      return type_of<typename T::value_type>();
    else if constexpr (std::is_same_v<T, bool>)
      return boolean_type;
    else if constexpr (std::is_same_v<T, Octets>)
      return bytea_type;
    else if constexpr (std::is_integral_v<T> || std::is_enum_v<T> || std::is_same_v<T, Time>)
      return bigint_type;
    else
      return text_type;
  }
  static std::uint32_t array_type(std::uint32_t element);

  template <class T>
  void put(const T& value) {
    if constexpr (IsVector<T>::value) {
      using Element = typename T::value_type;
      constexpr std::uint32_t element = type_of<Element>();
      type_ = array_type(element);
      begin_array(element, value.size());
      for (std::size_t i = 0; i < value.size(); ++i) put_element(static_cast<const Element&>(value[i]));
    } else {
      type_ = type_of<T>();
      if constexpr (IsOptional<T>::value) {
        null_ = !value;
        if (value) append(*value);
      } else {
        append(value);
      }
    }
  }
  template <class T>
  void put_element(const T& value) {
    if constexpr (IsOptional<T>::value) {
      if (!value) return put_null_element();
      put_element(*value);
    } else {
      const std::size_t at = begin_element();
      append(value);
      end_element(at);
    }
  }
  template <class T>
  void append(const T& value) {
    if constexpr (std::is_same_v<T, bool>)
      octets_ += static_cast<char>(value);
    else if constexpr (std::is_same_v<T, Octets>)
      octets_ += value.octets;
    else if constexpr (std::is_same_v<T, Time>)
      append_integer(to_millis(value));
    else if constexpr (std::is_integral_v<T> || std::is_enum_v<T>)
      append_integer(static_cast<std::int64_t>(value));
    else
      octets_ += std::string_view(value);
  }
  void append_integer(std::int64_t value);
  void begin_array(std::uint32_t element, std::size_t size);
  std::size_t begin_element();
  void end_element(std::size_t at);
  void put_null_element();

  Filled filled_ = Filled::here;
  bool null_ = false;
  std::uint32_t type_ = text_type;
  std::string octets_;
};

}  // namespace hoplock::postgres
