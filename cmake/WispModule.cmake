# SPDX-License-Identifier: Apache-2.0
# wisp_module(NAME [DEPENDS module...] [LIBRARIES target...])
#
# A folder src/NAME is one static library of its *.c files. Beside them, picked up by name:
#   x_test.c   unit tests (tests/lib/test.h), one ctest entry a file
#   x_fuzz.c   a fuzzer; runs over tests/corpus/x as a ctest entry, or under libFuzzer in the `fuzz` preset
#   x_bench.c  a micro-benchmark, built by the target `bench`
# DEPENDS names the modules whose headers it may include; tools/check-includes holds the tree to it.
add_custom_target(benches)

add_library(wisp_test_main STATIC ${CMAKE_SOURCE_DIR}/tests/lib/test.c)
target_include_directories(wisp_test_main PUBLIC ${CMAKE_SOURCE_DIR}/tests/lib ${CMAKE_SOURCE_DIR}/src)

# Instances come and go with some hundred small allocations each, most of them the engine's: mimalloc saves a tenth of
# the instructions of a request. Sanitizers bring their own allocator.
add_library(wisp_malloc INTERFACE)
if(NOT WISP_SANITIZE)
  find_library(WISP_MIMALLOC mimalloc REQUIRED)
  target_link_libraries(wisp_malloc INTERFACE -Wl,--no-as-needed ${WISP_MIMALLOC} -Wl,--as-needed)
endif()

function(wisp_module name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LIBRARIES" ${ARGN})
  set(dir ${CMAKE_SOURCE_DIR}/src/${name})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${dir}/*.c)
  set(tests ${sources})
  set(fuzzers ${sources})
  set(benches ${sources})
  list(FILTER sources EXCLUDE REGEX "_(test|fuzz|bench)\\.c$")
  list(FILTER sources EXCLUDE REGEX "/main\\.c$") # a program's, not the module's
  list(FILTER tests INCLUDE REGEX "_test\\.c$")
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.c$")
  list(FILTER benches INCLUDE REGEX "_bench\\.c$")

  if(NOT sources)
    add_library(wisp_${name} INTERFACE)
    return()
  endif()
  add_library(wisp_${name} STATIC ${sources})
  target_include_directories(wisp_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  foreach(module IN LISTS ARG_DEPENDS)
    target_link_libraries(wisp_${name} PUBLIC wisp_${module})
  endforeach()
  target_link_libraries(wisp_${name} PUBLIC ${ARG_LIBRARIES})

  if(NOT WISP_TESTS)
    set(tests)
    set(fuzzers)
  endif()

  foreach(source IN LISTS tests)
    get_filename_component(stem ${source} NAME_WE)
    set(target ${name}_${stem})
    add_executable(${target} ${source})
    target_link_libraries(${target} PRIVATE wisp_${name} wisp_test_main)
    add_test(NAME unit/${name}/${stem} COMMAND ${target})
    set_tests_properties(unit/${name}/${stem} PROPERTIES TIMEOUT 300 LABELS unit)
  endforeach()

  foreach(source IN LISTS fuzzers)
    get_filename_component(stem ${source} NAME_WE)
    set(target ${name}_${stem})
    string(REGEX REPLACE "_fuzz$" "" corpus ${stem})
    set(corpus_dir ${CMAKE_SOURCE_DIR}/tests/corpus/${corpus})
    add_executable(${target} ${source})
    target_link_libraries(${target} PRIVATE wisp_${name})
    if(WISP_FUZZ)
      target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    else()
      target_sources(${target} PRIVATE ${CMAKE_SOURCE_DIR}/tests/lib/fuzz_corpus.c)
    endif()
    add_test(NAME corpus/${corpus} COMMAND ${target} ${corpus_dir})
    set_tests_properties(corpus/${corpus} PROPERTIES TIMEOUT 300 LABELS corpus)
  endforeach()

  foreach(source IN LISTS benches)
    get_filename_component(stem ${source} NAME_WE)
    add_executable(${name}_${stem} EXCLUDE_FROM_ALL ${source})
    target_include_directories(${name}_${stem} PRIVATE ${CMAKE_SOURCE_DIR}/tests/lib)
    target_link_libraries(${name}_${stem} PRIVATE wisp_malloc wisp_${name})
    add_dependencies(benches ${name}_${stem})
  endforeach()
endfunction()
