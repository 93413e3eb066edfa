# What README.md shows, for the tests that do what it says.

# What is under the heading "## `title`", up to the next; with title "" what stands before the first.
function(readme_section title result)
  file(READ ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../README.md text)
  if(title)
    string(FIND "${text}" "\n## ${title}\n" start)
    if(start EQUAL -1)
      message(FATAL_ERROR "README.md has no section \"${title}\"")
    endif()
    math(EXPR start "${start} + 1")
    string(SUBSTRING "${text}" ${start} -1 text)
  endif()
  string(FIND "${text}" "\n## " end)
  string(SUBSTRING "${text}" 0 ${end} text)
  set(${result} "${text}" PARENT_SCOPE)
endfunction()

# The first block of `language` under a heading.
function(readme_block title language result)
  readme_section("${title}" text)
  if(NOT text MATCHES "```${language}\n([^`]+)```")
    message(FATAL_ERROR "README.md has no ${language} block under \"${title}\"")
  endif()
  set(${result} "${CMAKE_MATCH_1}" PARENT_SCOPE)
endfunction()

# The first block under a heading whose lines begin with four spaces, which it keeps, and with `first` after them.
function(readme_lines title first result)
  readme_section("${title}" text)
  if(NOT text MATCHES "\n(    ${first}[^\n]*\n(    [^\n]*\n)*)")
    message(FATAL_ERROR "README.md has no lines \"${first}\" under \"${title}\"")
  endif()
  set(${result} "${CMAKE_MATCH_1}" PARENT_SCOPE)
endfunction()
