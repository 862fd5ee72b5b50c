// SPDX-License-Identifier: Apache-2.0
// Strangers that connect and say nothing, and come again when they are ended (scripts/torture --hostile). One thread, epoll, nothing but
// libc: what they cost of the machine must be the relay's to pay, not theirs.
//
//   silent --to IP:PORT --count N    each from an address of its own in 127.20.0.0/16, until SIGTERM; then prints what they met
#include "common.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <vector>

namespace {

volatile std::sig_atomic_t stopping = 0;
constexpr std::uint64_t a_second = 1'000'000'000;

struct Stranger {
  int fd = -1;
  bool greeted = false;
  std::uint64_t due = 0;  // when to come again
};

struct Met {
  unsigned long long connections = 0, greeted = 0, refused = 0, failed = 0;
};

class Crowd {
 public:
  Crowd(sockaddr_in to, std::size_t count) : to_(to), epoll_(epoll_create1(EPOLL_CLOEXEC)), strangers_(count) {}

  Met run() {
    epoll_event events[256];
    while (stopping == 0) {
      const int n = epoll_wait(epoll_, events, 256, 10);
      for (int i = 0; i < n; ++i) hear(strangers_[events[i].data.u32]);
      const std::uint64_t now = bench::now_ns();
      for (auto& one : strangers_)
        if (one.fd < 0 && one.due <= now) come(one);
    }
    return met_;
  }

 private:
  void come(Stranger& one) {
    const auto number = static_cast<std::uint32_t>(&one - strangers_.data());
    one.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in from{};
    from.sin_family = AF_INET;
    from.sin_addr.s_addr = htonl(0x7f140000U + (number / 250 << 8U) + number % 250 + 1);
    const bool bound = bind(one.fd, reinterpret_cast<const sockaddr*>(&from), sizeof from) == 0;
    const int rc = bound ? connect(one.fd, reinterpret_cast<const sockaddr*>(&to_), sizeof to_) : -1;
    if (!bound || (rc != 0 && errno != EINPROGRESS)) return leave(one, met_.failed);
    ++met_.connections;
    epoll_event event{};
    event.events = EPOLLIN | EPOLLRDHUP;
    event.data.u32 = number;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, one.fd, &event);
  }

  void hear(Stranger& one) {
    char text[512];
    const ssize_t n = recv(one.fd, text, sizeof text, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) return leave(one, one.greeted ? unused_ : met_.failed);
    if (one.greeted) return;  // told that it was too slow: the end comes next
    if (text[0] != '2') return leave(one, met_.refused);
    one.greeted = true;
    ++met_.greeted;
  }

  void leave(Stranger& one, unsigned long long& counter) {
    ++counter;
    close(one.fd);
    one = Stranger{};
    one.due = bench::now_ns() + a_second / 2 + static_cast<std::uint64_t>(std::rand()) % a_second;
  }

  const sockaddr_in to_;
  const int epoll_;
  std::vector<Stranger> strangers_;
  Met met_;
  unsigned long long unused_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  bench::allow_many_files();
  signal(SIGPIPE, SIG_IGN);
  signal(SIGTERM, [](int) { stopping = 1; });
  const std::string to = arguments.text("--to", "");
  const std::size_t colon = to.find(':');
  if (colon == std::string::npos) bench::die("--to IP:PORT");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(to.substr(colon + 1))));
  if (inet_pton(AF_INET, to.substr(0, colon).c_str(), &address.sin_addr) != 1) bench::die(to);
  const Met met = Crowd(address, arguments.number("--count", 2000)).run();
  std::printf("connected %llu, greeted %llu, refused %llu, no connection %llu\n", met.connections, met.greeted,
              met.refused, met.failed);
  return 0;
}
