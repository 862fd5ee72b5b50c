// SPDX-License-Identifier: Apache-2.0
#include "smtpclient/transcoding.h"

#include <memory>
#include <optional>
#include <string_view>
#include <utility>

namespace hoplock::smtpclient {

namespace {

constexpr std::string_view seven_bit_only = "the host takes 7-bit mail only";

MissingExtension missing_for(message::Obstacle obstacle) {
  MissingExtension missing{{5, 6, 3}, std::string(seven_bit_only)};
  missing.text += ", and the message cannot be converted: ";
  switch (obstacle) {
    case message::Obstacle::header:
      missing.text += "its header is not of 7-bit lines";
      break;
    case message::Obstacle::sealed:
      missing.text += "it is signed or encrypted";
      break;
    case message::Obstacle::structure:
    case message::Obstacle::none:
      missing.text += "its MIME structure does not allow it";
      break;
  }
  return missing;
}

// One conversion; begun anew whenever the first piece is asked for.
struct Converting {
  Content from;
  message::SevenBitPlan plan;
  std::optional<message::SevenBit> converter;
};

asio::awaitable<Result<std::string>> read_converted(std::shared_ptr<Converting> state, std::uint32_t n) {
  if (n == 0) state->converter.emplace(state->plan);
  auto piece = co_await state->from.read(n);
  if (!piece) co_return piece.error();
  std::string out;
  state->converter->feed(*piece, out);
  if (n + 1 == state->from.chunks) state->converter->finish(out);
  co_return out;
}

}  // namespace

MissingExtension missing_smtputf8() {
  return {{5, 6, 7}, "the host does not offer SMTPUTF8, which an address or the header needs"};
}

MissingExtension seen_at(const smtp::Capabilities& peer, MissingExtension missing) {
  if (peer.eight_bit_mime && missing.text.starts_with(seven_bit_only))
    missing.text.replace(0, seven_bit_only.size(),
                         "the host does not offer BINARYMIME, which the message as it was handed in needs");
  return missing;
}

asio::awaitable<Result<std::variant<Content, MissingExtension>>> to_seven_bit(Content content) {
  using Made = std::variant<Content, MissingExtension>;
  message::SevenBit survey;
  std::string nothing;
  for (std::uint32_t n = 0; n < content.pieces(); ++n) {
    const auto piece = co_await content.piece(n);
    if (!piece) co_return piece.error();
    survey.feed(**piece, nothing);
  }
  survey.finish(nothing);
  if (!survey.plan().needed) {  // whatever the client announced: nothing is changed, so that no signature is in the way
    Made same = std::move(content);
    co_return same;
  }
  if (survey.plan().obstacle != message::Obstacle::none) {
    MissingExtension missing = missing_for(survey.plan().obstacle);
    missing.eight_bit_would_do = survey.plan().lines;
    Made refused = std::move(missing);
    co_return refused;
  }
  if (content.whole) {
    message::SevenBit converter(survey.plan());
    std::string out;
    converter.feed(*content.whole, out);
    converter.finish(out);
    content.whole = std::make_shared<const std::string>(std::move(out));
    Made made = std::move(content);
    co_return made;
  }
  auto state = std::make_shared<Converting>();
  state->plan = survey.plan();
  Content converted;
  converted.chunks = content.chunks;
  state->from = std::move(content);
  converted.read = [state](std::uint32_t n) { return read_converted(state, n); };
  Made made = std::move(converted);
  co_return made;
}

}  // namespace hoplock::smtpclient
