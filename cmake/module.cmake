# SPDX-License-Identifier: Apache-2.0
# hoplock_module(<name> [ASIO] [DEPENDS module...] [LIBS library...])
#
# One static library a folder of lib/. DEPENDS are the floors it may include ("dane/tlsa.h" from root lib/);
# ASIO marks a module above the waterline, which gets Asio and the shared precompiled header.
# Sources are all lib/<name>/*.cpp; a folder of headers only becomes an interface library.
set_property(GLOBAL PROPERTY HOPLOCK_MODULES "")

function(hoplock_module name)
  cmake_parse_arguments(M "ASIO" "" "DEPENDS;LIBS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/lib/${name}/*.cpp)
  set(kind PUBLIC)
  if(sources)
    add_library(hoplock_${name} STATIC ${sources})
  else()
    add_library(hoplock_${name} INTERFACE)
    set(kind INTERFACE)
  endif()
  target_include_directories(hoplock_${name} ${kind} ${PROJECT_SOURCE_DIR}/lib)
  list(TRANSFORM M_DEPENDS PREPEND hoplock_)
  if(M_ASIO)
    target_link_libraries(hoplock_${name} ${kind} hoplock_boost)
    if(sources)
      target_precompile_headers(hoplock_${name} REUSE_FROM hoplock_asio_pch)
    endif()
  else()
    target_include_directories(hoplock_${name} SYSTEM ${kind} ${Boost_INCLUDE_DIRS})
  endif()
  target_link_libraries(hoplock_${name} ${kind} ${M_DEPENDS} ${M_LIBS} hoplock_flags)
  set_property(GLOBAL APPEND PROPERTY HOPLOCK_MODULES hoplock_${name})
endfunction()
