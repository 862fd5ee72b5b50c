// SPDX-License-Identifier: Apache-2.0
#include "tests/support/nsd.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio.hpp>
#include <cstdlib>
#include <stdexcept>
#include <thread>

namespace hoplock::support {

namespace asio = boost::asio;

std::uint16_t free_port() {
  asio::io_context io;
  const auto any = asio::ip::make_address("127.0.0.1");
  for (int i = 0; i < 100; ++i) {
    asio::ip::udp::socket udp(io, {any, 0});
    const auto port = udp.local_endpoint().port();
    asio::ip::tcp::acceptor tcp(io);
    boost::system::error_code error;
    tcp.open(asio::ip::tcp::v4(), error);
    tcp.bind({any, port}, error);
    if (!error) return port;
  }
  throw std::runtime_error("no free port");
}

namespace {

// Until the server takes TCP connections.
void wait_until_up(std::uint16_t port) {
  asio::io_context io;
  for (int i = 0; i < 500; ++i) {
    asio::ip::tcp::socket socket(io);
    boost::system::error_code error;
    socket.connect({asio::ip::make_address("127.0.0.1"), port}, error);
    if (!error) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  throw std::runtime_error("nsd does not answer");
}

}  // namespace

Nsd::Nsd() {
  const auto port = free_port();
  std::string script = HOPLOCK_SOURCE_DIR "/tests/resolver/zones.sh ";
  script.append(directory_.file("")).append(" ").append(std::to_string(port)).append(" >/dev/null 2>&1");
  if (std::system(script.c_str()) != 0) throw std::runtime_error("tests/resolver/zones.sh failed");
  const std::string config = file("nsd.conf");
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    execl("/usr/sbin/nsd", "nsd", "-d", "-c", config.c_str(), static_cast<char*>(nullptr));
    _exit(127);
  }
  wait_until_up(port);
}

Nsd::~Nsd() {
  kill(pid_, SIGTERM);
  waitpid(pid_, nullptr, 0);
}

}  // namespace hoplock::support
