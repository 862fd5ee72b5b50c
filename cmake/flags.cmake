# SPDX-License-Identifier: Apache-2.0
# Warnings are errors everywhere; sanitizers reach every target, ours and the separately compiled Boost parts.
add_library(hoplock_flags INTERFACE)
target_compile_options(hoplock_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)
# In a header of its own: a new version compiles anew what says it, not everything.
configure_file(${PROJECT_SOURCE_DIR}/cmake/version.h.in ${PROJECT_BINARY_DIR}/generated/base/version.h)
target_include_directories(hoplock_flags INTERFACE ${PROJECT_BINARY_DIR}/generated)

add_compile_options(-fstack-protector-strong -fPIE) # libraries and programs alike, so that one precompiled header fits all
add_link_options(-pie)
if(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
  # -g1: backtraces with lines, at a fraction of the link time of full debug information
  set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")
  add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
  if(NOT HOPLOCK_SANITIZE)
    # The folder of the sources is in nothing that is made: two clones give the same octets (scripts/package --check).
    add_compile_options(-ffile-prefix-map=${PROJECT_SOURCE_DIR}=.)
  endif()
endif()
if(CMAKE_UNITY_BUILD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Eight sources are compiled as one, in half the time: most of it goes into instances of Asio's templates. GCC then takes
  # each source for a header, where a type that uses an anonymous namespace would be a fault; here it is none.
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wno-subobject-linkage>)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12 reports false -Wmaybe-uninitialized and -Wrestrict inside inlined std::string and coroutine frames (PR 105329, 105562)
  # and -Wmismatched-new-delete for Asio's coroutine frames, whose operator new it inlines and whose operator delete it does not
  target_compile_options(hoplock_flags INTERFACE -Wno-maybe-uninitialized -Wno-restrict $<$<COMPILE_LANGUAGE:CXX>:-Wno-mismatched-new-delete>)
endif()
if(HOPLOCK_SANITIZE)
  add_compile_options(-fsanitize=${HOPLOCK_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${HOPLOCK_SANITIZE})
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
  if(HOPLOCK_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
      add_compile_options(-fno-sanitize=function) # clang 14 cannot assemble it around coroutines: "difference across sections"
    endif()
  endif()
  if(HOPLOCK_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-tsan) # Asio's fences; every hand-over between our threads also goes through a mutex or eventfd
  endif()
endif()
if(HOPLOCK_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  # What ccache needs to cache units that use a precompiled header, and to share the others between working copies.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE_PROGRAM})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-fpch-preprocess)
  else()
    add_compile_options("SHELL:-Xclang -fno-pch-timestamp")
  endif()
endif()
