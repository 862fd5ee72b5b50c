// SPDX-License-Identifier: Apache-2.0
// A TLS 1.3 peer that never says anything but KeyUpdate: each record is legal, and there is no end of them (scripts/torture --hostile).
//
//   flood --to IP:PORT --from IP --sessions N    until SIGTERM; then prints how many sessions and records there were
//
// Every session is a thread: connect, EHLO, STARTTLS, handshake, records until the server ends it, anew.
#include "common.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <atomic>
#include <csignal>
#include <thread>
#include <vector>

namespace {

volatile std::sig_atomic_t stopping = 0;
std::atomic<std::uint64_t> sessions{0};
std::atomic<std::uint64_t> records{0};

sockaddr_in address(const std::string& ip, int port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(static_cast<std::uint16_t>(port));
  if (inet_pton(AF_INET, ip.c_str(), &a.sin_addr) != 1) bench::die(ip);
  return a;
}

// One reply, as long as it may be; false when the server is gone.
bool reply(int fd) {
  std::string text;
  char block[2048];
  while (
      text.size() < 4 || text.back() != '\n' ||
      (text.rfind('\n', text.size() - 2) != std::string::npos && text[text.rfind('\n', text.size() - 2) + 4] == '-')) {
    const ssize_t n = recv(fd, block, sizeof block, 0);
    if (n <= 0) return false;
    text.append(block, static_cast<std::size_t>(n));
  }
  return text[0] == '2';
}

bool say(int fd, const std::string& line) {
  return send(fd, line.data(), line.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(line.size()) && reply(fd);
}

void flood(SSL_CTX* context, int fd) {
  if (!reply(fd) || !say(fd, "EHLO flood.bench\r\n") || !say(fd, "STARTTLS\r\n")) return;
  SSL* tls = SSL_new(context);
  SSL_set_fd(tls, fd);
  if (SSL_connect(tls) == 1) {
    ++sessions;
    while (stopping == 0 && SSL_key_update(tls, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 && SSL_do_handshake(tls) == 1)
      ++records;
  }
  SSL_free(tls);
}

void run(SSL_CTX* context, sockaddr_in to, sockaddr_in from) {
  while (stopping == 0) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval patience{2, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (bind(fd, reinterpret_cast<sockaddr*>(&from), sizeof from) == 0 &&
        connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0)
      flood(context, fd);
    close(fd);
    const timespec pause{0, 20'000'000};
    nanosleep(&pause, nullptr);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGTERM, [](int) { stopping = 1; });
  const std::string to = arguments.text("--to", "");
  const std::size_t colon = to.find(':');
  if (colon == std::string::npos) bench::die("--to IP:PORT");
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < arguments.number("--sessions", 4); ++i)
    threads.emplace_back(run, context, address(to.substr(0, colon), std::stoi(to.substr(colon + 1))),
                         address(arguments.text("--from", "127.0.0.1"), 0));
  for (auto& thread : threads) thread.join();
  std::printf("{\"sessions\": %llu, \"records\": %llu}\n", static_cast<unsigned long long>(sessions.load()),
              static_cast<unsigned long long>(records.load()));
  SSL_CTX_free(context);
  return 0;
}
