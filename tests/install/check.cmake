# Installs the library, builds the program that opens README.md against what was installed, and runs it on a few
# images. Usage: cmake -D build=FOLDER -D flags=... -D type=... -D compiler=... -D generator=... -P check.cmake
cmake_minimum_required(VERSION 3.25)
set(here ${CMAKE_CURRENT_LIST_DIR})
set(work ${build}/install-test)
file(REMOVE_RECURSE ${work})

file(READ ${here}/../../README.md readme)
if(NOT readme MATCHES "```cpp\n([^`]+)```")
  message(FATAL_ERROR "README.md does not open with a program")
endif()
file(WRITE ${work}/source/program.cpp "${CMAKE_MATCH_1}")
file(COPY ${here}/CMakeLists.txt DESTINATION ${work}/source)

# Forty images of 28 x 28 random pixels.
execute_process(COMMAND sh -c "(printf '\\000\\000\\010\\003\\000\\000\\000\\050\\000\\000\\000\\034\\000\\000\\000\\034'; head -c 31360 /dev/urandom) > images"
                WORKING_DIRECTORY ${work} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} --install ${build} --prefix ${work}/prefix
                OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} -S ${work}/source -B ${work}/build -G ${generator}
                -D CMAKE_PREFIX_PATH=${work}/prefix -D CMAKE_CXX_COMPILER=${compiler}
                "-D CMAKE_CXX_FLAGS=${flags}" -D CMAKE_BUILD_TYPE=${type}
                COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} --build ${work}/build COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${work}/build/program images WORKING_DIRECTORY ${work} COMMAND_ERROR_IS_FATAL ANY)
if(NOT EXISTS ${work}/filters.png)
  message(FATAL_ERROR "the program wrote no picture")
endif()
