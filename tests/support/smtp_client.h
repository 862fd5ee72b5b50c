// SPDX-License-Identifier: Apache-2.0
// An SMTP client for tests, on the test's own thread: blocking sockets and OpenSSL, no code of ours. Everything waits at
// most 30 seconds; what goes otherwise than asked for is an exception that says what was got.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/options.h"

struct ssl_st;

namespace hoplock::support {

class SmtpClient {
 public:
  // `from`: the loopback address it comes from.
  explicit SmtpClient(std::uint16_t port, const std::string& to = "127.0.0.1", const std::string& from = "127.0.0.1");
  ~SmtpClient();
  SmtpClient(const SmtpClient&) = delete;
  SmtpClient& operator=(const SmtpClient&) = delete;

  void send(std::string_view octets);
  // Sends as much as the other side takes now, without waiting; how much.
  std::size_t send_some(std::string_view octets);
  // The next whole reply, with its CRLFs.
  std::string reply();
  std::vector<std::string> replies(std::size_t count);
  // A line and its reply.
  std::string command(std::string_view line);
  // Banner and EHLO.
  void greet(std::string_view name = "client.test");
  // MAIL, RCPT for each, DATA with the content (CRLF lines, dots doubled here), and the last reply.
  std::string deliver(std::string_view content, const std::vector<std::string>& to = {"user@example.org"},
                      std::string_view from = "sender@example.net");
  // What one read gives: inside TLS one record.
  std::string receive();
  // Nothing comes within that time.
  bool is_silent(std::chrono::milliseconds time);
  // The other side ends the stream in order, having said nothing more.
  bool ended();
  // The client's side of a handshake that trusts anybody; false: it failed.
  bool handshake(const net::CertificateFiles& presented = {});
  // STARTTLS and handshake; the EHLO that must follow is the test's.
  void start_tls(const net::CertificateFiles& presented = {});
  // The authorities that the server said it asks for, and whether it asked for a certificate at all.
  int asked_authorities() const;
  bool was_asked_for_certificate() const;
  // The serial number of the server's certificate, after a handshake.
  std::string certificate_serial() const;
  void finish_sending();                                       // FIN
  void reset();                                                // RST
  const std::string& everything() const { return received_; }  // that was received, inside TLS as well as in clear

 private:
  enum class Got { octets, end, broken };
  Got fill();
  std::string take(std::size_t octets);
  int fd_ = -1;
  ssl_st* ssl_ = nullptr;
  bool asked_ = false;
  std::string pending_;
  std::string received_;
};

// As DATA carries it: dots doubled at line starts.
std::string dot_stuffed(std::string_view content);

}  // namespace hoplock::support
