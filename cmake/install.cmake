# What other projects use: find_package(cinch), then link cinch::cinch.
include(CMakePackageConfigHelpers)
set(cinch_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/cinch)

# cinch_dependencies says what a program that links the static library has to link as well.
# Components are the packages of cmake/package.cmake.
install(TARGETS cinch cinch_dependencies EXPORT cinch-targets
        LIBRARY COMPONENT library NAMELINK_COMPONENT development
        ARCHIVE COMPONENT development
        FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(FILES cinch/cinch.hpp cinch/xtensor.hpp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cinch COMPONENT development)
install(EXPORT cinch-targets NAMESPACE cinch:: DESTINATION ${cinch_package_dir} COMPONENT development)

# The component mpi, where it is built: find_package(cinch COMPONENTS mpi), then link cinch::mpi.
if(TARGET cinch_mpi)
  install(TARGETS cinch_mpi EXPORT cinch-mpi-targets ARCHIVE COMPONENT development
          FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
  install(EXPORT cinch-mpi-targets NAMESPACE cinch:: DESTINATION ${cinch_package_dir} COMPONENT development)
endif()

configure_package_config_file(cmake/cinchConfig.cmake.in ${PROJECT_BINARY_DIR}/cinchConfig.cmake
                              INSTALL_DESTINATION ${cinch_package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/cinchConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/cinchConfig.cmake ${PROJECT_BINARY_DIR}/cinchConfigVersion.cmake
        DESTINATION ${cinch_package_dir} COMPONENT development)

# The same for pkg-config; a folder that is moved stays right. Who links the archive has to link what it needs; with the
# shared library not even its packages have to be there.
set(cinch_pc_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH cinch_prefix_from_pc /prefix/${cinch_pc_dir} /prefix)
string(REGEX REPLACE "/$" "" cinch_prefix_from_pc "${cinch_prefix_from_pc}")
set(cinch_pc_requires "")
if(NOT BUILD_SHARED_LIBS)
  set(cinch_pc_requires "Requires: openblas zlib libpng libzip\n")
endif()
configure_file(cmake/cinch.pc.in ${PROJECT_BINARY_DIR}/cinch.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/cinch.pc DESTINATION ${cinch_pc_dir} COMPONENT development)

install(FILES LICENSE CHANGELOG.md CITATION.cff docs/licences.md DESTINATION ${CMAKE_INSTALL_DOCDIR}
        COMPONENT documents)
