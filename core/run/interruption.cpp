#include "cinch/core/interruption.hpp"

#include <signal.h>

#include <csignal>
#include <mutex>

namespace cinch {

namespace {

// A signal handler reaches nothing but globals.
volatile std::sig_atomic_t signal_received = 0;

std::mutex mutex;
int alive = 0;
struct sigaction before_int, before_term;

void note_signal(int signal) { signal_received = signal; }

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
  const std::scoped_lock lock(mutex);
  if (alive++ > 0) return;
  signal_received = 0;
  ask(SIGINT, before_int);
  ask(SIGTERM, before_term);
}

Interruption::~Interruption() {
  const std::scoped_lock lock(mutex);
  if (--alive > 0) return;
  sigaction(SIGINT, &before_int, nullptr);
  sigaction(SIGTERM, &before_term, nullptr);
}

bool Interruption::asked() const { return signal_received != 0; }
int Interruption::signal() const { return signal_received; }

void end_interrupted(int signal, AfterInterrupt after, std::FILE* out, const std::string& said) {
  if (out) std::fprintf(out, "%s\n", said.c_str());
  const bool ends =
      after == AfterInterrupt::end_program || (after == AfterInterrupt::as_shown && out);
  if (!ends) return;
  std::fflush(nullptr);
  std::raise(signal);
}

}  // namespace cinch
