# Debian's packages: libxtensor-dev libxtensor-blas-dev libopenblas-dev zlib1g-dev libzip-dev libpng-dev pkg-config.
# OpenBLAS and libzip by pkg-config: their own CMake files name, on Debian 13, a folder that is not there, and programs
# that the -dev package does not bring.
set(BLA_VENDOR OpenBLAS)  # For xtensor-blas.
find_package(xtensor REQUIRED)
find_package(xtensor-blas REQUIRED)
find_package(ZLIB REQUIRED)
find_package(PNG REQUIRED)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(openblas REQUIRED IMPORTED_TARGET openblas)
pkg_check_modules(libzip REQUIRED IMPORTED_TARGET libzip)

add_library(cinch_dependencies INTERFACE)
target_link_libraries(cinch_dependencies INTERFACE PkgConfig::openblas ZLIB::ZLIB PNG::PNG PkgConfig::libzip
                      Threads::Threads $<BUILD_INTERFACE:xtensor> $<BUILD_INTERFACE:xtensor-blas>)
