// SPDX-License-Identifier: Apache-2.0
// The loader of the bench: one thread, epoll, nothing but libc. It sends numbered messages to one SMTP server over many
// sessions at once and prints how long that took from the first connect to the last 250.
//
//   load --to IP:PORT --count N --size S --sessions C
//        --rcpt user@example.test   or   user@d%03u.test with --domains 500 (message N goes to number N modulo 500)
//        --per-connection K   close and connect anew after K messages (default 1000; 1 is smtp-source's way)
//        --no-pipelining      wait for each reply
//        --vary               sizes from 200 octets to S, lines that begin with dots among them, each body with its
//        number
//        --persist            a lost connection is made again until --count or SIGTERM (for scripts/torture)
//        --acks FILE          a line "NUMBER CHECKSUM CONNECTED READ" for every message that got its 250: when its session was
//        begun and when the reply had been read, in ns of CLOCK_MONOTONIC
//        --rate R             at most R messages a second;  --counters FILE  mapped counters
//
// Every message names its number and the checksum of its body in a header field.
// A message whose reply never came is not sent again: it may have arrived or not, and the receiver's record shows
// which.
#include "common.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <csignal>
#include <cstring>
#include <vector>

namespace {

volatile std::sig_atomic_t stopping = 0;

struct Options {
  sockaddr_in to{};
  std::uint64_t count = 0, size = 0, per_connection = 0, domains = 0, rate = 0, first = 0;
  std::size_t sessions = 1;
  bool pipelining = true, vary = false, persist = false;
  std::string from, rcpt;
};

// A body as it goes over the wire (dots doubled) and the checksum of what it stands for.
struct Body {
  std::string wire;
  std::uint64_t sum = bench::fnv_start;
};

Body make_body(std::size_t size, bool dots) {
  Body body;
  std::string plain;
  for (std::size_t line = 0; plain.size() < size; ++line) {
    std::string text = dots && line % 7 == 3 ? "." : "";
    while (text.size() < 76) text += static_cast<char>('!' + (line * 31 + text.size() * 7) % 93);
    if (!dots && text[0] == '.') text[0] = 'x';
    const std::size_t left = size - plain.size();
    text.resize(std::min(text.size(), left > 2 ? left - 2 : 1));
    plain += text + "\r\n";
    body.wire += (text[0] == '.' ? "." : "") + text + "\r\n";
  }
  body.sum = bench::fnv(plain);
  return body;
}

enum class Step { off, greeting, ehlo, ready, mail, rcpt, data, end };

// What waits to be written: commands, then perhaps a body that all sessions share, then its end.
struct Outgoing {
  std::string head, tail;
  const std::string* body = nullptr;
  std::size_t sent = 0;

  std::string& text() { return body != nullptr ? tail : head; }
  std::size_t size() const { return head.size() + (body != nullptr ? body->size() : 0) + tail.size(); }

  // One gathering write of what is left; false when the connection is broken. EAGAIN leaves the rest for later.
  bool write_to(int fd) {
    while (sent < size()) {
      iovec parts[3];
      std::size_t count = 0;
      std::size_t skip = sent;
      for (const std::string* piece :
           {const_cast<const std::string*>(&head), body, const_cast<const std::string*>(&tail)}) {
        if (piece == nullptr) continue;
        if (skip < piece->size()) parts[count++] = {const_cast<char*>(piece->data()) + skip, piece->size() - skip};
        skip -= std::min(skip, piece->size());
      }
      msghdr message{};
      message.msg_iov = parts;
      message.msg_iovlen = count;
      const ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
      if (n < 0) return errno == EAGAIN || errno == ENOTCONN;
      sent += static_cast<std::size_t>(n);
    }
    *this = Outgoing{};
    return true;
  }
};

struct Session {
  int fd = -1;
  Step step = Step::off;
  std::string in;
  Outgoing out;
  std::uint64_t number = 0, sum = 0;  // of the message under way
  std::uint64_t taken = 0;            // messages that this connection took
  std::uint64_t not_before = 0;       // when to connect again
  std::uint64_t connected = 0;        // when it began to

  bool under_way() const { return step >= Step::mail; }
};

class Loader {
 public:
  Loader(Options options, int acks, bench::Counters* counters)
      : o_(std::move(options)),
        acks_(acks),
        counters_(counters),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        sessions_(o_.sessions) {
    constexpr std::size_t kinds = 61;
    constexpr std::size_t smallest = 200;
    const std::size_t span = o_.size > smallest ? o_.size - smallest : 0;
    for (std::size_t i = 0; i < (o_.vary ? kinds : 1); ++i) {
      // squares: most bodies are small, a few reach the full size
      bodies_.push_back(make_body(o_.vary ? smallest + span * i * i / (kinds * kinds) : o_.size, o_.vary));
    }
  }

