// SPDX-License-Identifier: Apache-2.0
#include "resolver/unbound.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <utility>

#include "resolver/convert.h"
#include "resolver/files.h"
#include "resolver/setup.h"

namespace hoplock::resolver {

namespace asio = boost::asio;

namespace {
constexpr std::chrono::hours check_good{1};
constexpr std::chrono::seconds check_bad{30};
constexpr auto tuple = asio::as_tuple(asio::use_awaitable);

std::string in_words(std::chrono::milliseconds time) {
  const auto count = time.count();
  return count % 1000 == 0 ? std::to_string(count / 1000) + "s" : std::to_string(count) + "ms";
}
}  // namespace

// Coroutines hold it, too: it outlives the Unbound while one of them is suspended.
class Unbound::Impl : public std::enable_shared_from_this<Unbound::Impl> {
 public:
  struct Made {
    ContextPtr context;
    dns::Name anchor;
    FileMarks files;  // as they were before they were read
  };
  Impl(asio::any_io_executor executor, Options options, Made made)
      : executor_(executor),
        options_(std::move(options)),
        anchor_(std::move(made.anchor)),
        files_(std::move(made.files)),
        context_(std::move(made.context)),
        results_(executor, ub_fd(context_.get())) {}
  ~Impl() { close(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  static Result<std::shared_ptr<Impl>> open(asio::any_io_executor executor, Options options);
  void close();
  static asio::awaitable<dns::Answer> ask(std::shared_ptr<Impl> self, dns::Name name, dns::Type type);
  static asio::awaitable<void> check(std::shared_ptr<Impl> self);

  const std::optional<std::string>& failure() const { return failure_; }
  bool checked() const { return checked_; }
  const Options& options() const { return options_; }
  const FileMarks& files() const { return files_; }

 private:
  using Question = std::pair<dns::Name, dns::Type>;

  // One question that libunbound works on. The table owns it as long as a result may come; who waits shares it.
  struct Pending {
    Pending(Impl& impl, Question asked, std::chrono::milliseconds timeout)
        : owner(&impl), question(std::move(asked)), done(impl.executor_, timeout) {}
    Impl* owner;
    Question question;
    asio::steady_timer done;  // cancelled when the answer is there; expiry is the deadline
    std::optional<dns::Answer> answer;
    std::size_t waiting = 0;
    int id = 0;
  };
  using PendingPtr = std::shared_ptr<Pending>;

  PendingPtr join(Question question);
  void settle(const PendingPtr& pending, dns::Answer answer);
  void give_up(const PendingPtr& pending, error_code error);
  void await_results();
  static void on_result(void* data, int error, ub_result* result);

  asio::any_io_executor executor_;
  Options options_;
  dns::Name anchor_;
  FileMarks files_;
  ContextPtr context_;
  asio::posix::stream_descriptor results_;  // libunbound's own; given back before the context goes
  bool watching_ = false;
  std::map<Question, PendingPtr> pending_;
  bool checked_ = false;
  std::optional<std::string> failure_;
};

void Unbound::Impl::close() {
  if (!context_) return;
  results_.release();
  context_.reset();  // joins the worker; no callback comes any more
  const auto pending = std::exchange(pending_, {});
  for (const auto& [question, entry] : pending)
    settle(entry, failed(question.first, question.second, "the resolver was stopped"));
}

void Unbound::Impl::on_result(void* data, int error, ub_result* result) {
  const std::unique_ptr<ub_result, void (*)(ub_result*)> owned(result, ub_resolve_free);
  const PendingPtr pending = static_cast<Pending*>(data)->owner->pending_.at(static_cast<Pending*>(data)->question);
  auto& [name, type] = pending->question;
  auto answer =
      error != 0 || result == nullptr ? failed(name, type, ub_strerror(error)) : to_answer(name, type, *result);
  pending->owner->settle(pending, std::move(answer));
}

void Unbound::Impl::settle(const PendingPtr& pending, dns::Answer answer) {
  pending->answer = std::move(answer);
  pending->done.cancel();
  pending_.erase(pending->question);
}

void Unbound::Impl::await_results() {
  if (watching_ || !context_ || pending_.empty()) return;
  watching_ = true;
  results_.async_wait(asio::posix::stream_descriptor::wait_read, [weak = weak_from_this()](error_code error) {
    const auto self = weak.lock();
    if (!self) return;
    self->watching_ = false;
    if (error || !self->context_) return;
    ub_process(self->context_.get());
    self->await_results();
  });
}

Unbound::Impl::PendingPtr Unbound::Impl::join(Question question) {
  if (const auto found = pending_.find(question); found != pending_.end()) return found->second;
  auto pending = std::make_shared<Pending>(*this, question, options_.timeout);
  if (!context_) {
    settle(pending, failed(question.first, question.second, "the resolver was stopped"));
    return pending;
  }
  pending_.emplace(question, pending);
  const int error = ub_resolve_async(context_.get(), question.first.text().c_str(), static_cast<int>(question.second),
                                     1, pending.get(), &Impl::on_result, &pending->id);
  if (error != 0) settle(pending, failed(question.first, question.second, ub_strerror(error)));
  await_results();
  return pending;
}

// A wait ended without an answer: at the deadline for everybody, or because this one coroutine was cancelled.
void Unbound::Impl::give_up(const PendingPtr& pending, error_code error) {
  const bool late = !error || pending->done.expiry() <= std::chrono::steady_clock::now();
  if (!late && pending->waiting > 0) return;
  if (context_) ub_cancel(context_.get(), pending->id);
  const auto& [name, type] = pending->question;
  settle(pending,
         failed(name, type, late ? "timed out after " + in_words(options_.timeout) : "the look-up was cancelled"));
}

asio::awaitable<dns::Answer> Unbound::Impl::ask(std::shared_ptr<Impl> self, dns::Name name, dns::Type type) {
  const PendingPtr pending = self->join(Question(name, type));
  if (!pending->answer) {
    ++pending->waiting;
    const auto [error] = co_await pending->done.async_wait(tuple);
    --pending->waiting;
    if (!pending->answer) self->give_up(pending, error);
  }
  if (!pending->answer) co_return failed(std::move(name), type, "the look-up was cancelled");
  co_return *pending->answer;
}

asio::awaitable<void> Unbound::Impl::check(std::shared_ptr<Impl> self) {
  const dns::Answer answer = co_await ask(self, self->anchor_, dns::Type::soa);
  self->checked_ = true;
  self->failure_.reset();
  if (answer.secure()) co_return;
  self->failure_ = "our own DNSSEC validation does not work: " + self->anchor_.text() + " SOA is not secure (" +
                   (answer.failed() ? answer.why : std::string("insecure answer")) + ")";
}

Result<std::shared_ptr<Unbound::Impl>> Unbound::Impl::open(asio::any_io_executor executor, Options options) {
  Impl::Made made;
  made.files = marks_of(options);
  auto context = make_context(options);
  if (!context) return context.error();
  made.context = std::move(*context);
  auto anchor = anchor_zone(options.trust_anchor);
  if (!anchor) return anchor.error();
  made.anchor = std::move(*anchor);
  return std::make_shared<Impl>(std::move(executor), std::move(options), std::move(made));
}

// What the Unbound and its watch share.
struct Unbound::Current {
  Current(const asio::any_io_executor& on, std::shared_ptr<Impl> first)
      : executor(on), impl(std::move(first)), next_check(on), next_look(on) {}
  Result<> take(Options options);
  asio::any_io_executor executor;
  std::shared_ptr<Impl> impl;  // null when the Unbound is gone
  asio::steady_timer next_check;
  asio::steady_timer next_look;
};

Result<> Unbound::Current::take(Options options) {
  auto next = Impl::open(executor, std::move(options));
  if (!next) return next.error();
  impl = std::move(*next);
  next_check.cancel();
  return {};
}

Result<std::unique_ptr<Unbound>> Unbound::open(asio::any_io_executor executor, Options options) {
  auto impl = Impl::open(executor, std::move(options));
  if (!impl) return impl.error();
  auto current = std::make_shared<Current>(std::move(executor), std::move(*impl));
  return std::unique_ptr<Unbound>(new Unbound(std::move(current)));
}

Result<> Unbound::reload(Options options) { return current_->take(std::move(options)); }

bool Unbound::is_current(const Options& options) const {
  return current_->impl->options() == options && current_->impl->files() == marks_of(options);
}

Unbound::Unbound(std::shared_ptr<Current> current) : current_(std::move(current)) {}
Unbound::~Unbound() {
  current_->impl->close();
  current_->impl.reset();
  current_->next_check.cancel();
  current_->next_look.cancel();
}

asio::awaitable<dns::Answer> Unbound::find(dns::Name name, dns::Type type) {
  const auto impl = current_->impl;
  if (!impl->checked()) co_await Impl::check(impl);
  co_return co_await Impl::ask(impl, std::move(name), type);
}

std::optional<std::string> Unbound::validation_failure() const { return current_->impl->failure(); }

asio::awaitable<void> Unbound::watch(Changed changed) { return watch_current(current_, std::move(changed)); }

asio::awaitable<void> Unbound::watch_current(std::shared_ptr<Current> current, Changed changed) {
  std::optional<std::optional<std::string>> told;  // nothing yet, also when a reload came between
  while (current->impl) {
    const auto impl = current->impl;
    co_await Impl::check(impl);
    if (impl != current->impl) continue;
    const std::optional<std::string> failure = impl->failure();
    if (!told || *told != failure) changed(failure);
    told = failure;
    if (failure) {
      current->next_check.expires_after(check_bad);
    } else {
      current->next_check.expires_after(check_good);
    }
    co_await current->next_check.async_wait(tuple);
  }
}

asio::awaitable<void> Unbound::watch_files(Reread reread) { return watch_files_of(current_, std::move(reread)); }

// A file that is just being written is left alone until it was the same twice.
asio::awaitable<void> Unbound::watch_files_of(std::shared_ptr<Current> current, Reread reread) {
  FileMarks seen;
  FileMarks refused;  // could not be used
  while (current->impl) {
    current->next_look.expires_after(current->impl->options().look);
    co_await current->next_look.async_wait(tuple);
    if (!current->impl) co_return;
    const FileMarks before = current->impl->files();
    FileMarks now = marks_of(current->impl->options());
    const bool rests = now == seen;
    seen = now;
    if (now == before || now == refused || !rests) continue;
    Options options = current->impl->options();
    const Result<> done = current->take(std::move(options));
    refused = done ? FileMarks{} : now;
    reread(net::difference(before, now), done);
  }
}

}  // namespace hoplock::resolver
