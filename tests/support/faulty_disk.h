// A disk that can fail, fill up or hang: the file system that SQLite uses by default while a FaultyDisk lives, its switch
// in the test's hand.
#pragma once
#include <cstdint>

namespace hoplock::support {

class FaultyDisk {
 public:
  enum class Mode : std::uint8_t {
    good,
    full,        // writes fail for want of space
    sync_fails,  // fsync reports an I/O error
    stalled,     // fsync does not return until the mode changes
  };
  FaultyDisk();
  ~FaultyDisk();
  FaultyDisk(const FaultyDisk&) = delete;
  FaultyDisk& operator=(const FaultyDisk&) = delete;

  void set(Mode mode);
  // Waits until someone hangs in a stalled fsync.
  void wait_stalled();
  std::uint64_t syncs() const;  // so far
};

}  // namespace hoplock::support
