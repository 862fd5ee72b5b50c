// SPDX-License-Identifier: Apache-2.0
#include "delivery/fitting.h"

#include <utility>

#include "base/utf8.h"
#include "dsn/plain.h"

namespace hoplock::delivery {

namespace {

constexpr std::string_view seven_bit_only = "the host takes 7-bit mail only";
constexpr std::size_t most_of_notice = 8U << 20U;  // what comes before a returned message is far shorter

Lack lack_of(message::Obstacle obstacle) {
  Lack lack{{5, 6, 3}, std::string(seven_bit_only)};
  lack.text += ", and the message cannot be converted: ";
  switch (obstacle) {
    case message::Obstacle::header:
      lack.text += "its header is not of 7-bit lines";
      break;
    case message::Obstacle::sealed:
      lack.text += "it is signed or encrypted";
      break;
    case message::Obstacle::structure:
    case message::Obstacle::none:
      lack.text += "its MIME structure does not allow it";
      break;
  }
  return lack;
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

Form form_for(const store::Envelope& envelope, const smtp::Capabilities& peer) {
  if (envelope.kind == store::Kind::notice && envelope.smtputf8 && !peer.smtputf8) return Form::plain;
  switch (envelope.body) {
    case store::Body::seven_bit:
      return Form::as_it_is;
    case store::Body::eight_bit:
      return peer.eight_bit_mime ? Form::as_it_is : Form::seven_bit;
    case store::Body::binary:
      break;
  }
  return peer.binary_mime && peer.chunking ? Form::binary : Form::seven_bit;
}

bool needs_smtputf8(const store::Envelope& envelope, std::string_view recipient) {
  const bool utf8 = envelope.smtputf8 && envelope.kind != store::Kind::notice;
  return utf8 || !is_ascii(envelope.sender) || !is_ascii(recipient);
}

Lack lacks_smtputf8() { return {{5, 6, 7}, "the host does not offer SMTPUTF8, which an address or the header needs"}; }

Lack seen_at(const smtp::Capabilities& peer, Lack lack) {
  if (peer.eight_bit_mime && lack.text.starts_with(seven_bit_only))
    lack.text.replace(0, seven_bit_only.size(),
                      "the host does not offer BINARYMIME, which the message as it was handed in needs");
  return lack;
}

asio::awaitable<Result<std::variant<Content, Lack>>> to_seven_bit(Content content) {
  using Made = std::variant<Content, Lack>;
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
    Lack lack = lack_of(survey.plan().obstacle);
    lack.eight_bit_would_do = survey.plan().lines;
    Made refused = std::move(lack);
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

asio::awaitable<Result<Content>> to_plain_notice(Content content) {
  std::string notice;
  for (std::uint32_t n = 0; n < content.pieces() && notice.size() < most_of_notice; ++n) {
    const auto piece = co_await content.piece(n);
    if (!piece) co_return piece.error();
    notice += **piece;
  }
  Content made;
  made.whole = std::make_shared<const std::string>(dsn::to_plain(notice));
  co_return made;
}

}  // namespace hoplock::delivery
