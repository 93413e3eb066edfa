#include "train/interruption.hpp"

#include <signal.h>

namespace cinch {

namespace {

// A signal handler reaches nothing but globals.
volatile std::sig_atomic_t signals_received = 0;

void note_signal(int) { signals_received = 1; }

void ask(int signal, struct sigaction& before) {
  sigaction(signal, nullptr, &before);
  if (before.sa_handler == SIG_IGN) return;
  struct sigaction action {};
  action.sa_handler = note_signal;
  sigemptyset(&action.sa_mask);
  // The system's own action is back after the first; a call that waits goes on.
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
  sigaction(signal, &action, nullptr);
}

}  // namespace

Interruption::Interruption() {
  signals_received = 0;
  ask(SIGINT, before_int_);
  ask(SIGTERM, before_term_);
}

Interruption::~Interruption() {
  sigaction(SIGINT, &before_int_, nullptr);
  sigaction(SIGTERM, &before_term_, nullptr);
}

bool Interruption::asked() const { return signals_received != 0; }

}  // namespace cinch
