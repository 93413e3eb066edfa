# The component cinch::mpi, where there is an MPI. Nothing else needs it.
find_package(MPI QUIET COMPONENTS CXX)
if(NOT MPI_CXX_FOUND)
  message(STATUS "cinch::mpi is left out: no MPI is found (on Debian: apt-get install libopenmpi-dev openmpi-bin)")
  return()
endif()
file(CREATE_LINK ${PROJECT_SOURCE_DIR}/mpi ${cinch_include}/cinch/mpi SYMBOLIC)
file(GLOB mpi_sources CONFIGURE_DEPENDS mpi/*.cpp)
file(GLOB mpi_doors CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} mpi/*.hpp)
list(TRANSFORM mpi_doors PREPEND ${cinch_include}/cinch/)
add_library(cinch_mpi STATIC ${mpi_sources})
add_library(cinch::mpi ALIAS cinch_mpi)
set_target_properties(cinch_mpi PROPERTIES EXPORT_NAME mpi POSITION_INDEPENDENT_CODE ON)
target_sources(cinch_mpi PUBLIC FILE_SET HEADERS BASE_DIRS ${cinch_include} FILES ${mpi_doors})
# A program that is linked with it is linked with MPI; it includes nothing of it.
target_link_libraries(cinch_mpi PUBLIC cinch PRIVATE MPI::MPI_CXX $<BUILD_INTERFACE:cinch_warnings>
                      $<BUILD_INTERFACE:cinch_hardening>)
