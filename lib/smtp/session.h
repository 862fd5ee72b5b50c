// SPDX-License-Identifier: Apache-2.0
// The receiving end of an SMTP session (RFC 5321, 1870, 2034, 2920, 3030, 3207, 4954, 6152) as a reactive value: one event in, one
// reply and one action out. It owns the order of commands, what is refused and why, and the words of every reply. It
// reads no socket, asks no clock and stores no message: what it must know of the world comes in as Facts.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dns/name.h"
#include "message/header_scan.h"
#include "smtp/command.h"
#include "smtp/data_decoder.h"
#include "smtp/envelope.h"
#include "smtp/reply.h"

namespace hoplock::smtp {

enum class TlsMode : std::uint8_t { none, starttls, required, implicit };
enum class Channel : std::uint8_t { clear, tls };
enum class Relay : std::uint8_t { refused, allowed };  // may this client's address send to anyone (SUB-01)
enum class Logins : std::uint8_t { none, in_tls };     // is AUTH offered, which is inside TLS only (SUB-24)
// What a client's certificate said of it in the handshake. Mendable: it has one, and that could let it relay were it in order.
enum class Peer : std::uint8_t { unknown, mendable, trusted };

struct SessionOptions {
  std::string hostname;
  Mailbox postmaster;     // where <postmaster> goes (SUB-26)
  Mailbox report_sender;  // bounces of TLS reports come to it, and are thrown away (RPT-40); null: there is none
  TlsMode tls = TlsMode::starttls;
  Logins logins = Logins::none;
  std::vector<dns::Name> senders;  // sender domains that may be used, "*.contoso.com" for those below; empty: any
  std::uint64_t message_size = 50U << 20U;
  std::size_t recipients = 1000;  // of a message
  std::size_t messages = 1000;    // of a connection
  std::size_t received_headers = 50;
  std::size_t errors = 100;  // unknown or failing commands
  std::size_t failed_logins = 3;
  std::size_t undecided_logins = 10;  // that nobody could judge (454)
};

// The world at the moment of a command.
struct Facts {
  std::uint64_t room = UINT64_MAX;  // octets that storage may still take: free space less limits.min_free_space, or 0
  enum class Tls : std::uint8_t {
    ready,
    unavailable
  } tls = Tls::ready;  // unavailable: no usable certificate at the moment
  enum class Store : std::uint8_t {
    here,
    away
  } store = Store::here;  // away: nothing can be taken in, whatever room there is
};

enum class Action : std::uint8_t {
  none,          // reply, read the next command
  start_tls,     // reply, then handshake, then tls_started(); octets already buffered: see octets_after_starttls()
  receive_data,  // reply, then decode content to its end, then end_of_data(); envelope() is complete
  // The next chunk().octets octets are no commands (RFC 3030):
  receive_chunk,  // no reply yet; take them as content, then end_of_chunk(); envelope() is complete
  discard_chunk,  // pass them over, then reply
  check_login,    // no reply yet; look login() up, then end_of_login()
  close,          // reply, then close
};

struct Answer {
  Reply reply;
  Action action = Action::none;
  enum class Took : std::uint8_t { nothing, sender, recipient } took = Took::nothing;
};

struct Login {
  std::string user;
  std::string password;
};
enum class LoginVerdict : std::uint8_t {
  right,
  wrong,
  unavailable,  // nobody can say at the moment
};

// What came of one message's content: judge() and the queue say so.
struct EndOfData {
  enum class Stored : std::uint8_t { stored, discarded, full, failed };
  Content content = Content::good;  // when not good, `stored` is not looked at
  Stored stored = Stored::stored;
  std::string id;  // of a stored message
};

class Session {
 public:
  Session(SessionOptions options, Relay relay, Channel channel);

