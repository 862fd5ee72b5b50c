// SPDX-License-Identifier: Apache-2.0
// The other end of a connection, following a script with plain blocking sockets and OpenSSL, on a thread of its own and
// without any code of ours: as a server on 127.0.0.1 or as a client. Every step waits at most 5 seconds. "Cut at every
// step" plays a script again and again, ending one step later each time, to see that the tested side survives a loss
// anywhere.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "net/options.h"

namespace hoplock::support {

enum class Cut { orderly, reset };  // FIN or RST

// TLS of the peer; the defaults let every version and cipher pass.
struct PeerTls {
  net::CertificateFiles files = {};  // for a server; a client may show one
  std::string ciphers = "";          // of TLS 1.2 and below; "" : ALL:@SECLEVEL=0
  int min_version = 0;               // TLS1_VERSION …; 0: any
  int max_version = 0;
  std::string signatures = "";  // of TLS 1.2's key exchange: "ECDSA+SHA1"; "": any
  std::string client_ca = "";   // a server: ask for a certificate of these (PEM file)
  std::string groups = "";      // of key exchange: "ffdhe8192"; "": OpenSSL's own
  int dhe_bits = 0;             // a server: of a DHE group of its own making; 0: OpenSSL's choice
};

class Script {
 public:
  Script& send(std::string octets);
  // At least one octet, whatever it is.
  Script& receive();
  // Exactly these octets.
  Script& expect(std::string octets);
  // One line that begins so, up to and with CRLF.
  Script& expect_line(std::string prefix);
  // All up to and with `end`; for message data.
  Script& expect_until(std::string end);
  Script& start_tls(PeerTls tls);    // as server
  Script& connect_tls(PeerTls tls);  // as client; no checks
  Script& expect_end();              // the other side ends the stream in order (close_notify inside TLS)
  Script& pause(std::chrono::milliseconds time);
  Script& send_raw(std::string octets);  // past TLS, in clear
  Script& stall();                       // reads and says nothing until the other side is gone
  Script& close();                       // close_notify inside TLS, then FIN
  Script& truncate();                    // FIN without close_notify
  Script& reset();                       // RST

  std::size_t size() const { return steps_.size(); }
  // The first `steps` steps, then the cut.
  Script cut(std::size_t steps, Cut how) const;

 private:
  enum class Kind {
    send,
    send_raw,
    pause,
    receive,
    expect,
    expect_line,
    expect_until,
    start_tls,
    connect_tls,
    expect_end,
    stall,
    close,
    truncate,
    reset
  };
  struct Step {
    Kind kind;
    std::string text;
    PeerTls tls;
  };
  Script& add(Kind kind, std::string text = {}, PeerTls tls = {});
  std::vector<Step> steps_;
  friend class ScriptedPlayer;
};

// Listens on 127.0.0.1 and plays one script for each connection, in order; further connections are refused.
class ScriptedPeer {
 public:
  explicit ScriptedPeer(std::vector<Script> scripts, std::string address = "127.0.0.1", std::uint16_t port = 0);
  explicit ScriptedPeer(Script script);
  ~ScriptedPeer();
  std::uint16_t port() const { return port_; }
  // Call when the tested side is done: ends what still waits; what went otherwise than written: empty is good.
  std::vector<std::string> finish();
  // After finish(): all octets that connection `index` received, inside TLS as well as in clear.
  const std::string& received(std::size_t index = 0) const { return received_.at(index); }
  std::size_t connections() const { return received_.size(); }

 private:
  void serve();
  std::vector<Script> scripts_;
  int listener_ = -1;
  int stop_[2] = {-1, -1};
  std::uint16_t port_ = 0;
  std::vector<std::string> problems_;
  std::vector<std::string> received_;
  std::thread thread_;
};

// Connects to 127.0.0.1:port and plays the script.
class ScriptedClient {
 public:
  ScriptedClient(std::uint16_t port, Script script);
  ~ScriptedClient();
  std::vector<std::string> finish();
  const std::string& received() const { return received_; }

 private:
  std::vector<std::string> problems_;
  std::string received_;
  std::thread thread_;
};

// Calls `test` with the script cut after 0, 1, … size() steps, both ways of cutting. `test` makes its own peer.
void cut_at_every_step(const Script& script, const std::function<void(const Script&, const std::string& where)>& test);

}  // namespace hoplock::support
