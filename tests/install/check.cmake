# Does what README.md says to somebody who uses the library: builds its programs, as printed and by its own commands,
# with the build type that it prints and with none, and runs them on a few images.
# Usage: cmake -D way=find_package|add_subdirectory -D build=FOLDER -D flags=... -D compiler=... -D generator=... -P check.cmake
# `build` holds the library that is installed, `shared` a shared library of the same; for add_subdirectory, which builds the library anew, it is any folder, and
# `options` for that build, `targets` of the library to build with it may be given.
cmake_minimum_required(VERSION 3.25)
include(${CMAKE_CURRENT_LIST_DIR}/../readme.cmake)
get_filename_component(root ${CMAKE_CURRENT_LIST_DIR}/../.. ABSOLUTE)
set(work ${build}/install-test/${way})
set(source ${work}/source)
file(REMOVE_RECURSE ${work})
file(MAKE_DIRECTORY ${source})

set(ENV{CXX} ${compiler})
set(ENV{CXXFLAGS} "${flags}")
set(ENV{CMAKE_GENERATOR} ${generator})
unset(ENV{CMAKE_BUILD_TYPE})

# A command as README.md prints it, but for the names of folders.
function(run command)
  execute_process(COMMAND sh -c "${command}" WORKING_DIRECTORY ${source} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

# Runs a program, which must end with `status`. What it writes is `output`.
function(run_program command status)
  execute_process(COMMAND ${folder}/${command} WORKING_DIRECTORY ${work} RESULT_VARIABLE got
                  OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if(NOT got STREQUAL status)
    message(FATAL_ERROR "${command} ended with ${got} instead of ${status} and wrote:\n${text}")
  endif()
  set(output "${text}" PARENT_SCOPE)
endfunction()

function(expect_output text)
  string(FIND "${output}" "${text}" place)
  if(place EQUAL -1)
    message(FATAL_ERROR "Not as README.md says, but:\n${output}\ninstead of:\n${text}")
  endif()
endfunction()

# The program that README.md opens with, the same with the mistake that it goes on to make, and its model.
readme_block("" cpp program)
file(WRITE ${source}/program.cpp "${program}")
string(REPLACE "dot(h, transpose(W))" "dot(h, W)" mistake "${program}")
file(WRITE ${source}/mistake/program.cpp "${mistake}")
readme_lines("Adding a model" "const auto" lines)
configure_file(${CMAKE_CURRENT_LIST_DIR}/model.cpp.in ${source}/model.cpp @ONLY)
configure_file(${CMAKE_CURRENT_LIST_DIR}/arrays.cpp.in ${source}/arrays.cpp COPYONLY)

readme_block("Build, and use it in another project" cmake project)
if(way STREQUAL "add_subdirectory")
  file(CREATE_LINK ${root} ${source}/cinch SYMBOLIC)
  string(REGEX REPLACE "find_package[^\n]*(add_subdirectory[^\n]*)" "\\1" project "${project}")
endif()
# Folders of the user's own, named as ours: nothing of theirs is taken for ours.
foreach(header core/expr core/error core/function models/layer io/file ops/reduce optim/sgd train/train)
  file(WRITE ${source}/${header}.hpp "#error This is the user's own file\n")
endforeach()
file(WRITE ${source}/CMakeLists.txt "${project}"
     "target_include_directories(program BEFORE PRIVATE .)\ntarget_include_directories(program PRIVATE core models io)\n"
     "add_executable(mistake mistake/program.cpp)\ntarget_link_libraries(mistake PRIVATE cinch::cinch)\n"
     "add_executable(model model.cpp)\ntarget_link_libraries(model PRIVATE cinch::cinch)\n"
     "add_executable(arrays arrays.cpp)\ntarget_link_libraries(arrays PRIVATE cinch::cinch)\n")

readme_lines("Build, and use it in another project" "cmake -S" configure_and_build)
if(way STREQUAL "find_package")
  readme_lines("Build, and use it in another project" "cmake --preset release" install)
  string(REGEX REPLACE "^.*\n *(cmake --install) build/release" "\\1 ${build}" install "${install}")
  string(REPLACE DESTINATION ${work}/prefix install "${install}")
  run("${install} > installed")
  # What is installed is for users: headers directly in a folder, all of them under the project's name.
  file(GLOB_RECURSE installed RELATIVE ${work}/prefix/include ${work}/prefix/include/*)
  list(FILTER installed EXCLUDE REGEX "^cinch/([a-z]+/)?[a-z_0-9]+\\.hpp$")
  if(installed)
    message(FATAL_ERROR "These are not for users, and were installed: ${installed}")
  endif()
  string(REPLACE DESTINATION ${work}/prefix configure_and_build "${configure_and_build}")
else()
  string(REPLACE "-D CMAKE_PREFIX_PATH=DESTINATION " "" configure_and_build "${configure_and_build}")
endif()

string(REPLACE "-B build" "-B build ${options}" configure_and_build "${configure_and_build}")
if(targets)
  string(REPLACE "--build build" "--build build --target program mistake model arrays ${targets}" configure_and_build
         "${configure_and_build}")
endif()

# A compiler that is too old and a second copy of cinch in the path are told so, with what to do.
function(expect_error flags text)
  execute_process(COMMAND sh -c "${compiler} ${flags} -fsyntax-only program.cpp" WORKING_DIRECTORY ${source}
                  RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  string(FIND "${output}" "${text}" place)
  if(status EQUAL 0 OR place EQUAL -1)
    message(FATAL_ERROR "\"${text}\" is not what ${compiler} ${flags} says, but:\n${output}")
  endif()
endfunction()
if(way STREQUAL "find_package")
  expect_error("-std=c++17 -I${work}/prefix/include" "cinch needs C++20")
  file(COPY ${work}/prefix/include/cinch/core DESTINATION ${work}/older/cinch)
  file(APPEND ${work}/older/cinch/core/version.hpp "// Of another copy.\n")
  expect_error("-std=c++20 -I${work}/older -I${work}/prefix/include -include ${work}/prefix/include/cinch/core/version.hpp"
               "two copies of cinch")
endif()

# The same program by pkg-config, and the folder that comes with the library.
if(way STREQUAL "find_package")
  file(GLOB_RECURSE package_file ${work}/prefix/*/cinch.pc)
  get_filename_component(package_dir ${package_file} DIRECTORY)
  set(ENV{PKG_CONFIG_PATH} ${package_dir})
  run("${compiler} -std=c++20 ${flags} program.cpp -o ${work}/by_pkg_config $(pkg-config --cflags --libs cinch)")
  foreach(document LICENSE CHANGELOG.md CITATION.cff licences.md)
    if(NOT EXISTS ${work}/prefix/share/doc/cinch/${document})
      message(FATAL_ERROR "${document} is not installed")
    endif()
  endforeach()
endif()

# The shared library, where it was built: it shows what headers for users declare and nothing that stands in rooms, and
# the program needs no more.
if(way STREQUAL "find_package" AND shared)
  get_filename_component(shared_dir ${shared} DIRECTORY)
  run("${compiler} -std=c++20 ${flags} program.cpp -I${work}/prefix/include -o ${work}/by_shared_library ${shared} -Wl,-rpath,${shared_dir}")
  execute_process(COMMAND nm -D -C --defined-only ${shared} OUTPUT_VARIABLE shown COMMAND_ERROR_IS_FATAL ANY)
  file(GLOB_RECURSE inner ${root}/core/*/*.hpp ${root}/ops/*/*.hpp ${root}/io/*/*.hpp)
  set(rooms "")
  foreach(header IN LISTS inner)
    file(STRINGS ${header} names REGEX "^namespace cinch::[a-z_]+ {")
    list(TRANSFORM names REPLACE "namespace (cinch::[a-z_]+) {" "\\1")
    list(APPEND rooms ${names})
  endforeach()
  list(REMOVE_DUPLICATES rooms)
  list(JOIN rooms "|" rooms)
  string(REGEX MATCHALL "[^\n]* [A-Z] (${rooms})::[^\n]*" seen "${shown}")
  if(seen OR NOT rooms MATCHES "planning" OR NOT shown MATCHES " T cinch::grad")
    message(FATAL_ERROR "The shared library shows what stands in rooms, or not what it should: ${seen}")
  endif()
endif()

# FetchContent, which is add_subdirectory by another name: it finds the target, and builds neither tests nor programs.
if(way STREQUAL "find_package")
  file(WRITE ${work}/fetched/CMakeLists.txt "cmake_minimum_required(VERSION 3.25)\nproject(program LANGUAGES CXX)\n"
       "include(FetchContent)\nFetchContent_Declare(cinch SOURCE_DIR ${root})\nFetchContent_MakeAvailable(cinch)\n"
       "if(NOT TARGET cinch::cinch OR TARGET examples OR TARGET test_core)\n  message(FATAL_ERROR targets)\nendif()\n")
  run("cmake -S ${work}/fetched -B ${work}/fetched/build > ${work}/fetched/log")
endif()

# Forty images of 28 x 28 random pixels.
execute_process(COMMAND sh -c "(printf '\\000\\000\\010\\003\\000\\000\\000\\050\\000\\000\\000\\034\\000\\000\\000\\034'; head -c 31360 /dev/urandom) > images"
                WORKING_DIRECTORY ${work} COMMAND_ERROR_IS_FATAL ANY)

if(NOT DEFINED types)
  set(types printed none)
endif()
foreach(type IN LISTS types)
  set(command "${configure_and_build}")
  if(type STREQUAL "none")
    string(REPLACE " -D CMAKE_BUILD_TYPE=Release" "" command "${command}")
    string(REGEX REPLACE "(-B|--build) build" "\\1 build_none" command "${command}")
  endif()
  run("set -e\n${command}")
  set(folder ${source}/build)
  if(type STREQUAL "none")
    set(folder ${source}/build_none)
    file(STRINGS ${folder}/CMakeCache.txt chosen REGEX "^CMAKE_BUILD_TYPE:[A-Z]+=.")
    if(chosen)
      message(FATAL_ERROR "cinch chose a build type for the project that uses it: ${chosen}")
    endif()
  endif()

  file(REMOVE ${work}/filters.png)
  run_program("program;images" 0)
  if(NOT EXISTS ${work}/filters.png)
    message(FATAL_ERROR "the program wrote no picture")
  endif()
  if(way STREQUAL "find_package")
    file(REMOVE ${work}/filters.png)
    run_program("../../by_pkg_config;images" 0)
    if(shared)
      run_program("../../by_shared_library;images" 0)
    endif()
  endif()
  run_program(program 1)
  expect_output("Usage: program IMAGES")
  run_program("program;nowhere" 1)
  expect_output("nowhere")
  run_program("mistake;images" 1)
  readme_lines("Modes and errors" "dot:" message)
  string(REGEX REPLACE "(^|\n)    " "\\1" message "${message}")
  expect_output("${message}")
  run_program(model 0)
  run_program(arrays 0)
  message(STATUS "${way}, build type ${type}: ${output}")
endforeach()
