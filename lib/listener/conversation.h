// One client's session from banner to end: reads octets, lets smtp::LineBuffer, Session and the decoders make sense of them, streams
// message content into a queue::Writer, and says 250 only after the commit (SUB-29). The I/O half of smtp::Session.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "base/log.h"
#include "listener/options.h"
#include "listener/passwords.h"
#include "listener/server.h"
#include "net/signal.h"
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
  smtp::Mailbox report_sender;
  std::shared_ptr<const net::ServerTls> tls;  // null: none
  std::shared_ptr<const Users> users;         // null: no logins
};

// What all sessions of a server share.
struct Services {
  queue::Queue& queue;
  Log& log;
  Counts& counts;
  Passwords& passwords;
  FailedLogins& failed_logins;
};

class Conversation {
 public:
  Conversation(net::Stream stream, std::shared_ptr<const Profile> profile, Services services);
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  ~Conversation();

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
  boost::asio::awaitable<Go> act(smtp::Answer answer);
  boost::asio::awaitable<Go> handshake();
  boost::asio::awaitable<Go> start_tls();
  smtp::Peer peer() const;
  boost::asio::awaitable<Go> check_login();
  boost::asio::awaitable<Go> receive_message();
  boost::asio::awaitable<Go> take_chunk(smtp::Answer answer);
  boost::asio::awaitable<Go> take(smtp::Answer answer);
  boost::asio::awaitable<Go> flush(std::chrono::milliseconds patience);
  boost::asio::awaitable<void> say_goodbye();
  class Incoming;
  void begin_message(smtp::Action framing);
  boost::asio::awaitable<Result<>> read_content();
  boost::asio::awaitable<Result<>> read_chunk();
  boost::asio::awaitable<void> store();
  boost::asio::awaitable<Go> content_lost(Error error);
  boost::asio::awaitable<smtp::EndOfData> end_message();
  smtp::Answer answer_event(smtp::LineBuffer::Event event);
  std::string received_field(const queue::Writer& writer, Time now) const;
  void log_accepted(const std::string& id) const;
  void log_discarded() const;
  void log_store_failed(const Error& error) const;
  void log_refused_command(const smtp::Reply& reply, std::string_view line);
  void log_failed_login(const smtp::Reply& reply, const std::string& user);
  void log_rejected(const smtp::Reply& reply, std::string from, std::string to);

  net::Stream stream_;
  std::shared_ptr<const Profile> profile_;
  Services services_;
  queue::Queue& queue_ = services_.queue;
  Log& log_ = services_.log;
  Counts& counts_ = services_.counts;
  smtp::Session session_;
  smtp::LineBuffer lines_;
  std::unique_ptr<Incoming> incoming_;  // while session_.is_receiving()
  std::string out_;                     // replies that wait to be written in one go (RFC 2920 section 3.2)
  std::uint64_t commands_ = 0;          // answered so far
  bool waiting_ = false;                // for a command
  net::Signal held_back_;               // a wrong login waits for its answer
  bool ending_ = false;
};

}  // namespace hoplock::listener
