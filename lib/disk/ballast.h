// SPDX-License-Identifier: Apache-2.0
// A file that takes up space for nothing, to be given back when the disk is full: deliveries, drops, an operator's orders and a start
// write too, and have room even where somebody else filled the disk (DUR-04). A part of it stays for the next start. Taken again once
// there is room. A file system that reserves nothing has none.
#pragma once
#include <cstdint>
#include <filesystem>

#include "base/result.h"

namespace hoplock::disk {

class Ballast {
 public:
  // At most `most` octets, less on a small file system; 0: none.
  Ballast(const std::filesystem::path& directory, std::uint64_t most);
  // Takes what fits: closing the database makes room, and the next start needs it.
  ~Ballast();
  Ballast(Ballast&& other) noexcept;
  Ballast& operator=(Ballast&&) = delete;

  enum class Part : std::uint8_t { most, all };
  // False: there is nothing to give.
  bool give(Part part);
  // Where the file system has names (inodes) for no more files, its own as well: a start makes some.
  void give_name();
  // Takes it again where that leaves as much free. True: it is whole now, and was not.
  bool take(std::uint64_t free);

  std::uint64_t octets() const { return octets_; }  // when it is whole
  std::uint64_t missing() const { return octets_ - here_; }

 private:
  bool resize(std::uint64_t octets);
  std::filesystem::path file_;
  std::uint64_t octets_ = 0;
  std::uint64_t here_ = 0;
};

// What may be written there. Error: the file system does not say.
Result<std::uint64_t> free_in(const std::filesystem::path& directory);
// Whether that many more files can be made there, as far as the file system says.
bool has_names_left(const std::filesystem::path& directory, std::uint64_t count = 1);

}  // namespace hoplock::disk
