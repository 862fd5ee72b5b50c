// SPDX-License-Identifier: Apache-2.0
// Notices as messages: made from the beginning of what they are about, which was read before; the rest of it is copied inside the database.
// For this module's mail_*.cpp.
#pragma once
#include <memory>
#include <vector>

#include "postgres/batch.h"
#include "store_postgres/mail_write.h"

namespace hoplock::store_postgres {

struct MadeNotice {
  const RoutedNotice* routed = nullptr;
  std::shared_ptr<Draft> draft;
  std::optional<std::string> head;  // chunk 0, where all chunks of the other message go between
};

postgres::Statement about_notices(const std::vector<RoutedNotice>& notices);
// Of those that are about a message which is still there.
std::vector<MadeNotice> make_notices(const std::vector<RoutedNotice>& notices, const postgres::Rows& about, Time now);

Adding adding_of(const std::vector<MadeNotice>& notices, Recording recording);
void add_copies(postgres::Batch& batch, const std::vector<MadeNotice>& notices);
// In the history of the messages that they are about.
void record_notices(postgres::Batch& batch, const std::vector<MadeNotice>& notices, Time now);

}  // namespace hoplock::store_postgres
