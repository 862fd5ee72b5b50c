// One client's session from banner to end: reads octets, lets smtp::LineBuffer, Session and DataDecoder make sense of them, streams
// message content into a queue::Writer, and says 250 only after the commit (SUB-29). The I/O half of smtp::Session.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "base/log.h"
#include "listener/options.h"
#include "listener/server.h"
#include "net/stream.h"
#include "net/tls_server.h"
#include "queue/queue.h"
#include "smtp/line_buffer.h"

namespace hoplock::listener {

// What all sessions of one listener share; never changes, a reload makes a new one.
struct Profile {
  Address address;
  Limits limits;
  dns::Name hostname;
  smtp::Mailbox postmaster;
  std::shared_ptr<const net::ServerTls> tls;  // null: none
};

class Conversation {
 public:
  Conversation(net::Stream stream, std::shared_ptr<const Profile> profile, queue::Queue& queue, Log& log,
               Counts& counts);
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  boost::asio::awaitable<void> run();
  // The daemon ends: between commands this session is told so at once, else when its message is through.
  void end();
  // No more waiting.
  void cut() { stream_.close(); }

 private:
  enum class Go : bool { on, end };
  boost::asio::awaitable<Go> open();
  boost::asio::awaitable<Go> read_commands();
  boost::asio::awaitable<Go> obey_buffered();
  boost::asio::awaitable<Go> act(smtp::Action action);
  boost::asio::awaitable<Go> handshake();
  boost::asio::awaitable<Go> start_tls();
  boost::asio::awaitable<Go> receive_message();
  boost::asio::awaitable<Go> take(smtp::Answer answer);
  boost::asio::awaitable<Go> flush(std::chrono::milliseconds patience);
  boost::asio::awaitable<void> say_goodbye();
  struct Incoming;
  boost::asio::awaitable<Result<>> read_content(Incoming& incoming);
  boost::asio::awaitable<void> store(Incoming& incoming);
  boost::asio::awaitable<smtp::EndOfData> finish(Incoming& incoming);
  smtp::Answer answer_event(smtp::LineBuffer::Event event);
  std::string received_field(const queue::Writer& writer, Time now) const;
  void log_accepted(const Incoming& incoming, const std::string& id) const;
  void log_store_failed(const Error& error) const;
  void log_refused_command(const smtp::Reply& reply, std::string_view line);
  void log_rejected(const smtp::Reply& reply, std::string from, std::string to);

  net::Stream stream_;
  std::shared_ptr<const Profile> profile_;
  queue::Queue& queue_;
  Log& log_;
  Counts& counts_;
  smtp::Session session_;
  smtp::LineBuffer lines_;
  std::string out_;             // replies that wait to be written in one go (RFC 2920 section 3.2)
  std::uint64_t commands_ = 0;  // answered so far
  bool waiting_ = false;        // for a command
  bool ending_ = false;
};

}  // namespace hoplock::listener
