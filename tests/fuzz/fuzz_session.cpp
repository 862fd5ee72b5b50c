// SPDX-License-Identifier: Apache-2.0
// The whole receiving session as the listener drives it, without a socket: splitter, Session, decoder, header scan. The
// first octet chooses the listener's settings, the second how the rest is cut into reads. Held throughout: one reply a
// command, no transaction without MAIL and RCPT, no reply inside data, every reply with its enhanced code, and the same
// outcome for every cut.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

#include "message/header_scan.h"
#include "smtp/chunk_decoder.h"
#include "smtp/line_buffer.h"
#include "smtp/session.h"

using namespace hoplock;
using namespace hoplock::smtp;

namespace {

void require(bool held) {
  if (!held) std::abort();
}

struct Settings {
  SessionOptions options;
  Relay relay;
  Channel channel;
  BareNewline bare_newline;
};

Settings settings(unsigned choice) {
  Settings some;
  some.options.hostname = "relay.example.net";
  some.options.postmaster = std::get<Mailbox>(Mailbox::parse("admin@ops.example"));
  some.options.tls = static_cast<TlsMode>(choice & 3U);
  some.options.message_size = 200;
  some.options.recipients = 3;
  some.options.messages = 4;
  some.options.errors = 20;
  some.options.logins = (choice & 16U) != 0 ? Logins::in_tls : Logins::none;
  some.relay = (choice & 4U) != 0 ? Relay::refused : Relay::allowed;
  some.channel = some.options.tls == TlsMode::implicit ? Channel::tls : Channel::clear;
  some.bare_newline = (choice & 8U) != 0 ? BareNewline::normalize : BareNewline::reject;
  return some;
}

class Listener {
 public:
  explicit Listener(const Settings& some)
      : mode_(some.bare_newline), limit_(some.options.message_size), session_(some.options, some.relay, some.channel) {
    answer(session_.greet(Session::Client::silent));
  }

  void read(std::string_view octets) {
    while (!octets.empty() && !closed_ && inside()) octets.remove_prefix(take(octets));
    if (closed_) return;
    lines_.append(octets);
    while (!closed_) {
      if (inside()) {
        lines_.consume(take(lines_.rest()));
        if (inside()) return;
      }
      const auto event = lines_.next();
      if (event == LineBuffer::Event::none) return;
      if (event == LineBuffer::Event::line) {
        command(lines_.line());
      } else {
        answer(event == LineBuffer::Event::too_long ? session_.line_too_long() : session_.bare_newline());
        require(event == LineBuffer::Event::too_long || closed_);
      }
    }
  }

  std::string transcript;  // all replies and all content

 private:
  void command(std::string_view line) {
    const bool had_helo = !session_.helo().empty();
    const Answer given = session_.take(line, facts_);
    require(!session_.envelope().require_tls || session_.channel() == Channel::tls);  // RTLS-02
    if (given.action == Action::receive_data) {
      require(had_helo && given.reply.code == 354 && !session_.envelope().recipients.empty());
      require(session_.envelope().recipients.size() <= 3);
      decoder_ = DataDecoder(mode_, limit_);
      scan_ = message::HeaderScan("relay.example.net");
      content_.clear();
      decoding_ = true;
    }
    if (!session_.is_receiving()) chunks_ = false;
    if (given.action == Action::receive_chunk || given.action == Action::discard_chunk) {
      begin_chunk(given);
      return;
    }
    if (given.action == Action::check_login) {
      require(session_.channel() == Channel::tls && !session_.login().user.empty() &&
              !session_.login().password.empty());
      transcript += "-- login of " + session_.login().user + "\n";
      const auto verdict = static_cast<LoginVerdict>(session_.login().password.size() % 3);
      answer(session_.end_of_login(verdict));
      require(session_.user().empty() == (verdict != LoginVerdict::right));
      return;
    }
    if (given.action == Action::start_tls) {
      require(session_.channel() == Channel::clear && given.reply.code == 220);
      answer(session_.octets_after_starttls().action == Action::close && !lines_.rest().empty()
                 ? session_.octets_after_starttls()
                 : given);
      session_.tls_started();
      require(session_.helo().empty() && session_.envelope().recipients.empty());
      transcript += "-- TLS\n";
      return;
    }
    answer(given);
  }

  bool inside() const { return decoding_ || chunk_; }
  std::size_t take(std::string_view octets) { return decoding_ ? decode(octets) : take_chunk(octets); }

