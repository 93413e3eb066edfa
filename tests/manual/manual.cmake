# Every block of code in docs/manual/ compiles, runs, and prints what its page says: each page is made a file of one test
# program, in which compilers and errors name the page's lines.
add_executable(manual_generate manual/generate.cpp manual/page.cpp)
target_include_directories(manual_generate PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(manual_generate PRIVATE cinch_warnings)
target_compile_options(manual_generate PRIVATE ${program_options})

file(GLOB pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/manual/*.md)
set(manual_sources manual/page.cpp manual/page_run.cpp manual/functions.cpp)
foreach(page IN LISTS pages)
  get_filename_component(name ${page} NAME_WE)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/manual/${name}.cpp)
  file(STRINGS ${page} code REGEX "^```cpp" LIMIT_COUNT 1)
  if(code)
    add_custom_command(OUTPUT ${source} DEPENDS manual_generate ${page} VERBATIM
                       COMMAND manual_generate ${page} docs/manual/${name}.md ${source})
    list(APPEND manual_sources ${source})
    # Blocks show what can be written, and need not use all of it.
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "-Wno-unused;-Wno-shadow")
  endif()
endforeach()
file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/manual)
add_executable(test_manual ${manual_sources})
target_link_libraries(test_manual PRIVATE cinch_inside cinch_test_main cinch_dependencies cinch_warnings)
target_compile_options(test_manual PRIVATE ${program_options})
target_precompile_headers(test_manual REUSE_FROM cinch_test_main)
doctest_discover_tests(test_manual TEST_PREFIX "manual: ")

# The site that scripts/manual makes of the pages, and of the headers by Doxygen.
set(site_test "the manual builds, its links lead somewhere and its search needs no server")
add_test(NAME ${site_test} COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/manual/site.sh ${PROJECT_SOURCE_DIR}
                                   ${CMAKE_CURRENT_BINARY_DIR}/manual_site)
set_tests_properties(${site_test} PROPERTIES SKIP_RETURN_CODE 77 LABELS manual)
