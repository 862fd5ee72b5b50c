// SPDX-License-Identifier: Apache-2.0
#include "listener/users.h"

#include <crypt.h>
#include <openssl/crypto.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>

#include "base/ascii.h"
#include "base/utf8.h"

namespace hoplock::listener {

namespace {

// For a file without users: a yescrypt setting at its usual cost, of no password.
constexpr const char* nobody = "$y$j9T$vVb0PBiFJzhzQeEM0xvDT1$dRWo/IbHTo1Pl117UgUcvQLFoh5UUmuR4.5/9iPJNp0";

Error complaint(const std::string& path, std::size_t line, const std::string& what) {
  return bad_input(path + ":" + std::to_string(line) + ": " + what);
}

// A setting alone, or a hash that lost its end, has the right beginning and matches nothing, ever.
bool is_whole(std::string_view hash) {
  const std::string_view digest = hash.substr(hash.rfind('$') + 1);
  if (hash.starts_with("$2")) return hash.size() == 60;
  return digest.size() == (hash.starts_with("$6$") ? 86U : 43U);
}

// Why this is no hash that may guard a password; empty when it is one.
std::string_view complaint_about(const std::string& hash) {
  if (hash.empty()) return "the hash is missing";
  const int found = crypt_checksalt(hash.c_str());
  if (found == CRYPT_SALT_METHOD_LEGACY || found == CRYPT_SALT_TOO_CHEAP) return "its method is too weak";
  if (found != CRYPT_SALT_OK) return "it is no hash";
  return is_whole(hash) ? "" : "the hash is not whole";
}

Credentials compare(const std::string& password, const std::string& hash) {
  auto data = std::make_unique<crypt_data>();
  errno = 0;
  const char* made = crypt_r(password.c_str(), hash.c_str(), data.get());
  const bool failed = made == nullptr || made[0] == '*';
  const bool too_long = failed && errno == ERANGE;  // longer than any password that could be set
  Credentials found = Credentials::unknown;
  if (too_long) {
    found = Credentials::wrong;
  } else if (!failed) {
    const bool same = std::strlen(made) == hash.size() && CRYPTO_memcmp(made, hash.data(), hash.size()) == 0;
    found = same ? Credentials::right : Credentials::wrong;
  }
  OPENSSL_cleanse(data.get(), sizeof(crypt_data));
  return found;
}

}  // namespace

Result<std::shared_ptr<const Users>> Users::load(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(errc::no_such_file_or_directory, path + ": cannot be read");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad()) return fail(errc::io_error, path + ": cannot be read");
  return parse(text, path);
}

Result<std::shared_ptr<const Users>> Users::parse(std::string_view text, const std::string& path) {
  std::shared_ptr<Users> users(new Users);
  std::size_t number = 0;
  for (std::string_view line : split(text, '\n')) {
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with('#')) continue;
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) return complaint(path, number, "allowed: name:hash");
    const std::string name(line.substr(0, colon)), hash(line.substr(colon + 1));
    if (name.size() > 255 || name != to_one_line(name, 1000) || trim(name) != name)
      return complaint(path, number, "this is no name; allowed: 1 to 255 printable octets, no blanks around them");
    if (const auto why = complaint_about(hash); !why.empty()) {
      std::string what = "user '" + name + "': ";
      what += why;
      what += "; allowed: name:hash, the hash as mkpasswd(1) makes it with yescrypt, sha512crypt or bcrypt";
      return complaint(path, number, what);
    }
    if (!users->hashes_.emplace(name, hash).second)
      return complaint(path, number, "user '" + name + "' is there twice");
    users->decoys_.push_back(hash);
  }
  if (users->decoys_.empty()) users->decoys_.emplace_back(nobody);
  return std::shared_ptr<const Users>(std::move(users));
}

Credentials Users::check(std::string_view name, const std::string& password) const {
  // What crypt(3) does not see cannot be part of a password: "right\0anything" is not "right".
  const bool cut = password.find('\0') != std::string::npos;
  const auto found = hashes_.find(name);
  if (found != hashes_.end() && !cut) return compare(password, found->second);
  const Credentials verdict = compare(password, decoys_[std::hash<std::string_view>{}(name) % decoys_.size()]);
  return verdict == Credentials::right ? Credentials::wrong : verdict;
}

}  // namespace hoplock::listener
