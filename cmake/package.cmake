# Debian packages by CPack: libcinch0.1, libcinch-dev and cinch-tools, the programs as cinch-vae and the like, with pages
# for man and completion for bash. scripts/package sets CINCH_PACKAGE and builds them.
if(NOT BUILD_SHARED_LIBS)
  message(FATAL_ERROR "packages hold the shared library: -D BUILD_SHARED_LIBS=ON")
endif()
set(CINCH_PACKAGE_CONTACT "The Cinch authors <cinch@localhost>" CACHE STRING "Who answers for the packages")
set(CINCH_PACKAGE_SUFFIX "" CACHE STRING "Of the version, where the sources are not those of a commit: +dirty")
set(CINCH_PACKAGE_DATE "Thu, 01 Jan 1970 00:00:00 +0000" CACHE STRING "Of the commit, as git log --format=%aD says it")
set(soname_version ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
set(package_version ${PROJECT_VERSION}${CINCH_PACKAGE_SUFFIX})
set(folder ${PROJECT_BINARY_DIR}/package)
file(MAKE_DIRECTORY ${folder}/completions)
find_program(HELP2MAN help2man REQUIRED)
find_program(GZIP gzip REQUIRED)

set(library_package libcinch${soname_version})
set(development_package libcinch-dev)
set(tools_package cinch-tools)

# What every Debian package has to bring. Notices of what is compiled in are those of its packages.
file(READ ${PROJECT_SOURCE_DIR}/LICENSE licence)
file(WRITE ${folder}/copyright "Cinch ${PROJECT_VERSION}\n\n${licence}")
foreach(part libxtensor-dev libxtensor-blas-dev libxtl-dev xtl-dev libboost-math-dev nlohmann-json3-dev libcli11-dev)
  if(EXISTS /usr/share/doc/${part}/copyright)
    file(READ /usr/share/doc/${part}/copyright notice)
    file(APPEND ${folder}/copyright "\n\nParts are compiled in of ${part}, whose notice is:\n\n${notice}")
  endif()
endforeach()
file(WRITE ${folder}/changelog.Debian
     "cinch (${package_version}-1) unstable; urgency=medium\n\n  * Version ${PROJECT_VERSION}; changelog.gz says what is new.\n\n"
     " -- ${CINCH_PACKAGE_CONTACT}  ${CINCH_PACKAGE_DATE}\n")
configure_file(${PROJECT_SOURCE_DIR}/CHANGELOG.md ${folder}/changelog COPYONLY)
foreach(name changelog changelog.Debian)
  execute_process(COMMAND ${GZIP} -9nkf ${folder}/${name} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
foreach(component library development tools)
  # Who publishes them sets CINCH_PACKAGE_CONTACT; they are not uploaded to Debian, where a bug would ask for them.
  set(package ${${component}_package})
  file(WRITE ${folder}/overrides/${package} "${package}: bogus-mail-host *\n"
       "${package}: bogus-mail-host-in-debian-changelog *\n${package}: initial-upload-closes-no-bugs *\n")
  install(FILES ${folder}/overrides/${package} DESTINATION share/lintian/overrides COMPONENT ${component})
  install(FILES ${folder}/copyright ${folder}/changelog.gz ${folder}/changelog.Debian.gz COMPONENT ${component}
          DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/${${component}_package})
endforeach()

# The programs, each with its page, which help2man makes of --help, and completion.
set(pages "")
foreach(program IN LISTS example_programs)
  set_target_properties(${program} PROPERTIES OUTPUT_NAME cinch-${program} INSTALL_RPATH "")
  install(TARGETS ${program} COMPONENT tools)
  file(READ ${PROJECT_SOURCE_DIR}/examples/${program}.cpp text)
  string(REGEX MATCH "CLI::App app{[ \n]*\"([^\"]*)" found "${text}")
  string(REGEX REPLACE "(\\\\n|[.: ])+$" "" says "${CMAKE_MATCH_1}")
  set(page ${folder}/cinch-${program}.1.gz)
  add_custom_command(OUTPUT ${page} DEPENDS ${program} VERBATIM
                     COMMAND ${HELP2MAN} --no-info --section=1 "--name=${says}" -o ${folder}/cinch-${program}.1
                             $<TARGET_FILE:${program}>
                     COMMAND ${GZIP} -9nf ${folder}/cinch-${program}.1)
  list(APPEND pages ${page})
  file(CREATE_LINK cinch ${folder}/completions/cinch-${program} SYMBOLIC)
  install(FILES ${folder}/completions/cinch-${program} DESTINATION share/bash-completion/completions COMPONENT tools)
endforeach()
add_custom_target(cinch_pages ALL DEPENDS ${pages})
install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT tools)
install(FILES cmake/completion.bash RENAME cinch DESTINATION share/bash-completion/completions COMPONENT tools)
install(DIRECTORY examples/lessons/ DESTINATION share/doc/${development_package}/examples COMPONENT development)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME cinch)
set(CPACK_PACKAGE_VERSION ${package_version})
set(CPACK_PACKAGE_CONTACT "${CINCH_PACKAGE_CONTACT}")
set(CPACK_COMPONENTS_ALL library development tools)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
    WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME ${library_package})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME ${development_package})
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "${library_package} (= ${package_version}-1)")
set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME ${tools_package})
set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION science)
set(CPACK_DEBIAN_TOOLS_PACKAGE_DEPENDS "${library_package} (= ${package_version}-1)")
set(CPACK_DEBIAN_TOOLS_PACKAGE_RECOMMENDS "dataset-fashion-mnist, gnuplot-nox | gnuplot")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")  # Each description begins with its own.
set(about "A framework in the manner of Theano: costs are expressions, their gradients
are expressions, and products and sums are computed in the order that costs
least, so that penalties on Jacobians run as if derived by hand.")
if(CINCH_PACKAGE_SUFFIX)
  string(APPEND about "\n.\nBuilt from sources with changes that are in no commit.")
endif()
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "symbolic differentiation and autoencoders: library
${about}\n.\nThis is the shared library.")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "symbolic differentiation and autoencoders: headers
${about}\n.\nThese are the headers, the files for CMake and pkg-config, and ten lessons.")
set(CPACK_COMPONENT_TOOLS_DESCRIPTION "symbolic differentiation and autoencoders: programs
${about}\n.\nThese are programs that train models on images and draw what they learned.")
include(CPack)
