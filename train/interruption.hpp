// Ctrl-C as a question that a loop asks.
#pragma once

#include <csignal>

namespace cinch {

/// While it lives, the first SIGINT (Ctrl-C) or SIGTERM only makes asked() true, so that a loop can
/// end after its current step and save; a second one ends the program. Signals that were ignored
/// stay ignored. One at a time.
class Interruption {
 public:
  Interruption();
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  bool asked() const;

 private:
  struct sigaction before_int_ {};
  struct sigaction before_term_ {};
};

}  // namespace cinch
