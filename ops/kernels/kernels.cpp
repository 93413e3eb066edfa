#include "cinch/ops/kernels/kernels.hpp"

#include <cstdlib>
#include <string>

namespace cinch::simd {

namespace {

const KernelTable& choose_kernels() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi2");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd");
#endif
  if (const char* wanted = std::getenv("CINCH_SIMD")) {
    const std::string name = wanted;
    if (name == "baseline") return kernels_baseline;
#if defined(__x86_64__)
    if (name == "avx2" && avx2) return kernels_avx2;
    if (name == "avx512" && avx512) return kernels_avx512;
#endif
    throw ValueError("CINCH_SIMD=" + name +
                     " is not baseline, avx2 or avx512, or this processor does not support it");
  }
#if defined(__x86_64__)
  if (avx512) return kernels_avx512;
  if (avx2) return kernels_avx2;
#endif
  return kernels_baseline;
}

}  // namespace

const KernelTable& kernels() {
  static const KernelTable& chosen = choose_kernels();
  return chosen;
}

}  // namespace cinch::simd
