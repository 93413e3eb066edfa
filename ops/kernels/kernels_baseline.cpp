// Elementwise loops for one instruction set; CMakeLists.txt gives this file its flags.
#define CINCH_SIMD_NAME "baseline"
#define CINCH_SIMD_TABLE kernels_baseline
#include "cinch/ops/kernels/kernels_body.inl"
