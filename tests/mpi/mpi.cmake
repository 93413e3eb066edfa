# Trainings started by mpirun, on this machine, with more ranks than it may have processors: of the MPI that cinch::mpi is
# built with, and of MPICH where that is another one.
if(NOT TARGET cinch_mpi)
  add_test(NAME "mpi: trainings on several processes" COMMAND ${CMAKE_COMMAND} -E echo
           "Skipped: no MPI is found, so cinch::mpi is not built (apt-get install libopenmpi-dev openmpi-bin)")
  set_tests_properties("mpi: trainings on several processes" PROPERTIES SKIP_REGULAR_EXPRESSION "Skipped")
  if(CINCH_EXAMPLES)
    add_test(NAME "programs that were built without an MPI say so" COMMAND sparse --distribute mpi --output without_mpi)
    set_tests_properties("programs that were built without an MPI say so" PROPERTIES
                         PASS_REGULAR_EXPRESSION "built where no MPI was found")
  endif()
  return()
endif()

add_executable(mpi_program mpi/program.cpp)
target_link_libraries(mpi_program PRIVATE cinch::mpi cinch_warnings)
target_compile_options(mpi_program PRIVATE ${program_options})

set(mpi_vendors "${MPIEXEC_EXECUTABLE}|$<TARGET_FILE:mpi_program>")
find_program(CINCH_MPICH_COMPILER mpicxx.mpich DOC "MPICH's compiler, for tests of a second MPI")
find_program(CINCH_MPICH_RUN mpiexec.mpich DOC "MPICH's launcher, for tests of a second MPI")
mark_as_advanced(CINCH_MPICH_COMPILER CINCH_MPICH_RUN)
if(CINCH_MPICH_COMPILER AND CINCH_MPICH_RUN AND NOT MPI_CXX_LIBRARIES MATCHES "mpich")
  execute_process(COMMAND ${CINCH_MPICH_COMPILER} -show OUTPUT_VARIABLE shown OUTPUT_STRIP_TRAILING_WHITESPACE)
  separate_arguments(shown UNIX_COMMAND "${shown}")
  set(mpich_include ${shown})
  list(FILTER mpich_include INCLUDE REGEX "^-I")
  list(TRANSFORM mpich_include REPLACE "^-I" "")
  set(mpich_link ${shown})
  list(FILTER mpich_link INCLUDE REGEX "^-[Ll]")
  list(FILTER mpich_link EXCLUDE REGEX "mpichcxx")
  add_executable(mpi_program_mpich mpi/program.cpp ${mpi_sources})
  target_include_directories(mpi_program_mpich SYSTEM PRIVATE ${mpich_include})
  target_link_libraries(mpi_program_mpich PRIVATE cinch_inside cinch_warnings ${mpich_link})
  target_compile_options(mpi_program_mpich PRIVATE ${program_options})
  string(APPEND mpi_vendors "|${CINCH_MPICH_RUN}|$<TARGET_FILE:mpi_program_mpich>")
endif()

# The program that the manual shows.
set(page ${PROJECT_SOURCE_DIR}/docs/manual/machines.md)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${page})
file(READ ${page} text)
if(NOT text MATCHES "```c\\+\\+\n([^`]+)```")
  message(FATAL_ERROR "docs/manual/machines.md shows no program")
endif()
file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/mpi_page.cpp CONTENT "${CMAKE_MATCH_1}" @ONLY)
add_executable(mpi_page ${CMAKE_CURRENT_BINARY_DIR}/mpi_page.cpp)
target_link_libraries(mpi_page PRIVATE cinch::mpi cinch_warnings)
target_compile_options(mpi_page PRIVATE ${program_options} -Wno-missing-field-initializers)

add_executable(test_mpi mpi/trainings.cpp)
if(CINCH_EXAMPLES)
  target_sources(test_mpi PRIVATE mpi/programs.cpp)
  add_dependencies(test_mpi examples)
endif()
target_compile_definitions(test_mpi PRIVATE CINCH_MPI_VENDORS="${mpi_vendors}"
                                            CINCH_MPI_PAGE="$<TARGET_FILE:mpi_page>")
target_link_libraries(test_mpi PRIVATE cinch_inside cinch_test_main cinch_warnings)
target_compile_options(test_mpi PRIVATE ${program_options})
target_precompile_headers(test_mpi REUSE_FROM cinch_test_main)
if(TARGET mpi_program_mpich)
  add_dependencies(test_mpi mpi_program_mpich)
endif()
add_dependencies(test_mpi mpi_program mpi_page)
# One at a time: time limits are tested, and the machine is shared by all ranks. MPIs keep memory to the end, which is no leak
# of ours for the address sanitizer to find.
doctest_discover_tests(test_mpi TEST_PREFIX "mpi: "
                       PROPERTIES COST 50 RUN_SERIAL TRUE TIMEOUT 400 ENVIRONMENT LSAN_OPTIONS=detect_leaks=0)
