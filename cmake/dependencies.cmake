# Debian's packages: libxtensor-dev libxtensor-blas-dev libopenblas-dev zlib1g-dev libzip-dev libpng-dev pkg-config.
set(BLA_VENDOR OpenBLAS)
find_package(xtensor REQUIRED)
find_package(xtensor-blas REQUIRED)
find_package(OpenBLAS REQUIRED)  # Sets variables, has no target.
find_package(ZLIB REQUIRED)
find_package(PNG REQUIRED)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)  # libzip's own CMake files name programs that its -dev package does not bring.
pkg_check_modules(libzip REQUIRED IMPORTED_TARGET libzip)

add_library(cinch_dependencies INTERFACE)
target_include_directories(cinch_dependencies SYSTEM INTERFACE ${OpenBLAS_INCLUDE_DIRS})
target_link_libraries(cinch_dependencies INTERFACE ${OpenBLAS_LIBRARIES} ZLIB::ZLIB PNG::PNG PkgConfig::libzip
                      Threads::Threads $<BUILD_INTERFACE:xtensor> $<BUILD_INTERFACE:xtensor-blas>)
