# Flags that belong to sluice's own sources; nothing here reaches the targets of a parent project.

sluice_find(Threads::Threads Threads REQUIRED)

# GNUInstallDirs writes its answers into the cache, which is the parent's if there is one.
if(SLUICE_TOP_LEVEL)
  include(GNUInstallDirs)
else()
  foreach(kind IN ITEMS BIN INCLUDE LIB)
    if(NOT CMAKE_INSTALL_${kind}DIR)
      string(TOLOWER ${kind} CMAKE_INSTALL_${kind}DIR)
    endif()
  endforeach()
endif()

# sluice_hide(TARGET): a library hides what its public headers don't declare: they switch visibility on for themselves.
function(sluice_hide target)
  set_target_properties(${target} PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "SHARED_LIBRARY")
    set(map "${PROJECT_SOURCE_DIR}/cmake/exports.map")
    target_link_options(${target} PRIVATE "LINKER:--version-script=${map}")
    set_target_properties(${target} PROPERTIES LINK_DEPENDS "${map}")
  endif()
endfunction()

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

# sluice_room(NAME SOURCES...): the library target sluice::NAME with its own include root.
# sluice_room(NAME PARTS part...): the same made of parts, each of them a folder that sluice_part() has built; the
# room's own include/ holds what stands above them all.
function(sluice_room name)
  cmake_parse_arguments(ARG "" "" "PARTS" ${ARGN})
  set(folders ${CMAKE_CURRENT_SOURCE_DIR})
  set(sources ${ARG_UNPARSED_ARGUMENTS})
  if(ARG_PARTS)
    list(TRANSFORM ARG_PARTS PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/" OUTPUT_VARIABLE part_folders)
    list(APPEND folders ${part_folders})
    list(TRANSFORM ARG_PARTS REPLACE "(.+)" "$<TARGET_OBJECTS:sluice_${name}_\\1>" OUTPUT_VARIABLE sources)
  endif()
  add_library(sluice_${name} ${sources})
  add_library(sluice::${name} ALIAS sluice_${name})
  sluice_own_flags(sluice_${name})
  sluice_hide(sluice_${name})
  set_target_properties(sluice_${name} PROPERTIES EXPORT_NAME ${name} OUTPUT_NAME sluice_${name} LINKER_LANGUAGE CXX
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  foreach(folder IN LISTS folders)
    if(IS_DIRECTORY "${folder}/include")
      target_include_directories(sluice_${name} PUBLIC $<BUILD_INTERFACE:${folder}/include>)
      set_property(TARGET sluice_${name} APPEND PROPERTY SLUICE_INCLUDE_ROOTS "${folder}/include")
    endif()
    target_include_directories(sluice_${name} PRIVATE ${folder}/src)
  endforeach()
  target_include_directories(sluice_${name} PUBLIC $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endfunction()

# sluice_part(ROOM NAME SOURCES s... [PARTS part...] [LIBRARIES l...]): the folder ROOM/NAME of a room. Its sources
# see their own headers, those of the parts named here and of what those stand on, and no others: an include that
# points upwards doesn't compile.
function(sluice_part room name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PARTS;LIBRARIES" ${ARGN})
  list(TRANSFORM ARG_SOURCES PREPEND "${name}/src/")
  set(target sluice_${room}_${name})
  add_library(${target} OBJECT ${ARG_SOURCES})
  sluice_own_flags(${target})
  sluice_hide(${target})
  target_include_directories(${target} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/${name}/include
    ${CMAKE_CURRENT_SOURCE_DIR}/${name}/src)
  list(TRANSFORM ARG_PARTS PREPEND "sluice_${room}_")
  target_link_libraries(${target} PUBLIC ${ARG_PARTS} ${ARG_LIBRARIES})
endfunction()

# sluice_program(NAME SOURCES...): an executable with the project's own flags.
function(sluice_program name)
  add_executable(${name} ${ARGN})
  sluice_own_flags(${name})
endfunction()
