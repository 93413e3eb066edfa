# A toolchain whose linker refuses two definitions of one type: g++'s, and all of a program's types when it is linked.
set(CMAKE_CXX_FLAGS_INIT "-flto=auto -fno-fat-lto-objects -Wodr -Werror=odr -Werror=lto-type-mismatch")
set(CMAKE_AR gcc-ar CACHE FILEPATH "")
set(CMAKE_RANLIB gcc-ranlib CACHE FILEPATH "")
