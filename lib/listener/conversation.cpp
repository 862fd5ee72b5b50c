#include "listener/conversation.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "message/header_scan.h"
#include "message/received.h"
#include "smtp/command.h"
#include "smtp/data_decoder.h"

namespace hoplock::listener {

namespace asio = boost::asio;

namespace {

constexpr std::size_t command_octets = 4096;   // of one read between commands
constexpr std::size_t content_octets = 16384;  // of one read of message content
constexpr std::size_t kept_replies = 1024;     // of room for replies that an idle session keeps
constexpr std::chrono::milliseconds handshake_time{60000};
constexpr std::chrono::milliseconds goodbye_time{5000};
// What the queue can hold of one message, our own Received field aside.
constexpr std::uint64_t most_octets = (queue::max_chunks - 2) * std::uint64_t{queue::chunk_bytes};

Time now() { return std::chrono::time_point_cast<Milliseconds>(std::chrono::system_clock::now()); }

std::uint64_t most_octets_of(const Profile& profile) { return std::min(profile.limits.message_size, most_octets); }

smtp::SessionOptions session_options(const Profile& profile) {
  smtp::SessionOptions options;
  options.hostname = profile.hostname.text();
  options.postmaster = profile.postmaster;
  options.tls = profile.address.tls;
  options.senders = profile.address.senders;
  options.message_size = most_octets_of(profile);
  options.recipients = std::min<std::size_t>(profile.limits.recipients, queue::max_recipients);
  options.messages = profile.limits.messages_per_connection;
  options.received_headers = profile.limits.received_headers;
  return options;
}

smtp::Relay may_relay(const Profile& profile, const Ip& client) {
  for (const auto& network : profile.address.allow) {
    if (network.contains(client)) return smtp::Relay::allowed;
  }
  return smtp::Relay::refused;
}

queue::Envelope to_queue(const smtp::Envelope& envelope, const Ip& client) {
  queue::Envelope stored;
  stored.sender = envelope.sender.text();
  stored.body = envelope.body == smtp::Body::eight_bit_mime ? queue::Body::eight_bit : queue::Body::seven_bit;
  stored.client = client.text();
  return stored;
}

std::vector<queue::NewRecipient> to_queue(const std::vector<smtp::Recipient>& recipients) {
  std::vector<queue::NewRecipient> stored;
  stored.reserve(recipients.size());
  for (const auto& one : recipients) {
    queue::NewRecipient recipient;
    recipient.address = one.mailbox.text();
    recipient.domain = one.mailbox.domain();
    stored.push_back(std::move(recipient));
  }
  return stored;
}

}  // namespace

// One message on its way in.
struct Conversation::Incoming {
  Incoming(const Profile& profile, queue::Writer into)
      : decoder(profile.address.bare_newline, most_octets_of(profile)),
        scan(profile.hostname.text()),
        writer(std::move(into)) {}

  // Decodes what belongs to the content and says how much that was. Content that is unfit is not kept.
  std::size_t feed(std::string_view octets) {
    const std::size_t before = content.size();
    // Larger than one read: room for a whole chunk at once instead of by doubling.
    if (before > content_octets) content.reserve(queue::chunk_bytes + content_octets);
    const std::size_t used = decoder.feed(octets, content);
    scan.feed(std::string_view(content).substr(before));
    if (decoder.content() != smtp::Content::good) writer.reset();
    if (!writer) std::string().swap(content);
    return used;
  }

