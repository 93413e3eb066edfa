add_library(cinch_warnings INTERFACE)
target_compile_options(cinch_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(cinch_warnings INTERFACE -Wno-restrict -Wno-array-bounds)  # False alarms in g++ 12.
endif()
if(CINCH_WERROR)
  target_compile_options(cinch_warnings INTERFACE -Werror)
endif()
