# SPDX-License-Identifier: Apache-2.0
# llhttp, Node's HTTP/1 parser: Debian's node-llhttp ships its C sources. They are compiled here, in strict mode, with
# the sanitizers of the build but without our warnings.
find_path(WISP_LLHTTP_SOURCES llhttp.c PATHS /usr/share/llhttp REQUIRED NO_DEFAULT_PATH)
find_path(WISP_LLHTTP_INCLUDE llhttp.h PATHS /usr/share/include/llhttp REQUIRED NO_DEFAULT_PATH)
add_library(wisp_llhttp STATIC
  ${WISP_LLHTTP_SOURCES}/api.c ${WISP_LLHTTP_SOURCES}/http.c ${WISP_LLHTTP_SOURCES}/llhttp.c)
target_include_directories(wisp_llhttp SYSTEM PUBLIC ${WISP_LLHTTP_INCLUDE})
target_compile_definitions(wisp_llhttp PRIVATE LLHTTP_STRICT_MODE=1)
target_compile_options(wisp_llhttp PRIVATE -w)
