# The library and the programs say nothing of the folder that they were built in: two folders give the same bits, and no
# user reads another's paths.
# Usage: cmake -D "files=libcinch.a;vae" -D source=DIR -D build=DIR [-D objcopy=PROGRAM] -P tests/folders.cmake
# With objcopy, what an archive holds for the comparison of types (CINCH_ODR) is left aside: no release has it.
cmake_minimum_required(VERSION 3.25)
foreach(file IN LISTS files)
  if(objcopy AND file MATCHES "\\.a$")
    execute_process(COMMAND ${objcopy} --wildcard --remove-section=.gnu.lto_* --remove-section=.gnu.debuglto_* ${file}
                            ${build}/without-types.a COMMAND_ERROR_IS_FATAL ANY)
    set(file ${build}/without-types.a)
  endif()
  foreach(folder IN LISTS source build)
    string(REGEX REPLACE "([][+.*()^$?|\\\\])" "\\\\\\1" pattern "${folder}/")
    file(STRINGS ${file} lines REGEX "${pattern}" LIMIT_COUNT 1)
    if(lines)
      message(SEND_ERROR "${file} names the folder that it was built in: ${lines}")
    endif()
  endforeach()
endforeach()
