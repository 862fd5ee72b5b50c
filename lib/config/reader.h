// SPDX-License-Identifier: Apache-2.0
// hoplock.yaml as text into a Config: every unknown key, wrong type and bad value is a complaint with its place and
// with what is allowed instead; a bad file yields all its complaints at once. Reads no other file (check.h does that).
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace hoplock::config {

struct Place {
  int line = 0;  // from 1; 0: the key is not in the file
  int column = 0;
};

struct Loaded {
  Config config;
  std::string file;                     // as named in complaints; "(defaults)" without a file
  std::vector<std::string> errors;      // "FILE:LINE:COL: what is wrong, and what is allowed"
  std::vector<std::string> warnings;    // "FILE:LINE: …"
  std::map<std::string, Place> places;  // "listeners[0].key" -> where its value stands

  // "FILE:LINE:COL" of a key, else of its nearest enclosing section, at last of the whole; FILE alone for what is no file.
  std::string where(std::string_view path) const;
  void complain(std::string_view path, std::string_view text);
  void warn(std::string_view path, std::string_view text);
};

// `directory` is what relative paths are relative to; empty leaves them as they are.
Loaded read_text(const std::string& text, const std::string& file, const std::string& directory);
// The embedded defaults.
Loaded defaults();

}  // namespace hoplock::config