  void run() {
    counters_->first_ns = bench::now_ns();
    for (auto& session : sessions_) connect(session);
    epoll_event events[256];
    while (!finished()) {
      const int n = epoll_wait(epoll_, events, 256, idle_.empty() ? 200 : 1);
      for (int i = 0; i < n; ++i) progress(sessions_[events[i].data.u32], events[i].events);
      wake_idle();
    }
  }

 private:
  bool finished() const {
    if (counters_->messages + counters_->failed >= o_.count) return true;
    return stopping != 0 &&
           std::none_of(sessions_.begin(), sessions_.end(), [](const Session& s) { return s.under_way(); });
  }

  void connect(Session& s) {
    s = Session{};
    s.connected = bench::now_ns();
    s.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s.fd < 0) bench::die("socket");
    const int on = 1;
    setsockopt(s.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    s.step = Step::greeting;
    const auto* address = reinterpret_cast<const sockaddr*>(&o_.to);
    if (::connect(s.fd, address, sizeof o_.to) != 0 && errno != EINPROGRESS) return lost(s);
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.u32 = static_cast<std::uint32_t>(&s - sessions_.data());
    epoll_ctl(epoll_, EPOLL_CTL_ADD, s.fd, &event);
    ++counters_->connections;
  }

  // The connection is gone: its message, if one was under way, has no answer and never gets one.
  void lost(Session& s) {
    if (s.under_way() || !o_.persist) ++counters_->failed;
    disconnect(s);
    s.not_before = bench::now_ns() + 10'000'000;
  }

  void disconnect(Session& s) {
    close(s.fd);
    s = Session{};
    idle_.push_back(static_cast<std::size_t>(&s - sessions_.data()));
  }

  // Sessions that wait for a new connection, or for their turn under --rate.
  void wake_idle() {
    const std::uint64_t now = bench::now_ns();
    std::vector<std::size_t> waiting;
    waiting.swap(idle_);
    for (const std::size_t i : waiting) {
      Session& s = sessions_[i];
      if (s.step == Step::ready) {
        next_message(s);
        flush(s);
      } else if (now < s.not_before) {
        idle_.push_back(i);
      } else if (next_ < o_.count && stopping == 0) {
        connect(s);
      }
    }
  }

  bool over_rate() const {
    return o_.rate != 0 && next_ * 1'000'000'000u > (bench::now_ns() - counters_->first_ns) * o_.rate;
  }

