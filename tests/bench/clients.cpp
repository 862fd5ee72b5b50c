// SPDX-License-Identifier: Apache-2.0
// Many clients of the front door at once: one thread, epoll, TLS by OpenSSL. Each connects from an address of its own turn, greets, and
// takes STARTTLS; then it keeps still, or gives one message, and takes its leave.
//
//   clients --to IP:PORT --sessions N
//        --hold           all N stay open and say nothing until SIGTERM; then each is asked NOOP
//        --rate R         R of them a second, whether the earlier ones are through or not; 0: --parallel of them at any time
//        --size S         each gives one message of S octets to --rcpt
//        --sources K      from 127.100.0.1 and K-1 more (default 200)
//        --clear          without TLS
//
// Prints JSON: how many were served, refused with a 4xx (or were cut before any reply), or failed; milliseconds from the moment at which a
// session was due to its end. With --hold a line "ready N" comes first.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <csignal>
#include <cstring>
#include <vector>

#include "common.h"

namespace {

volatile std::sig_atomic_t stopping = 0;

struct Options {
  sockaddr_in to{};
  std::uint64_t sessions = 1, rate = 0, size = 0, sources = 200, parallel = 50;
  bool hold = false, clear = false;
  std::string rcpt;
};

enum class Step : std::uint8_t {
  unused,
  greeting,
  ehlo,
  starttls,
  handshake,
  ehlo_again,
  mail,
  rcpt,
  data,
  content,
  idle,
  noop,
  quit
};

struct Session {
  int fd = -1;
  SSL* ssl = nullptr;
  Step step = Step::unused;
  bool replied = false;
  std::uint64_t due = 0;
  std::string in, out;
};

class Clients {
 public:
  explicit Clients(Options o)
      : o_(std::move(o)), tls_(SSL_CTX_new(TLS_client_method())), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    SSL_CTX_set_mode(tls_,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(tls_, SSL_SESS_CACHE_OFF);
    content_ = "Subject: bench\r\nFrom: <load@sender.bench>\r\n\r\n";
    while (content_.size() < o_.size)
      content_ += "A line of the message, as long as most lines are in most messages.\r\n";
    content_ += ".\r\n";
  }

  void run() {
    start_ = bench::now_ns();
    while (ended_ < o_.sessions) {
      begin_due();
      if (o_.hold && stopping != 0 && !asked_) ask_all();
      if (o_.hold && asked_ && open_ == 0) break;
      epoll_event events[256];
      const int n = epoll_wait(epoll_, events, 256, 1);
      for (int i = 0; i < n; ++i) pump(sessions_[static_cast<std::size_t>(events[i].data.fd)]);
      if (o_.hold && !said_ready_ && ready_ + ended_ == o_.sessions) {
        said_ready_ = true;
        std::printf("ready %" PRIu64 "\n", ready_);
        std::fflush(stdout);
      }
    }
    report();
  }

 private:
  void begin_due() {
    if (asked_) return;
    const std::uint64_t now = bench::now_ns();
    for (int burst = 0; begun_ < o_.sessions && burst < 64; ++burst) {
      const std::uint64_t due = o_.rate > 0 ? start_ + begun_ * 1'000'000'000u / o_.rate : now;
      if (due > now || (o_.rate == 0 && open_ - ready_ >= o_.parallel)) return;
      begin(due);
    }
  }

