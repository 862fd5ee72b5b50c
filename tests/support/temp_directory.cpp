// SPDX-License-Identifier: Apache-2.0
#include "tests/support/temp_directory.h"

#include <cstdlib>
#include <fstream>
#include <stdexcept>

namespace hoplock::support {

TempDirectory::TempDirectory() : path_(std::filesystem::temp_directory_path() / "hoplock-test-XXXXXX") {
  std::string made(path_.native());
  if (mkdtemp(made.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  path_ = made;
}

TempDirectory::~TempDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempDirectory::write(const std::string& name, const std::string& content) const {
  std::ofstream(file(name)) << content;
  return file(name);
}

}  // namespace hoplock::support
