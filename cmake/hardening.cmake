# What a release guards against: overflows of buffers and of the stack, positions outside a standard container, tables of
# addresses that can be written. For the library and the programs; other projects choose for their own code.
add_library(cinch_hardening INTERFACE)
set(optimised $<CONFIG:Release,MinSizeRel>)
target_compile_options(cinch_hardening INTERFACE -fstack-protector-strong
                       "$<${optimised}:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=2;-D_GLIBCXX_ASSERTIONS>")
if(NOT APPLE)
  target_link_options(cinch_hardening INTERFACE -Wl,-z,relro -Wl,-z,now)
endif()

# Lines of the source are named as cinch/core/expr.hpp wherever the folder stands, so that two folders give the same
# bits. Of two prefixes the compiler takes the last.
target_compile_options(cinch_hardening INTERFACE -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=cinch/
                       -ffile-prefix-map=${PROJECT_BINARY_DIR}/=cinch/build/
                       -ffile-prefix-map=${PROJECT_BINARY_DIR}/include/=)
