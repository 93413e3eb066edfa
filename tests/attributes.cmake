# What the integers of an op's attributes mean is said once, by a struct that names them: they have places only in its
# of(const Attrs& a), which reads them, and in its attrs(), which writes them, or in functions of such names. See
# core/algebra.hpp.
# Usage: cmake -P tests/attributes.cmake
cmake_minimum_required(VERSION 3.25)
get_filename_component(root ${CMAKE_CURRENT_LIST_DIR}/.. ABSOLUTE)

# These declare, compare, print or hash them all, whatever they mean.
set(of_any_meaning core/expr.hpp core/graph/expr.cpp core/graph/graph.cpp core/rewrite/rewrite.cpp
                   core/derive/examples.cpp)

set(body "{([^{}]|{([^{}]|{[^{}]*})*})*}")
set(reader "[ :]([a-z_]+_)?of\\(const Attrs& [a-z]+\\) ${body}")
set(writer "Attrs ([a-z]+::)?attrs(_of)?\\([^()]*\\)( const| &&)? ${body}")
set(use "[^\n]*[.>]ints[^a-zA-Z0-9_][^\n]*")
foreach(folder core ops models audit)
  file(GLOB_RECURSE files RELATIVE ${root} ${root}/${folder}/*.hpp ${root}/${folder}/*.cpp ${root}/${folder}/*.inl)
  list(REMOVE_ITEM files ${of_any_meaning})
  foreach(file IN LISTS files)
    file(READ ${root}/${file} text)
    if(NOT text MATCHES "${use}")
      continue()
    endif()
    string(REGEX REPLACE "${reader}" "" text "${text}")
    string(REGEX REPLACE "${writer}" "" text "${text}")
    if(text MATCHES "${use}")
      message(SEND_ERROR "${file} uses an op's integers by their places, not by names: ${CMAKE_MATCH_0}")
    endif()
  endforeach()
endforeach()
