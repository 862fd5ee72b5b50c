// SPDX-License-Identifier: Apache-2.0
// The TLSRPT record and its URIs: nothing that comes out could surprise SMTP or HTTP, and it is read again as the same.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "tlsrpt/record.h"
#include "tlsrpt/uri.h"

using namespace hoplock::tlsrpt;

namespace {
bool is_plain(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f; });
}

void check(const Destination& destination) {
  const std::string text = to_text(destination);
  if (text.size() > 4096 || !is_plain(text)) std::abort();
  if (const auto* https = std::get_if<HttpsDestination>(&destination)) {
    if (https->port == 0 || !https->target.starts_with('/') || https->target.find_first_of(" #") != std::string::npos)
      std::abort();
    const auto again = parse_destination(text);
    if (!again || *again != destination) std::abort();
  } else {
    const auto& mail = std::get<MailDestination>(destination);
    if (mail.local.empty() || mail.local.size() > 64 || mail.domain.is_root()) std::abort();
  }
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (const auto one = parse_destination(text)) check(*one);
  const auto record = parse_record(text);
  if (record) {
    if (record->rua.size() > Record::most_destinations) std::abort();
    for (const auto& one : record->rua) check(one);
    for (const auto& one : record->ignored) {
      if (one.why.empty() || one.uri.size() > 400) std::abort();
    }
  }
  const auto choice = choose_record({"v=spf1 -all", text});
  if ((choice.state == Choice::State::valid) != record.has_value()) std::abort();
  return 0;
}