  smtp::DataDecoder decoder;
  message::HeaderScan scan;
  std::optional<queue::Writer>
      writer;           // gone once the message is unfit or cannot be stored: it is only read to its end
  std::string content;  // decoded, not yet with the writer
};

Conversation::Conversation(net::Stream stream, std::shared_ptr<const Profile> profile, queue::Queue& queue, Log& log,
                           Counts& counts)
    : stream_(std::move(stream)),
      profile_(std::move(profile)),
      queue_(queue),
      log_(log),
      counts_(counts),
      session_(session_options(*profile_), may_relay(*profile_, stream_.peer().ip),
               profile_->address.tls == smtp::TlsMode::implicit ? smtp::Channel::tls : smtp::Channel::clear) {}

// GCC 12 skips the body of a coroutine that awaits in a condition (if, while, for, switch) and has no variable of its own: here
// and in all coroutines below what an await gave is named first.
asio::awaitable<void> Conversation::run() {
  Go go = co_await open();
  while (go == Go::on) go = co_await read_commands();
  co_await say_goodbye();
}

void Conversation::end() {
  ending_ = true;
  if (waiting_) stream_.expires_at(std::chrono::steady_clock::now());
}

asio::awaitable<Conversation::Go> Conversation::open() {
  if (profile_->address.tls == smtp::TlsMode::implicit) {
    const Go secured = co_await handshake();
    if (secured == Go::end) co_return Go::end;
  }
  const auto client = stream_.has_unread_input() ? smtp::Session::Client::spoke : smtp::Session::Client::silent;
  const smtp::Answer answer = ending_ ? session_.shutting_down() : session_.greet(client);
  co_return co_await take(answer);
}

asio::awaitable<Conversation::Go> Conversation::handshake() {
  stream_.expires_after(std::min(handshake_time, profile_->limits.command_timeout));
  const auto started = co_await net::accept_tls(stream_, profile_->tls);
  if (started) co_return Go::on;
  Event event(Level::info, "tls-failed");
  event.add("client", stream_.peer().ip.text()).add("error", started.error().detail);
  log_.write(event);
  co_return Go::end;
}

// Reads until at least one whole command was answered.
asio::awaitable<Conversation::Go> Conversation::read_commands() {
  std::array<char, command_octets> buffer;  // NOLINT: uninitialized on purpose, read_some fills it
  stream_.expires_after(profile_->limits.command_timeout);
  for (const std::uint64_t before = commands_; commands_ == before;) {
    if (ending_) {
      const smtp::Answer answer = session_.shutting_down();
      co_return co_await take(answer);
    }
    waiting_ = true;
    const auto got = co_await stream_.read_some(buffer);
    waiting_ = false;
    if (!got) {
      if (got.error().code != errc::timed_out) co_return Go::end;
      const smtp::Answer answer = ending_ ? session_.shutting_down() : session_.timed_out();
      co_return co_await take(answer);
    }
    lines_.append({buffer.data(), *got});
    const Go obeyed = co_await obey_buffered();
    if (obeyed == Go::end) co_return Go::end;
  }
  co_return co_await flush(profile_->limits.command_timeout);
}

// Every whole command that has arrived, its replies gathered (SUB-16).
asio::awaitable<Conversation::Go> Conversation::obey_buffered() {
  while (!ending_) {
    const auto event = lines_.next();
    if (event == smtp::LineBuffer::Event::none) break;
    ++commands_;
    const smtp::Answer answer = answer_event(event);
    if (answer.reply.code >= 400) log_refused_command(answer.reply, lines_.line());
    out_ += answer.reply.to_wire();
    if (answer.action == smtp::Action::none) continue;
    const Go acted = co_await act(answer.action);
    if (acted == Go::end) co_return Go::end;
  }
  co_return Go::on;
}

smtp::Answer Conversation::answer_event(smtp::LineBuffer::Event event) {
  if (event == smtp::LineBuffer::Event::too_long) return session_.line_too_long();
  if (event == smtp::LineBuffer::Event::bare_newline) return session_.bare_newline();
  smtp::Facts facts;
  facts.room = queue_.room();
  facts.tls = profile_->tls ? smtp::Facts::Tls::ready : smtp::Facts::Tls::unavailable;
  smtp::Answer answer = session_.take(lines_.line(), facts);
  // RFC 3207 section 4, SUB-10: octets behind STARTTLS are an injection; the session says so instead of 220 and ends.
  if (answer.action == smtp::Action::start_tls && (!lines_.rest().empty() || stream_.has_unread_input())) {
    answer = session_.octets_after_starttls();
  }
  return answer;
}

asio::awaitable<Conversation::Go> Conversation::act(smtp::Action action) {
  const Go flushed = co_await flush(profile_->limits.command_timeout);
  if (flushed == Go::end) co_return Go::end;
  switch (action) {
    case smtp::Action::none:
      co_return Go::on;
    case smtp::Action::start_tls:
      co_return co_await start_tls();
    case smtp::Action::receive_data:
      co_return co_await receive_message();
    case smtp::Action::close:
      break;
  }
  co_return Go::end;
}

// A reply of ours that no buffered command asked for.
asio::awaitable<Conversation::Go> Conversation::take(smtp::Answer answer) {
  if (answer.reply.code >= 400 && !ending_) log_rejected(answer.reply, {}, {});
  out_ += answer.reply.to_wire();
  const bool last = answer.action == smtp::Action::close;
  const Go written = co_await flush(last ? goodbye_time : profile_->limits.command_timeout);
  co_return last ? Go::end : written;
}

// A client that pipelines and does not read is waited for: nothing more is read from it until then.
asio::awaitable<Conversation::Go> Conversation::flush(std::chrono::milliseconds patience) {
  if (out_.empty()) co_return Go::on;
  stream_.expires_after(patience);
  const auto written = co_await stream_.write(out_);
  out_.clear();
  if (out_.capacity() > kept_replies) out_.shrink_to_fit();
  co_return written ? Go::on : Go::end;
}

asio::awaitable<Conversation::Go> Conversation::start_tls() {
  const Go secured = co_await handshake();
  if (secured == Go::end) co_return Go::end;
  lines_.clear();
  session_.tls_started();
  co_return Go::on;
}

asio::awaitable<Conversation::Go> Conversation::receive_message() {
  const Time received = now();
  Incoming incoming(*profile_, queue_.begin(received));
  incoming.content = received_field(*incoming.writer, received);
  const auto read = co_await read_content(incoming);
  if (!read) {
    if (read.error().code != errc::timed_out) co_return Go::end;
    const smtp::Answer late = session_.timed_out();
    co_return co_await take(late);
  }
  const smtp::EndOfData end = co_await finish(incoming);
  const std::string sender(session_.envelope().sender.display());
  const smtp::Answer answer = session_.end_of_data(end);
  if (answer.reply.code >= 400) log_rejected(answer.reply, sender, {});
  out_ += answer.reply.to_wire();
  co_return Go::on;
}

// Content up to its end; what came behind it goes back to `lines_`.
asio::awaitable<Result<>> Conversation::read_content(Incoming& incoming) {
  lines_.consume(incoming.feed(lines_.rest()));
  std::unique_ptr<char[]> buffer;
  while (!incoming.decoder.finished()) {
    if (incoming.content.size() >= queue::chunk_bytes) co_await store(incoming);
    if (!buffer) buffer = std::make_unique_for_overwrite<char[]>(content_octets);
    stream_.expires_after(profile_->limits.data_timeout);
    const auto got = co_await stream_.read_some({buffer.get(), content_octets});
    if (!got) co_return got.error();
    const std::string_view octets(buffer.get(), *got);
    const std::size_t used = incoming.feed(octets);
    if (used < octets.size()) lines_.append(octets.substr(used));
  }
  incoming.scan.finish();
  co_return Result<>{};
}

// Hands what has come so far to the disk.
asio::awaitable<void> Conversation::store(Incoming& incoming) {
  std::string octets = std::exchange(incoming.content, {});
  const auto written = co_await incoming.writer->write(std::move(octets));
  if (written) co_return;
  log_store_failed(written.error());
  incoming.writer.reset();
}

asio::awaitable<smtp::EndOfData> Conversation::finish(Incoming& incoming) {
  smtp::EndOfData end;
  end.content = session_.judge(incoming.decoder, incoming.scan.facts());
  if (end.content != smtp::Content::good) co_return end;
  end.stored = smtp::EndOfData::Stored::full;
  if (!incoming.writer || !queue_.accepting()) co_return end;
  if (!incoming.content.empty()) co_await store(incoming);
  if (!incoming.writer) co_return end;
  queue::Envelope envelope = to_queue(session_.envelope(), stream_.peer().ip);
  // what a client did not declare is known from the content: it leaves with BODY=8BITMIME (RFC 6152)
  if (incoming.scan.facts().eight_bit) envelope.body = queue::Body::eight_bit;
  std::vector<queue::NewRecipient> recipients = to_queue(session_.envelope().recipients);
  const auto committed = co_await incoming.writer->commit(std::move(envelope), std::move(recipients));
  if (!committed) {
    log_store_failed(committed.error());
    co_return end;
  }
  end.stored = smtp::EndOfData::Stored::stored;
  end.id = committed->text();
  log_accepted(incoming, end.id);
  co_return end;
}

asio::awaitable<void> Conversation::say_goodbye() {
  if (!stream_.is_open()) co_return;
  co_await flush(goodbye_time);
  stream_.expires_after(goodbye_time);
  co_await stream_.shutdown();
}

std::string Conversation::received_field(const queue::Writer& writer, Time time) const {
  const auto tls = stream_.tls();
  const std::string id = writer.id().text();
  message::Received received;
  received.helo = session_.helo();
  received.client = stream_.peer().ip;
  received.by = profile_->hostname.text();
  received.with = session_.protocol();
  received.id = id;
  if (tls) {
    received.tls_version = tls->version;
    received.tls_cipher = tls->cipher;
  }
  const auto& recipients = session_.envelope().recipients;
  if (recipients.size() == 1) received.for_address = recipients.front().mailbox.text();
  received.date = time;
  return message::to_field(received);
}

void Conversation::log_accepted(const Incoming& incoming, const std::string& id) const {
  ++counts_.accepted;
  if (!log_.enabled(Level::info)) return;
  const auto tls = stream_.tls();
  Event event(Level::info, "accepted");
  event.add("id", id).add("from", std::string(session_.envelope().sender.display()));
  event.add("nrcpt", static_cast<std::int64_t>(session_.envelope().recipients.size()));
  event.add("size", static_cast<std::int64_t>(incoming.decoder.size()))
      .add("client", stream_.peer().ip.text())
      .add("helo", session_.helo());
  event.add("tls", tls ? tls->version : "none").add("msgid", incoming.scan.facts().message_id);
  if (incoming.decoder.lone_newlines() > 0)
    event.add("normalized", static_cast<std::int64_t>(incoming.decoder.lone_newlines()));
  log_.write(event);
}

void Conversation::log_store_failed(const Error& error) const {
  Event event(Level::error, "store-failed");
  event.add("client", stream_.peer().ip.text()).add("error", error.detail);
  log_.write(event);
}

void Conversation::log_refused_command(const smtp::Reply& reply, std::string_view line) {
  const smtp::Command command = smtp::parse_command(line);
  const std::string path(command.path);
  switch (command.verb) {
    case smtp::Verb::mail:
      // only `<>` is the empty sender; a line that names none at all says nothing of it
      return log_rejected(reply, path.empty() && command.well_formed ? "<>" : path, {});
    case smtp::Verb::rcpt:
      return log_rejected(reply, reply.code == 503 ? "" : std::string(session_.envelope().sender.display()), path);
    default:
      return log_rejected(reply, {}, {});
  }
}

void Conversation::log_rejected(const smtp::Reply& reply, std::string from, std::string to) {
  ++counts_.rejected;
  if (!log_.enabled(Level::info)) return;
  Event event(Level::info, "rejected");
  event.add("client", stream_.peer().ip.text()).add("from", std::move(from)).add("to", std::move(to));
  event.add("code", std::int64_t{reply.code}).add("reply", reply.one_line());
  log_.write(event);
}

}  // namespace hoplock::listener
