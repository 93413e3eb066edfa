// How many threads a program computes with.
#pragma once

#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// Sets how many threads kernels may use, the calling one included; 0 stands for one for each
/// processor this process may run on. Until it is called, the environment variable CINCH_THREADS
/// says how many, and without it 0. Results are the same bits for any number. Throws ValueError for
/// a negative number, or more than 256. May be called at any time; waits for kernels that run.
/// Where the system gives fewer threads (a limit on processes, no address space), kernels work with
/// those there are, the calling one at least, and threads() says how many. A process that was
/// forked has a team of its own; static objects and detached threads may compute to the very end of
/// the program.
void set_threads(int n);
/// How many threads kernels may use. Throws ValueError where CINCH_THREADS is no such number.
int threads();

}  // namespace cinch
