# Finds msgpack-cxx, which different releases call by different names. Used by the build, and installed for whoever uses
# sluice::codec.

set(sluice_msgpack_version 4.1)

# sluice_find_msgpack(RESULT): whether it is here. Then sluice::msgpack stands for it.
function(sluice_find_msgpack result)
  if(NOT TARGET sluice::msgpack)
    foreach(package IN ITEMS msgpack-cxx msgpack)
      if(NOT TARGET msgpack-cxx AND NOT TARGET msgpackc-cxx)
        find_package(${package} ${sluice_msgpack_version} CONFIG QUIET)
      endif()
    endforeach()
    foreach(target IN ITEMS msgpack-cxx msgpackc-cxx)
      if(TARGET ${target} AND NOT TARGET sluice::msgpack)
        add_library(sluice::msgpack INTERFACE IMPORTED GLOBAL)
        set_property(TARGET sluice::msgpack PROPERTY INTERFACE_LINK_LIBRARIES ${target})
      endif()
    endforeach()
  endif()
  set(found FALSE)
  if(TARGET sluice::msgpack)
    set(found TRUE)
  endif()
  set(${result} ${found} PARENT_SCOPE)
endfunction()
