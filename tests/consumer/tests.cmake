# sluice as its users take it. Not with sanitizers: their flags are private to sluice's own targets, so that a
# consumer of such a library can't be linked without repeating them.
if(SLUICE_SANITIZE OR CMAKE_CROSSCOMPILING OR NOT SLUICE_INSTALL OR NOT SLUICE_TOOLS OR NOT SLUICE_CRYPTO OR NOT SLUICE_CODEC)
  return()
endif()
sluice_builds(consumer sluice_base sluice_ring sluice_ipc sluice_crypto sluice_codec sluice_sealed_state sluice)  # what is installed

# consumer_test(WAY [PROPERTY value...]): a way of check_consumer.
function(consumer_test way)
  add_test(NAME Consumer.${way} COMMAND "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/check_consumer" ${way}
    "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}" "${CMAKE_CURRENT_BINARY_DIR}/consumer")
  set_tests_properties(Consumer.${way} PROPERTIES LABELS consumer TIMEOUT 600 ${ARGN}
    ENVIRONMENT "CXX=${CMAKE_CXX_COMPILER};COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER}")
endfunction()

consumer_test(install FIXTURES_SETUP installed_sluice)
foreach(way IN ITEMS find_package components pkg_config)
  consumer_test(${way} FIXTURES_REQUIRED installed_sluice)
endforeach()
foreach(way IN ITEMS subdirectory exporting_parent shared_libraries plain)
  consumer_test(${way})
endforeach()
