// SPDX-License-Identifier: Apache-2.0
// Nodes as processes of their own, without SMTP: each takes messages in, leases what is due from the store that they share, "sends" it as a
// line in a common file and settles it, over the queue that the daemon has. What was acknowledged is a line in another file. So who was
// killed at any place can be held to what it had said.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "postgres/options.h"
#include "tests/support/temp_directory.h"

namespace hoplock::support::store_nodes {

struct Plan {
  postgres::Options options;
  std::string sink, acks;  // files
  int producers = 4;
  int domains = 12;
  std::chrono::milliseconds pause{5};  // of a producer between two messages
  std::chrono::milliseconds ttl{3000}, beat{300}, watch{1000};
};

// A child process; killed with it.
class Node {
 public:
  Node(const Plan& plan, std::string name);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  void kill();    // -9
  void freeze();  // SIGSTOP
  void thaw();    // SIGCONT
  void retire();  // SIGTERM: it takes nothing in any more, and ends once nothing is left in the store
  // Until it has ended so. False: not within that time; then it is killed.
  bool finish(std::chrono::seconds within);

 private:
  std::string name_;
  pid_t pid_ = -1;
};

// What the files say.
struct Judged {
  std::set<std::string> acknowledged;
  std::map<std::string, int> sent;  // how often
  std::vector<std::string> lost() const;
  int twice() const;    // sent more often than once, together
  int unasked() const;  // sent though never acknowledged
};
Judged judge(const Plan& plan);

}  // namespace hoplock::support::store_nodes
