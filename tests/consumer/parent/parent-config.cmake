include(CMakeFindDependencyMacro)
find_dependency(sluice COMPONENTS ipc crypto)
include("${CMAKE_CURRENT_LIST_DIR}/parent-targets.cmake")
