// Ctrl-C as a question that a loop asks, and what follows where it was asked.
#pragma once

#include <cstdio>
#include <string>

#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// What follows where Ctrl-C, or SIGTERM, has ended a training or a minimisation.
enum class AfterInterrupt {
  as_shown,  ///< end_program where `out` is not null: then the training is what the program does.
  end_program,  ///< The signal is sent again, as if it had come now: a sweep ends, with the exit
                ///< code 130 (143 after SIGTERM) in a shell, unless the program handles the signal.
  give_back,    ///< The call returns, with Stopped::interrupted for the program to look at.
};

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

/// For a loop whose Interruption is gone: says on `out`, unless that is null, what became of it,
/// and sends the signal again where `after` wants the program to end.
void end_interrupted(int signal, AfterInterrupt after, std::FILE* out, const std::string& said);

}  // namespace cinch