  void begin(std::uint64_t due) {
    const std::uint64_t number = begun_++;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) bench::die("socket");
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    sockaddr_in from{};
    from.sin_family = AF_INET;
    const auto source = static_cast<std::uint32_t>(number % o_.sources);
    from.sin_addr.s_addr = htonl((127u << 24u) + (100u << 16u) + ((source / 250) << 8u) + source % 250 + 1);
    if (bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0) bench::die("bind");
    if (connect(fd, reinterpret_cast<const sockaddr*>(&o_.to), sizeof o_.to) != 0 && errno != EINPROGRESS) {
      ++failed_;
      ++ended_;
      close(fd);
      return;
    }
    const auto at = static_cast<std::size_t>(fd);
    if (sessions_.size() <= at) sessions_.resize(at + 1);
    Session& s = sessions_[at];
    s = Session{};
    s.fd = fd;
    s.due = due;
    s.step = Step::greeting;
    ++open_;
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.fd = fd;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) bench::die("epoll_ctl");
  }

  void pump(Session& s) {
    while (s.fd >= 0) {
      if (s.step == Step::handshake && !shake(s)) return;
      if (!flush(s)) return;
      const int got = read_some(s);
      if (got == 0) return;
      if (got < 0) return lost(s);
      for (int code; s.fd >= 0 && (code = reply(s)) != 0;) answer(s, code);
    }
  }

  bool shake(Session& s) {
    const int done = SSL_do_handshake(s.ssl);
    if (done == 1) {
      s.step = Step::ehlo_again;
      s.out = "EHLO client.bench\r\n";
      return true;
    }
    const int why = SSL_get_error(s.ssl, done);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) lost(s);
    return false;
  }

  // False: it has to wait, or is gone.
  bool flush(Session& s) {
    while (!s.out.empty()) {
      const long sent = s.ssl != nullptr ? SSL_write(s.ssl, s.out.data(), static_cast<int>(s.out.size()))
                                         : send(s.fd, s.out.data(), s.out.size(), MSG_NOSIGNAL);
      if (sent <= 0) {
        const bool later = s.ssl != nullptr ? SSL_get_error(s.ssl, static_cast<int>(sent)) == SSL_ERROR_WANT_WRITE
                                            : errno == EAGAIN || errno == ENOTCONN || errno == EINPROGRESS;
        if (later) return s.step != Step::content;  // a refusal may come while we still send
        lost(s);
        return false;
      }
      s.out.erase(0, static_cast<std::size_t>(sent));
    }
    return true;
  }

  // Octets; 0: later; -1: the end.
  static int read_some(Session& s) {
    char buffer[4096];
    if (s.ssl != nullptr) {
      const int got = SSL_read(s.ssl, buffer, sizeof buffer);
      if (got > 0) s.in.append(buffer, static_cast<std::size_t>(got));
      return got > 0 ? got : SSL_get_error(s.ssl, got) == SSL_ERROR_WANT_READ ? 0 : -1;
    }
    const ssize_t got = recv(s.fd, buffer, sizeof buffer, 0);
    if (got > 0) s.in.append(buffer, static_cast<std::size_t>(got));
    return got > 0 ? static_cast<int>(got) : got < 0 && (errno == EAGAIN || errno == ENOTCONN) ? 0 : -1;
  }

  // The code of a whole reply, which is taken away; 0: there is none yet.
  static int reply(Session& s) {
    for (std::size_t begin = 0, end; (end = s.in.find("\r\n", begin)) != std::string::npos; begin = end + 2) {
      if (end - begin >= 4 && s.in[begin + 3] == '-') continue;
      const int code = std::atoi(s.in.c_str() + begin);
      s.in.erase(0, end + 2);
      return code == 0 ? 599 : code;
    }
    return 0;
  }

  void answer(Session& s, int code) {
    s.replied = true;
    if (code >= 400 && code < 500) return finish(s, refused_);
    if (code >= 500) return finish(s, failed_);
    switch (s.step) {
      case Step::greeting:
        return say(s, Step::ehlo, "EHLO client.bench\r\n");
      case Step::ehlo:
        return o_.clear ? greeted(s) : say(s, Step::starttls, "STARTTLS\r\n");
      case Step::starttls:
        s.ssl = SSL_new(tls_);
        SSL_set_fd(s.ssl, s.fd);
        SSL_set_connect_state(s.ssl);
        s.step = Step::handshake;
        return;
      case Step::ehlo_again:
        return greeted(s);
      case Step::mail:
        return say(s, Step::rcpt, "RCPT TO:<" + o_.rcpt + ">\r\n");
      case Step::rcpt:
        return say(s, Step::data, "DATA\r\n");
      case Step::data:
        return say(s, Step::content, content_);
      case Step::content:
        return say(s, Step::quit, "QUIT\r\n");
      case Step::noop:
      case Step::quit:
        return finish(s, served_);
      case Step::unused:
      case Step::handshake:
      case Step::idle:
        return finish(s, failed_);
    }
  }

  void greeted(Session& s) {
    if (o_.hold) {
      s.step = Step::idle;
      ++ready_;
    } else if (o_.size > 0) {
      say(s, Step::mail, "MAIL FROM:<load@sender.bench>\r\n");
    } else {
      say(s, Step::quit, "QUIT\r\n");
    }
  }

  static void say(Session& s, Step step, const std::string& text) {
    s.step = step;
    s.out += text;
  }

  void ask_all() {
    asked_ = true;
    for (Session& s : sessions_) {
      if (s.fd < 0) continue;
      say(s, Step::noop, "NOOP\r\n");
      pump(s);
    }
  }

  // Cut before any reply is how a full house ends what is TLS from the first octet; later it is a failure.
  void lost(Session& s) { finish(s, s.replied ? failed_ : refused_); }

  void finish(Session& s, std::uint64_t& count) {
    ++count;
    ++ended_;
    --open_;
    if (&count == &served_) took_.push_back(static_cast<double>(bench::now_ns() - s.due) / 1e6);
    if (s.step == Step::idle || s.step == Step::noop) --ready_;
    SSL_free(s.ssl);
    close(s.fd);
    s = Session{};
    end_ = bench::now_ns();
  }

  void report() {
    std::sort(took_.begin(), took_.end());
    const auto at = [this](double share) {
      return took_.empty() ? 0.0 : took_[static_cast<std::size_t>(share * static_cast<double>(took_.size() - 1))];
    };
    const double seconds = static_cast<double>(end_ - start_) / 1e9;
    std::printf("{\"served\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"failed\": %" PRIu64
                ", \"seconds\": %.3f, \"rate\": %.1f, \"median_ms\": %.2f, \"p95_ms\": %.2f, \"worst_ms\": %.2f}\n",
                served_, refused_, failed_, seconds,
                seconds > 0 ? static_cast<double>(served_ + refused_) / seconds : 0.0, at(0.5), at(0.95), at(1.0));
  }

  const Options o_;
  SSL_CTX* const tls_;
  const int epoll_;
  std::vector<Session> sessions_;  // by descriptor
  std::string content_;
  std::vector<double> took_;
  std::uint64_t start_ = 0, end_ = 0, begun_ = 0, open_ = 0, ready_ = 0, ended_ = 0;
  std::uint64_t served_ = 0, refused_ = 0, failed_ = 0;
  bool asked_ = false, said_ready_ = false;
};

Options read_options(const bench::Arguments& arguments) {
  Options o;
  const std::string to = arguments.text("--to", "127.0.0.1:2525");
  const std::size_t colon = to.rfind(':');
  o.to.sin_family = AF_INET;
  o.to.sin_port = htons(static_cast<std::uint16_t>(std::atoi(to.c_str() + colon + 1)));
  if (inet_pton(AF_INET, to.substr(0, colon).c_str(), &o.to.sin_addr) != 1) bench::die("--to " + to);
  o.sessions = arguments.number("--sessions", 1);
  o.rate = arguments.number("--rate", 0);
  o.size = arguments.number("--size", 0);
  o.sources = arguments.number("--sources", 200);
  o.parallel = arguments.number("--parallel", 50);
  o.hold = arguments.flag("--hold");
  o.clear = arguments.flag("--clear");
  o.rcpt = arguments.text("--rcpt", "user@d000.clear");
  return o;
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  bench::allow_many_files();
  signal(SIGPIPE, SIG_IGN);
  signal(SIGTERM, [](int) { stopping = 1; });
  Clients(read_options(arguments)).run();
  return 0;
}
