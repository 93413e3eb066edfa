# Writes the commit that is built as a header. Usage: cmake -D source=FOLDER -D output=FILE -P commit.cmake
execute_process(COMMAND git describe --always --dirty WORKING_DIRECTORY ${source}
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(commit "unknown")
endif()
set(text "inline constexpr char commit_of_build[] = \"${commit}\";\n")
if(EXISTS ${output})
  file(READ ${output} before)
endif()
if(NOT "${before}" STREQUAL "${text}")
  file(WRITE ${output} "${text}")
endif()
