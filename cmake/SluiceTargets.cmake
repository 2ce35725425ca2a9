# Flags that belong to sluice's own sources; nothing here reaches the targets of a parent project.

# sluice_find(TARGET PACKAGE [find_package arguments]): finds a package unless its target is there already. The
# target becomes visible to a parent project too, since that links it through ours.
macro(sluice_find target)
  if(NOT TARGET ${target})
    find_package(${ARGN} REQUIRED)
    set_target_properties(${target} PROPERTIES IMPORTED_GLOBAL TRUE)
  endif()
endmacro()

sluice_find(Threads::Threads Threads)

function(sluice_own_flags target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion
    -Wnon-virtual-dtor -Wold-style-cast -Wcast-align -Wundef)
  if(SLUICE_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(SLUICE_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${SLUICE_SANITIZE} -fno-omit-frame-pointer
      -fno-sanitize-recover=all)
    target_link_options(${target} PRIVATE -fsanitize=${SLUICE_SANITIZE})
  endif()
endfunction()

# sluice_room(NAME SOURCES... ): the library target sluice::NAME with its own include root.
function(sluice_room name)
  add_library(sluice_${name} ${ARGN})
  add_library(sluice::${name} ALIAS sluice_${name})
  sluice_own_flags(sluice_${name})
  set_target_properties(sluice_${name} PROPERTIES EXPORT_NAME ${name} OUTPUT_NAME sluice_${name}
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  target_include_directories(sluice_${name}
    PUBLIC $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
    PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/src)
endfunction()

# sluice_program(NAME SOURCES...): an executable with the project's own flags.
function(sluice_program name)
  add_executable(${name} ${ARGN})
  sluice_own_flags(${name})
endfunction()
