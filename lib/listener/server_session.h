// SPDX-License-Identifier: Apache-2.0
// One client's session from banner to end: reads octets, lets smtp::LineBuffer, Session and the decoders make sense of them, streams
// message content into a queue::Writer, and says 250 only after the commit (SUB-29). The I/O half of smtp::Session.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "base/log.h"
#include "listener/bounces.h"
#include "listener/logins.h"
#include "listener/passwords.h"
#include "listener/places.h"
#include "listener/profile.h"
#include "listener/refusals.h"
#include "listener/senders.h"
#include "listener/strangers.h"
#include "net/client_certificate.h"
#include "net/condition.h"
#include "net/stream.h"
#include "queue/queue.h"
#include "smtp/line_buffer.h"

namespace hoplock::listener {

// What all sessions of a server share.
struct Services {
  queue::Queue& queue;
  Log& log;
  const net::Clock& clock;
  Counts& counts;
  Passwords& passwords;
  Logins& logins;
  Senders& senders;
  Strangers& strangers;
  Refusals& refusals;
  const BounceSink& bounces;
};

class ServerSession {
 public:
  ServerSession(net::Stream stream, std::shared_ptr<const Profile> profile, Services services,
                std::shared_ptr<Places::Place> place);
  ServerSession(const ServerSession&) = delete;
  ServerSession& operator=(const ServerSession&) = delete;

  ~ServerSession();

  boost::asio::awaitable<void> run();
  // The daemon ends: between commands this session is told so at once, else when its message is through.
  void end();
  // No more waiting.
  void cut() { stream_.close(); }
  // Another client gets this one's place.
  void give_way(Places::Manner manner);

 private:
  enum class Go : bool { on, end };
  boost::asio::awaitable<Go> open();
  boost::asio::awaitable<Go> read_commands();
  boost::asio::awaitable<Go> handle_buffered();
  boost::asio::awaitable<Go> perform(smtp::Answer answer);
  boost::asio::awaitable<Go> handshake();
  boost::asio::awaitable<Go> start_tls();
  smtp::Peer look_at_certificate();
  void wait_at_most(std::chrono::milliseconds time);
  smtp::Answer overdue() const;
  boost::asio::awaitable<Go> check_login();
  boost::asio::awaitable<Go> receive_message();
  boost::asio::awaitable<Go> receive_chunk(smtp::Answer answer);
  boost::asio::awaitable<Go> send_reply(smtp::Answer answer);
  boost::asio::awaitable<Go> flush(std::chrono::milliseconds patience);
  boost::asio::awaitable<void> say_goodbye();
  class Incoming;
  void begin_message(smtp::Action framing);
  boost::asio::awaitable<Result<>> read_content();
  boost::asio::awaitable<Result<>> read_chunk();
  boost::asio::awaitable<void> store();
  boost::asio::awaitable<Go> content_lost(Error error);
  void note_progress(std::size_t octets);
  boost::asio::awaitable<smtp::EndOfData> end_message();
  smtp::Answer within_sender_limit(smtp::Answer answer);
  smtp::Answer within_strangers_limit(smtp::Answer answer);
  void log_sender_limit(Senders::Over over) const;
  smtp::Answer handle_command(smtp::LineBuffer::Event event);
  std::string received_field(const queue::Writer& writer, Time now) const;
  void log_accepted(const std::string& id) const;
  boost::asio::awaitable<void> take_bounce();
  void log_store_failed(const Error& error) const;
  void log_refused_command(const smtp::Reply& reply, std::string_view line);
  void log_failed_login(const smtp::Reply& reply, const std::string& user);
  void log_rejected(const smtp::Reply& reply, std::string from, std::string to);
  enum class Because : std::uint8_t { any, no_reason };  // of the three to relay
  void log_rejected(Event event, const smtp::Reply& reply, Because because = Because::any);
  void log_left_out();
  void add_relay_reasons(Event& event) const;
  std::string listener() const;

  net::Stream stream_;
  std::shared_ptr<const Profile> profile_;
  Services services_;
  queue::Queue& queue_ = services_.queue;
  Log& log_ = services_.log;
  Counts& counts_ = services_.counts;
  smtp::Session session_;
  smtp::LineBuffer lines_;
  std::unique_ptr<Incoming> incoming_;         // while session_.is_receiving()
  std::unique_ptr<Senders::Message> counted_;  // of the transaction under way, where its sender has a limit
  std::string out_;                            // replies that wait to be written in one go (RFC 2920 section 3.2)
  std::uint64_t commands_ = 0;                 // answered so far
  bool waiting_ = false;                       // for a command
  net::Condition held_back_;                   // a wrong login waits for its answer
  bool ending_ = false;
  bool giving_way_ = false;
  std::shared_ptr<Places::Place> place_;
  std::size_t content_octets_ = 0;                          // since it last got on
  std::unique_ptr<net::PresentedCertificate> certificate_;  // where one could let it relay
  unsigned lines_told_ = 0;                                 // about its refusals
  std::int64_t left_out_ = 0;                               // refusals beyond them
};

}  // namespace hoplock::listener
