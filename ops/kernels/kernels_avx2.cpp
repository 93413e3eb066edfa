// Elementwise loops for one instruction set; CMakeLists.txt gives this file its flags.
#define CINCH_SIMD_NAME "avx2"
#define CINCH_SIMD_TABLE kernels_avx2
#include "cinch/ops/kernels/kernels_body.inl"
