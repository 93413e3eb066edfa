// Whether the processor has what hand_step.cpp was compiled for. A file of its own: nothing here is
// compiled for more than every processor has.
#include "works.hpp"

namespace cinch::bench {

extern const int hand_vector_bytes;

std::string hand_lacks() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (hand_vector_bytes == 64 &&
      !(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")))
    return "AVX-512";
  if (hand_vector_bytes == 32 && !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")))
    return "AVX2";
#endif
  return "";
}

}  // namespace cinch::bench
