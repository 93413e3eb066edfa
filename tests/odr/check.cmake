# The flags of cmake/odr.cmake do what they are for: of each pair of definitions of one name, two files with it are not
# linked unless both are the same. Usage: cmake -D build=FOLDER -D compiler=... -P check.cmake
cmake_minimum_required(VERSION 3.25)
set(work ${build}/odr-test)
file(REMOVE_RECURSE ${work})
include(${CMAKE_CURRENT_LIST_DIR}/../../cmake/odr.cmake)

# Definitions of Thing, with "," for ";".
set(definitions "struct Thing { int a, }" "struct Thing { double a, }" "struct Thing { int b, }"
                "struct Thing { Thing() = default, Thing(const Thing&) {} int a = 0, }" "enum class Thing { a }"
                "enum class Thing { b }")
list(LENGTH definitions count)
math(EXPR last "${count} - 1")
foreach(k RANGE ${last})
  list(GET definitions ${k} definition)
  string(REPLACE "," ";" definition "${definition}")
  foreach(name first second)
    file(WRITE ${work}/${name}_${k}.cpp
         "${definition};\nint ${name}(const Thing& t) { const Thing copy = t; return sizeof copy; }\n"
         "int ${name}() { return ${name}(Thing()); }\n")
    if(name STREQUAL "second")
      file(APPEND ${work}/${name}_${k}.cpp "int first();\nint main() { return first() + second(); }\n")
    endif()
    execute_process(COMMAND ${compiler} -std=c++20 ${odr_compile_flags} -c ${name}_${k}.cpp WORKING_DIRECTORY ${work}
                    COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
endforeach()
foreach(i RANGE ${last})
  foreach(k RANGE ${i} ${last})
    execute_process(COMMAND ${compiler} ${odr_check_flags} first_${i}.o second_${k}.o -o both.o WORKING_DIRECTORY ${work}
                    RESULT_VARIABLE status OUTPUT_QUIET ERROR_QUIET)
    list(GET definitions ${i} one)
    list(GET definitions ${k} other)
    if(status EQUAL 0 AND NOT i EQUAL k)
      message(SEND_ERROR "These were linked: ${one}, and ${other}")
    elseif(NOT status EQUAL 0 AND i EQUAL k)
      message(SEND_ERROR "This was refused beside itself: ${one}")
    endif()
  endforeach()
endforeach()
