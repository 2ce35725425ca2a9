# sluice as its users take it. Not with sanitizers: their flags are private to sluice's own targets, so that a
# consumer of such a library can't be linked without repeating them.
if(NOT SLUICE_SANITIZE AND SLUICE_INSTALL)
  foreach(how find_package pkg_config subdirectory)
    add_test(NAME Consumer.TakesSluiceBy_${how}
      COMMAND "${CMAKE_CURRENT_LIST_DIR}/check_consumer" ${how} "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}")
    set_tests_properties(Consumer.TakesSluiceBy_${how} PROPERTIES LABELS consumer TIMEOUT 240
      ENVIRONMENT "CXX=${CMAKE_CXX_COMPILER}")
  endforeach()
endif()
