// Ctrl-C as a question that a loop asks.
#pragma once

namespace cinch {

/// While one lives, the first SIGINT (Ctrl-C) or SIGTERM only makes asked() true, so that a loop
/// can end after its current step and save; a second one ends the program. Signals that were
/// ignored stay ignored. There may be several, in several threads: one signal asks them all, and
/// signals mean what they did before once the last is gone.
class Interruption {
 public:
  Interruption();
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  bool asked() const;
  /// The signal that asked; 0 for none.
  int signal() const;
};

}  // namespace cinch
