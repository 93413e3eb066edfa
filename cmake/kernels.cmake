# The loops over formulas: always optimised, because they are written to become SIMD code, and once per instruction set.
# No -ffast-math: NaN, infinities and signed zeros keep their meaning. Never across files: what one instruction set's
# file holds must not become part of what every processor runs.
set(kernel_flags -O3 -fno-lto -fno-math-errno -fno-trapping-math -ffp-contract=fast)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  list(APPEND kernel_flags -Wno-pass-failed)  # Loops over sin, cos and pow stay scalar.
else()
  list(APPEND kernel_flags -Wno-maybe-uninitialized)
endif()
set(kernel_sources ops/kernels/kernels_baseline.cpp ops/kernels/kernels_avx2.cpp ops/kernels/kernels_avx512.cpp)
set_source_files_properties(ops/kernels/kernels_baseline.cpp PROPERTIES COMPILE_OPTIONS "${kernel_flags}")
set_source_files_properties(ops/kernels/kernels_avx2.cpp PROPERTIES COMPILE_OPTIONS "${kernel_flags};-march=x86-64-v3;-DCINCH_VECTOR_BYTES=32")
set_source_files_properties(ops/kernels/kernels_avx512.cpp PROPERTIES COMPILE_OPTIONS
                            "${kernel_flags};-march=x86-64-v4;-mprefer-vector-width=512;-DCINCH_VECTOR_BYTES=64")
# NumPy's generator to the last digit: a fused multiply-add would round once where NumPy rounds twice.
set_source_files_properties(ops/random/random_state.cpp PROPERTIES COMPILE_OPTIONS -ffp-contract=off)
