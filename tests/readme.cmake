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

# What the parentheses of `pattern` hold where it matches first under a heading.
function(readme_match title pattern what result)
  readme_section("${title}" text)
  if(NOT text MATCHES "${pattern}")
    message(FATAL_ERROR "README.md has no ${what} under \"${title}\"")
  endif()
  set(${result} "${CMAKE_MATCH_1}" PARENT_SCOPE)
endfunction()

# The first block of `language` under a heading.
macro(readme_block title language result)
  readme_match("${title}" "```${language}\n([^`]+)```" "${language} block" ${result})
endmacro()

# The first block under a heading whose lines begin with four spaces, which it keeps, and with `first` after them.
macro(readme_lines title first result)
  readme_match("${title}" "\n(    ${first}[^\n]*\n(    [^\n]*\n)*)" "lines \"${first}\"" ${result})
endmacro()
