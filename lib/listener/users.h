// SPDX-License-Identifier: Apache-2.0
// Who may log in: a file of lines "name:hash", the hash as crypt(5) has it (yescrypt, scrypt, sha512crypt, sha256crypt,
// bcrypt; weaker ones are refused). Read whole at the start and on reload; a Users never changes. Checking costs what the
// hash costs: not for the loop's thread (see passwords.h).
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hoplock::listener {

enum class Credentials : std::uint8_t {
  right,
  wrong,
  unknown,  // nobody can say at the moment: no verdict about the password (SUB-25)
};

class Users {
 public:
  // Empty lines and lines that begin with '#' are let pass. The error is "FILE:LINE: what is wrong" and never shows a
  // hash.
  static Result<std::shared_ptr<const Users>> load(const std::string& path);
  static Result<std::shared_ptr<const Users>> parse(std::string_view text, const std::string& path);

  // The user is found by its exact name. A name that is unknown costs as much as one that is not: its password is
  // hashed against the hash of some user, always the same one for a name.
  Credentials check(std::string_view name, const std::string& password) const;
  std::size_t size() const { return hashes_.size(); }

 private:
  Users() = default;
  std::map<std::string, std::string, std::less<>> hashes_;
  std::vector<std::string> decoys_;  // what unknown names are checked against
};

}  // namespace hoplock::listener
