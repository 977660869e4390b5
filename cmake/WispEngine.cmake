# SPDX-License-Identifier: Apache-2.0
# The engine (engine/: wasmtime's C API as one static library). It takes minutes to build, so the result lives in the
# user's cache under a key made of everything it depends on: a second clone finds it there.
file(GLOB_RECURSE WISP_ENGINE_INPUTS CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/engine/src/*.rs)
list(APPEND WISP_ENGINE_INPUTS ${CMAKE_SOURCE_DIR}/engine/Cargo.toml ${CMAKE_SOURCE_DIR}/engine/Cargo.lock ${CMAKE_SOURCE_DIR}/engine/wispengine.h
     ${CMAKE_SOURCE_DIR}/engine/build)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${WISP_ENGINE_INPUTS})
execute_process(
  COMMAND ${CMAKE_SOURCE_DIR}/engine/build
  OUTPUT_VARIABLE WISP_ENGINE_DIR OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
add_library(wispengine STATIC IMPORTED)
set_target_properties(wispengine PROPERTIES
  IMPORTED_LOCATION ${WISP_ENGINE_DIR}/lib/libwispengine.a
  INTERFACE_INCLUDE_DIRECTORIES ${WISP_ENGINE_DIR}/include
  # wisp_wasm again, behind the engine: it answers the engine's ioctl (wispengine.h).
  INTERFACE_LINK_LIBRARIES "pthread;dl;m;wisp_wasm")
message(STATUS "engine: ${WISP_ENGINE_DIR}")
