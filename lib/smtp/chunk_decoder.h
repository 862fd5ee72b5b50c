// SPDX-License-Identifier: Apache-2.0
// Message content as BDAT carries it (RFC 3030): octets as they are, no dots, no terminator. What makes content unfit
// is the same as for DATA, because it may leave through DATA at the next hop (SUB-08). Keeps nothing of the content
// itself.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "smtp/data_decoder.h"

namespace hoplock::smtp {

class ChunkDecoder {
 public:
  ChunkDecoder(BareNewline mode, std::uint64_t size_limit) : mode_(mode), limit_(size_limit) {}

  // Appends the content to `out`; once it is unfit, nothing more. A CR at the end waits for what follows it.
  void feed(std::string_view octets, std::string& out);
  // The last chunk is through.
  void finish(std::string& out);

  Content content() const;
  std::uint64_t size() const { return size_; }  // octets of content; normalized line ends count as two
  std::uint64_t lone_newlines() const { return lone_newlines_; }

 private:
  void put(std::string_view part, std::string& out);
  void lone_newline(std::string& out);

  BareNewline mode_;
  std::uint64_t limit_;
  bool cr_ = false;  // the last octet was a CR that is not yet put
  bool nul_ = false;
  std::uint64_t size_ = 0;
  std::uint64_t lone_newlines_ = 0;
};

}  // namespace hoplock::smtp
