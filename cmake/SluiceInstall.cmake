# Install rules: per room a library, its headers, a CMake component and a pkg-config file; and the command.
# What is installed can be moved: neither kind of package file contains the prefix.
#
# As a subdirectory with SLUICE_INSTALL=AUTO, the rules are for `cmake --install DIR --component sluice` alone. They are
# there all the same, since a parent can only export targets whose dependencies are exported, too.
include(CMakePackageConfigHelpers)

set(sluice_component COMPONENT sluice)
if(SLUICE_INSTALL STREQUAL "AUTO" AND NOT SLUICE_TOP_LEVEL)
  list(APPEND sluice_component EXCLUDE_FROM_ALL)
endif()

set(sluice_config_dir "${CMAKE_INSTALL_LIBDIR}/cmake/sluice")
set(sluice_pkg_config_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
set(SLUICE_ROOMS "")
set(SLUICE_ROOM_FACTS "")

# sluice_install_room(NAME DESCRIPTION text [ROOMS room...] [PKG_CONFIG module...]): a room, if it was built, with
# the rooms and the pkg-config modules that it stands on. (sluice-config.cmake.in finds the packages.)
function(sluice_install_room name)
  if(NOT TARGET sluice_${name})
    return()
  endif()
  cmake_parse_arguments(ARG "" "DESCRIPTION" "ROOMS;PKG_CONFIG" ${ARGN})

  install(TARGETS sluice_${name} EXPORT sluice-${name}-targets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} ${sluice_component}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ${sluice_component})
  get_target_property(include_roots sluice_${name} SLUICE_INCLUDE_ROOTS)
  foreach(folder IN LISTS include_roots)
    install(DIRECTORY "${folder}/" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} ${sluice_component})
  endforeach()
  install(EXPORT sluice-${name}-targets NAMESPACE sluice:: DESTINATION ${sluice_config_dir} ${sluice_component})

  set(SLUICE_ROOMS ${SLUICE_ROOMS} ${name} PARENT_SCOPE)
  set(SLUICE_ROOM_FACTS "${SLUICE_ROOM_FACTS}set(_sluice_${name}_rooms ${ARG_ROOMS})\n" PARENT_SCOPE)

  set(room ${name})
  set(description "${ARG_DESCRIPTION}")
  list(TRANSFORM ARG_ROOMS PREPEND "sluice-")
  list(JOIN ARG_ROOMS " " public_modules)
  list(JOIN ARG_PKG_CONFIG " " private_modules)
  set(private_libs "-pthread")
  get_target_property(type sluice_${name} TYPE)
  if(type STREQUAL "STATIC_LIBRARY")
    # There's no other than the static library: what it needs has to be linked without --static, too.
    string(APPEND public_modules " ${private_modules}")
    set(public_libs " ${private_libs}")
    set(private_modules "")
    set(private_libs "")
  endif()
  string(STRIP "${public_modules}" public_modules)
  file(RELATIVE_PATH to_prefix "/prefix/${sluice_pkg_config_dir}" "/prefix")
  string(REGEX REPLACE "/$" "" to_prefix "${to_prefix}")
  configure_file("${PROJECT_SOURCE_DIR}/cmake/sluice-room.pc.in" "${PROJECT_BINARY_DIR}/sluice-${name}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/sluice-${name}.pc" DESTINATION ${sluice_pkg_config_dir}
    ${sluice_component})
endfunction()

sluice_install_room(base DESCRIPTION "Errors, descriptors and files of the sluice libraries")
sluice_install_room(ring DESCRIPTION "Shared-memory regions and the byte ring between two processes" ROOMS base)
sluice_install_room(ipc DESCRIPTION "Message ports between two processes" ROOMS ring base)
sluice_install_room(crypto DESCRIPTION "Sealed streams and files, and their keys" ROOMS base PKG_CONFIG libcrypto libsodium)
sluice_install_room(codec DESCRIPTION "Typed messages over ports, and stored states" ROOMS ipc ring base)
sluice_install_room(sealed_state DESCRIPTION "Stored states in sealed files" ROOMS codec crypto ipc ring base)

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/sluice-config.cmake.in"
  "${PROJECT_BINARY_DIR}/sluice-config.cmake" INSTALL_DESTINATION ${sluice_config_dir}
  NO_SET_AND_CHECK_MACRO)
# Before 1.0, a new minor version may break its users.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/sluice-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/sluice-config.cmake" "${PROJECT_BINARY_DIR}/sluice-config-version.cmake"
  "${PROJECT_SOURCE_DIR}/cmake/SluiceMsgpack.cmake" DESTINATION ${sluice_config_dir} ${sluice_component})

if(SLUICE_TOOLS)
  file(RELATIVE_PATH to_libraries "/prefix/${CMAKE_INSTALL_BINDIR}" "/prefix/${CMAKE_INSTALL_LIBDIR}")
  set_target_properties(sluice PROPERTIES INSTALL_RPATH "$ORIGIN/${to_libraries}")
  install(TARGETS sluice RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} ${sluice_component})
endif()
