// SPDX-License-Identifier: Apache-2.0
// The tool's end of the control socket: blocking, one request after the other, each within a deadline. An Error with code
// errc::not_connected means that no daemon can be reached there, protocol_error that it is of another version (exit 69 for both), and
// operation_not_permitted that it refused. A daemon that stands still is given up within ten seconds, whatever it was asked; one that
// works is waited for.
#pragma once
#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/protocol.h"

namespace hoplock::control {

class Client {
 public:
  static Result<Client> connect(const std::string& path);
  Client(Client&& other) noexcept;
  Client& operator=(Client&&) = delete;
  ~Client();

  // Messages so far, about once a second.
  using Progress = std::function<void(std::uint64_t messages)>;
  // Many ids go in several requests; what was affected is added up. No answer comes within the deadline: an Error.
  Result<store::Affected> act(store::Action action, const store::Selection& selection, const Progress& progress = {});
  Result<std::vector<store::Lease>> active();  // sorted
  Result<std::vector<queue::InLine>> waiting();
  Result<Status> status();
  // The complaint, where the new configuration was refused and the old one stays.
  Result<std::optional<std::string>> reload();
  // Waits for the fetch.
  Result<route::PolicyEvent> refresh_policy(const dns::Name& domain);
  // Lets the database give back what it has free; the progress counts pages that are still free.
  Result<Compacted> compact(const Progress& progress);
  // In several requests where they are many; all of them are carried out, or none.
  Result<partners::Done> change_partners(const std::vector<partners::Order>& orders);
  // Does not wait for the reports to be sent.
  Result<reports::Sender::SendNowResult> send_reports(const SendReports& send);

 private:
  Client(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
  bool is_daemon_alive() const;
  Result<std::string> post(const std::string& text, std::chrono::seconds limit, const Progress& progress);
  template <class R>
  Result<typename R::Reply> ask(const R& request, std::chrono::seconds limit, const Progress& progress = {});
  int descriptor_;
  std::string path_;
};

}  // namespace hoplock::control