  // The 220, or for a client that already spoke (SUB-02) a 554 and the end.
  enum class Client : std::uint8_t { silent, spoke };
  Answer greet(Client client) const;
  Answer take(std::string_view line, const Facts& facts);  // one command line without CRLF
  // Instead of the reply to what was just taken (Answer::took): 450 4.7.1, and it is not taken.
  Answer sender_over_limit(Answer::Took took);
  Answer strangers_over_limit();  // the same, of a recipient
  Answer line_too_long();
  Answer bare_newline();                        // SUB-05: ends the session
  Answer octets_after_starttls();               // SUB-10: sent instead of the 220; ends the session
  void tls_started(Peer peer = Peer::unknown);  // SUB-11: back to the initial state
  // A wrong login's reply is to be held back for a while, so that guessing is slow.
  Answer end_of_login(LoginVerdict verdict);
  bool acts_as_another() const { return acts_as_another_; }  // a right password makes this a wrong login all the same
  Answer end_of_data(const EndOfData& end);
  // What came of a chunk: of the message when it was the last one, else of the content so far, and `id` is not looked at.
  Answer end_of_chunk(const EndOfData& end);
  Answer shutting_down() const;  // 421 4.3.2
  Answer timed_out() const;      // 421 4.4.2
  Answer give_way() const;       // 421 4.7.0: others need the place
  // For a connection that gets no session at all: 421 4.7.0.
  static Reply too_many_connections(std::string_view hostname);
  // Likewise, while the store is away: 421 4.3.2, so that the client takes its next host.
  static Reply store_away(std::string_view hostname);

  // Whether the content may be stored: `content` is what the decoder found, `scan` has seen all of it and is finished.
  Content judge(Content content, const message::HeaderFacts& scan) const;

  const Chunk& chunk() const { return chunk_; }
  // Content of a message is on its way: what was kept of it is void as soon as this is false.
  bool is_receiving() const { return state_ == State::data || state_ == State::chunks; }
  // From receive_data or the first receive_chunk on until the content ended. Recipients are each listed once.
  const Envelope& envelope() const { return envelope_; }
  bool has_sender() const { return state_ == State::mail; }  // who waits for recipients, or for the content
  const std::string& helo() const { return helo_; }          // "" before EHLO or HELO
  const Login& login() const { return login_; }              // REQUIRES: Action::check_login
  // The next line answers a challenge of ours: it may be a password, and no log may show it.
  bool is_secret_next() const { return challenge_ != Challenge::none; }
  const std::string& user() const { return user_; }  // who logged in; "" nobody
  // One of the three reasons is there: address, certificate, login.
  bool may_relay() const { return relay_ == Relay::allowed || peer_ == Peer::trusted || !user_.empty(); }
  // For Received and log: "SMTP", "ESMTP", "ESMTPS", "ESMTPSA" (RFC 3848), or the like with UTF8SMTP.
  std::string_view protocol() const;
  Channel channel() const { return channel_; }
  std::size_t messages() const { return messages_; }  // accepted on this connection

 private:
  enum class State : std::uint8_t {
    start,
    greeted,
    mail,
    data,
    chunks,  // at least one BDAT was taken, not yet the last
    failed,  // a BDAT was refused: nothing but its fellows, RSET or EHLO can follow (SUB-19)
  };
  Answer obey(const Command& command, const Facts& facts);
  Answer ehlo(const Command& command, const Facts& facts);
  Answer mail(const Command& command, const Facts& facts);
  Answer rcpt(const Command& command);
  Answer data(const Command& command, const Facts& facts);
  Answer bdat(const Command& command);
  Answer discard(Answer refused, const Command& command);
  std::optional<Answer> refuse_content() const;
  Answer starttls(const Command& command, const Facts& facts);
  Answer auth(const Command& command);
  Answer begin_plain(std::string_view initial);
  Answer begin_login(std::string_view initial);
  Answer take_response(std::string_view line);
  Answer take_plain(std::string_view message);
  Answer relaying_denied() const;
  Answer count(Answer answer);
  bool may_send_as(const Mailbox& sender) const;
  const Mailbox* own_postmaster(const Mailbox& mailbox) const;
  bool is_report_bounce(const Mailbox& recipient) const;
  void reset();

  enum class Challenge : std::uint8_t { none, plain, user, password };

  SessionOptions options_;
  Relay relay_;
  Peer peer_ = Peer::unknown;
  Channel channel_;
  State state_ = State::start;
  bool extended_ = false;  // EHLO, not HELO
  bool refused_recipients_ = false;
  std::size_t errors_ = 0;
  std::size_t messages_ = 0;
  std::size_t failed_logins_ = 0;
  std::size_t undecided_logins_ = 0;
  Challenge challenge_ = Challenge::none;
  Login login_;
  bool acts_as_another_ = false;  // login_ asks to be somebody else (RFC 4616 authzid)
  std::string user_;
  std::string helo_;
  Envelope envelope_;
  Chunk chunk_;
};

}  // namespace hoplock::smtp
