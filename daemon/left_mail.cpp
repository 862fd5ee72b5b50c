// SPDX-License-Identifier: Apache-2.0
#include "daemon/left_mail.h"

#include <filesystem>

#include "daemon/options.h"
#include "store_sqlite/copy.h"

namespace hoplock::daemon {

std::uint64_t left_in_file(const config::Config& config) {
  std::error_code unseen;
  const std::filesystem::path file = database_path(config);
  if (config.store.place.is_sqlite() || !std::filesystem::exists(file, unseen) || store_sqlite::moved_to(file))
    return 0;
  config::Config former = config;
  former.store.place = {};
  auto reader = readers(former)->mail();
  if (!reader) return 0;
  const auto stats = (*reader)->stats({});
  return stats ? stats->messages : 0;
}

}  // namespace hoplock::daemon
