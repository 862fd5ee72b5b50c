// SPDX-License-Identifier: Apache-2.0
// An address: what parses prints to something that parses to the same, on one line, and never with another domain.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "smtp/mailbox.h"

using namespace hoplock::smtp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = Mailbox::parse(text);
  const auto* mailbox = std::get_if<Mailbox>(&parsed);
  if (mailbox == nullptr) {
    if (std::get<BadMailbox>(parsed).why.find_first_of("\r\n") != std::string::npos) std::abort();
    return 0;
  }
  for (const char c : mailbox->text()) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) std::abort();
  }
  const auto again = Mailbox::parse(mailbox->text());
  const auto* same = std::get_if<Mailbox>(&again);
  if (same == nullptr || *same != *mailbox || same->domain() != mailbox->domain() || same->local() != mailbox->local())
    std::abort();
  if (!mailbox->is_null() && !mailbox->is_bare_postmaster()) {
    if (std::string(mailbox->local()) + "@" + std::string(mailbox->domain_text()) != mailbox->text()) std::abort();
    if (!mailbox->is_literal() && mailbox->domain_text() != mailbox->domain().text()) std::abort();
    if (text.find(mailbox->local()) == std::string_view::npos) std::abort();
  }
  return 0;
}
