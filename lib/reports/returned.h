// SPDX-License-Identifier: Apache-2.0
// Report mails that came back (RPT-47): how they are known, and what is told of them.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"
#include "store/id.h"
#include "store/ledger.h"

namespace hoplock::reports {

// The line about it; `mail` as the queue writes its id.
Event event_of(const store::ReturnedReport& returned, std::string_view why, std::string_view mail);
// The id of the mail in the queue, from the Message-ID of a report's mail.
std::optional<store::Id> mail_of(std::string_view message_id);
std::string message_id(store::Id mail, const dns::Name& submitter);

}  // namespace hoplock::reports