  void progress(Session& s, std::uint32_t events) {
    char buffer[4096];
    while (s.fd >= 0 && (events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) {
      const ssize_t n = read(s.fd, buffer, sizeof buffer);
      if (n < 0 && errno == EAGAIN) break;
      if (n <= 0) return lost(s);
      s.in.append(buffer, static_cast<std::size_t>(n));
      if (!replies(s)) return;
      if (n < static_cast<ssize_t>(sizeof buffer) && (events & EPOLLRDHUP) == 0) break;
    }
    flush(s);
  }

  // Takes every complete reply; false when the connection is no more.
  bool replies(Session& s) {
    std::size_t from = 0;
    for (std::size_t end; (end = s.in.find("\r\n", from)) != std::string::npos; from = end + 2) {
      if (end - from >= 4 && s.in[from + 3] == '-') continue;
      const char wanted = s.step == Step::data ? '3' : '2';
      if (s.in[from] != wanted) {
        if (!o_.persist && counters_->failed < 4) {
          std::fprintf(stderr, "load: refused: %s\n", s.in.substr(from, end - from).c_str());
        }
        lost(s);
        return false;
      }
      good_reply(s);
      if (s.step == Step::off) return false;
    }
    s.in.erase(0, from);
    return true;
  }

  void good_reply(Session& s) {
    switch (s.step) {
      case Step::greeting:
        s.out.text() += "EHLO load.bench\r\n";
        s.step = Step::ehlo;
        break;
      case Step::ehlo:
        s.step = Step::ready;
        next_message(s);
        break;
      case Step::mail:
        if (!o_.pipelining) put_rcpt(s);
        s.step = Step::rcpt;
        break;
      case Step::rcpt:
        if (!o_.pipelining) s.out.text() += "DATA\r\n";
        s.step = Step::data;
        break;
      case Step::data:
        put_body(s);
        s.step = Step::end;
        break;
      case Step::end:
        done(s);
        next_message(s);
        break;
      default:
        break;
    }
  }

  void done(Session& s) {
    counters_->last_ns = bench::now_ns();
    ++counters_->messages;
    ++s.taken;
    s.step = Step::ready;
    if (acks_ < 0) return;
    char text[128];
    const int n = std::snprintf(text, sizeof text, "%" PRIu64 " %016" PRIx64 " %" PRIu64 " %" PRIu64 "\n", s.number,
                                s.sum, s.connected, counters_->last_ns);
    if (write(acks_, text, static_cast<std::size_t>(n)) != n) bench::die("acks");
  }

  void next_message(Session& s) {
    if (next_ >= o_.count || stopping != 0 || s.taken >= o_.per_connection) {
      s.out.text() += "QUIT\r\n";
      s.out.write_to(s.fd);
      return disconnect(s);
    }
    if (over_rate()) return idle_.push_back(static_cast<std::size_t>(&s - sessions_.data()));
    s.number = o_.first + next_++;
    s.step = Step::mail;
    s.out.text() += "MAIL FROM:<" + o_.from + ">\r\n";
    if (!o_.pipelining) return;
    put_rcpt(s);
    s.out.text() += "DATA\r\n";
  }

  std::string recipient(std::uint64_t number) const {
    if (o_.domains == 0) return o_.rcpt;
    char digits[16];
    std::snprintf(digits, sizeof digits, "%03u", static_cast<unsigned>(number % o_.domains));
    const std::size_t at = o_.rcpt.find("%03u");
    return o_.rcpt.substr(0, at) + digits + o_.rcpt.substr(at + 4);
  }

  void put_rcpt(Session& s) const { s.out.text() += "RCPT TO:<" + recipient(s.number) + ">\r\n"; }

  void put_body(Session& s) const {
    const Body& body = bodies_[s.number % bodies_.size()];
    const std::string last = acks_ < 0 ? "" : "number " + std::to_string(s.number) + "\r\n";
    s.sum = bench::fnv(last, body.sum);
    char head[768];
    const int n = std::snprintf(head, sizeof head,
                                "From: <%s>\r\nTo: <%s>\r\nSubject: message %" PRIu64
                                "\r\n"
                                "Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <%" PRIu64
                                ".load@bench>\r\n%s%" PRIu64 " %016" PRIx64 "\r\n\r\n",
                                o_.from.c_str(), recipient(s.number).c_str(), s.number, s.number,
                                bench::number_field.data(), s.number, s.sum);
    s.out.text().append(head, static_cast<std::size_t>(n));
    s.out.body = &body.wire;
    s.out.tail = last + ".\r\n";
  }

  void flush(Session& s) {
    if (s.fd >= 0 && s.out.size() > 0 && !s.out.write_to(s.fd)) lost(s);
  }

  const Options o_;
  const int acks_;
  bench::Counters* counters_;
  const int epoll_;
  std::vector<Session> sessions_;
  std::vector<Body> bodies_;
  std::vector<std::size_t> idle_;
  std::uint64_t next_ = 0;
};

Options read_options(const bench::Arguments& arguments) {
  Options o;
  const std::string to = arguments.text("--to", "127.0.0.1:2525");
  const std::size_t colon = to.rfind(':');
  o.to.sin_family = AF_INET;
  o.to.sin_port = htons(static_cast<std::uint16_t>(std::atoi(to.c_str() + colon + 1)));
  if (inet_pton(AF_INET, to.substr(0, colon).c_str(), &o.to.sin_addr) != 1) bench::die("--to " + to);
  o.count = arguments.number("--count", 1000);
  o.size = arguments.number("--size", 1024);
  o.sessions = arguments.number("--sessions", 1);
  o.per_connection = arguments.number("--per-connection", 1000);
  o.domains = arguments.number("--domains", 0);
  o.rate = arguments.number("--rate", 0);
  o.first = arguments.number("--first", 0);
  o.pipelining = !arguments.flag("--no-pipelining");
  o.vary = arguments.flag("--vary");
  o.persist = arguments.flag("--persist");
  o.from = arguments.text("--from", "load@sender.bench");
  o.rcpt = arguments.text("--rcpt", "user@d000.clear");
  return o;
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  bench::allow_many_files();
  signal(SIGPIPE, SIG_IGN);
  signal(SIGTERM, [](int) { stopping = 1; });
  const std::string acks = arguments.text("--acks", "");
  const int fd = acks.empty() ? -1 : open(acks.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (!acks.empty() && fd < 0) bench::die(acks);
  bench::Counters* const counters = bench::map_counters(arguments.text("--counters", ""));
  Loader loader(read_options(arguments), fd, counters);
  loader.run();
  const double seconds = counters->messages > 0 ? static_cast<double>(counters->last_ns - counters->first_ns) / 1e9 : 0;
  std::printf("{\"accepted\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"seconds\": %.6f, \"rate\": %.1f}\n",
              counters->messages, counters->failed, seconds,
              seconds > 0 ? static_cast<double>(counters->messages) / seconds : 0.0);
  return counters->failed == 0 || arguments.flag("--persist") ? 0 : 1;
}
