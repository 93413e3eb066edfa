# Debian's packages: libxtensor-dev libxtensor-blas-dev libboost-math-dev libopenblas-dev zlib1g-dev libzip-dev libpng-dev
# nlohmann-json3-dev pkg-config.
# OpenBLAS and libzip by pkg-config: their own CMake files name, on Debian 13, a folder that is not there, and programs
# that the -dev package does not bring.
set(BLA_VENDOR OpenBLAS)  # For xtensor-blas.
set(cinch_missing "")
foreach(package xtensor xtensor-blas nlohmann_json ZLIB PNG Threads PkgConfig)
  find_package(${package} QUIET)
  if(NOT ${package}_FOUND)
    list(APPEND cinch_missing ${package})
  endif()
endforeach()
find_path(CINCH_BOOST boost/math/special_functions/gamma.hpp DOC "Where Boost's headers are")
if(NOT CINCH_BOOST)
  list(APPEND cinch_missing "Boost.Math")
endif()
if(PkgConfig_FOUND)
  foreach(package openblas libzip)
    pkg_check_modules(${package} QUIET IMPORTED_TARGET ${package})
    if(NOT ${package}_FOUND)
      list(APPEND cinch_missing ${package})
    endif()
  endforeach()
endif()
if(cinch_missing)
  list(JOIN cinch_missing ", " cinch_missing)
  message(FATAL_ERROR "cinch needs what is not found here: ${cinch_missing}\nOn Debian: apt-get install g++ pkg-config "
                      "libxtensor-dev libxtensor-blas-dev libboost-math-dev libopenblas-dev zlib1g-dev libzip-dev "
                      "libpng-dev nlohmann-json3-dev")
endif()

add_library(cinch_dependencies INTERFACE)
target_include_directories(cinch_dependencies SYSTEM INTERFACE $<BUILD_INTERFACE:${CINCH_BOOST}>)
target_link_libraries(cinch_dependencies INTERFACE PkgConfig::openblas ZLIB::ZLIB PNG::PNG PkgConfig::libzip
                      Threads::Threads $<BUILD_INTERFACE:xtensor> $<BUILD_INTERFACE:xtensor-blas>
                      $<BUILD_INTERFACE:nlohmann_json::nlohmann_json>)