  void begin_chunk(const Answer& given) {
    chunk_ = given;
    left_ = session_.chunk().octets;
    if (given.action == Action::receive_chunk) {
      require(!session_.envelope().recipients.empty() && session_.is_receiving());
      if (!chunks_) {
        binary_ = session_.envelope().body == Body::binary_mime;
        chunk_decoder_ = ChunkDecoder(binary_ ? BareNewline::keep : mode_, limit_);
        scan_ = message::HeaderScan("relay.example.net");
        content_.clear();
        chunks_ = true;
      }
    } else {
      require(given.reply.code >= 500 && !session_.is_receiving());
    }
    if (left_ == 0) end_chunk();
  }

  std::size_t take_chunk(std::string_view octets) {
    const std::size_t used = std::min<std::uint64_t>(left_, octets.size());
    if (chunks_) chunk_decoder_.feed(octets.substr(0, used), content_);
    left_ -= used;
    if (left_ == 0 && used > 0) end_chunk();
    return used;
  }

  void end_chunk() {
    Answer given = *chunk_;
    chunk_.reset();
    if (!chunks_) return answer(given);
    const bool last = session_.chunk().last;
    EndOfData end;
    if (last) chunk_decoder_.finish(content_);
    end.content = chunk_decoder_.content();
    if (last) {
      scan_.feed(content_);
      scan_.finish();
      end.content = session_.judge(end.content, scan_.facts());
      end.id = "4Xy0aB12";
    }
    if (chunk_decoder_.content() == Content::good && last) {
      if (!binary_) check_content(chunk_decoder_.size());
      transcript += content_;
    }
    given = session_.end_of_chunk(end);
    require(given.reply.is_positive() == (end.content == Content::good));
    require(session_.is_receiving() == (given.reply.is_positive() && !last));
    if (!session_.is_receiving()) chunks_ = false;
    answer(given);
  }

  void check_content(std::uint64_t size) const {
    require(content_.size() == size && content_.size() <= limit_);
    require(content_.find('\0') == std::string::npos);
    for (std::size_t i = 0; i < content_.size(); ++i) {
      if (content_[i] == '\n') require(i > 0 && content_[i - 1] == '\r');
      if (content_[i] == '\r') require(i + 1 < content_.size() && content_[i + 1] == '\n');
    }
  }

  std::size_t decode(std::string_view octets) {
    if (octets.empty()) return 0;
    const std::size_t used = decoder_.feed(octets, content_);
    require(used <= octets.size() && (used == octets.size() || decoder_.finished()));
    if (!decoder_.finished()) return used;
    decoding_ = false;
    if (decoder_.content() == Content::good) {
      check_content(decoder_.size());
      require(content_.empty() || content_.ends_with("\r\n"));
      transcript += content_;
    }
    scan_.feed(content_);
    scan_.finish();
    EndOfData end;
    end.content = session_.judge(decoder_.content(), scan_.facts());
    end.id = "4Xy0aB12";
    const Answer given = session_.end_of_data(end);
    require(given.reply.is_positive() == (end.content == Content::good));
    answer(given);
    return used;
  }

  void answer(const Answer& given) {
    const Reply& reply = given.reply;
    require(reply.code >= 211 && reply.code < 560 && (!reply.text.empty() || reply.code == 334));
    require(reply.text.find('\r') == std::string::npos);
    if (reply.status) require(reply.status->category == reply.code / 100);
    transcript += reply.to_wire();
    closed_ = given.action == Action::close;
  }

  BareNewline mode_;
  std::uint64_t limit_;
  Session session_;
  Facts facts_;
  LineBuffer lines_;
  DataDecoder decoder_{BareNewline::reject, 0};
  message::HeaderScan scan_{"relay.example.net"};
  std::string content_;
  bool decoding_ = false;
  ChunkDecoder chunk_decoder_{BareNewline::reject, 0};
  bool binary_ = false;
  bool chunks_ = false;          // a message by BDAT is on its way
  std::optional<Answer> chunk_;  // inside one: what was said to it
  std::uint64_t left_ = 0;       // of its octets
  bool closed_ = false;
};

std::string run(const Settings& some, std::string_view octets, std::size_t step) {
  Listener listener(some);
  while (!octets.empty()) {
    listener.read(octets.substr(0, step));
    octets.remove_prefix(std::min(step, octets.size()));
  }
  return listener.transcript;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const Settings some = settings(data[0]);
  const std::string_view octets(reinterpret_cast<const char*>(data) + 2, size - 2);
  const std::size_t step = data[1] % 61 + 1U;
  const std::string cut = run(some, octets, step);
  // What is buffered behind STARTTLS depends on the cut, and so does the outcome; everything else must not.
  const std::string single = run(some, octets, 1);
  if (cut.find("-- TLS") == std::string::npos && single.find("-- TLS") == std::string::npos) require(single == cut);
  return 0;
}
