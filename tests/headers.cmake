# Every header of the library, inside ones too, in one file, in ascending and in descending order: no name means two
# things, and no header leans on another that happens to come first.
list(SORT cinch_headers)
set(ascending "")
set(descending "")
foreach(header IN LISTS cinch_headers)
  string(APPEND ascending "#include \"cinch/${header}\"\n")
  string(PREPEND descending "#include \"cinch/${header}\"\n")
endforeach()
set(folder ${CMAKE_CURRENT_BINARY_DIR}/every_header)
foreach(order ascending descending)
  file(CONFIGURE OUTPUT ${folder}/${order}.cpp CONTENT "${${order}}\nint ${order}() { return 0; }\n" @ONLY)
endforeach()
file(CONFIGURE OUTPUT ${folder}/main.cpp @ONLY
     CONTENT "int ascending();\nint descending();\n\nint main() { return ascending() + descending(); }\n")
add_executable(test_headers ${folder}/ascending.cpp ${folder}/descending.cpp ${folder}/main.cpp)
target_link_libraries(test_headers PRIVATE cinch_inside cinch_dependencies cinch_warnings)
add_test(NAME "every header compiles with every other, in both orders" COMMAND test_headers)
set_tests_properties("every header compiles with every other, in both orders" PROPERTIES LABELS odr)
