# SPDX-License-Identifier: Apache-2.0
find_package(Boost 1.81 REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(Threads REQUIRED)
find_package(spdlog REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd)

# Boost.JSON compiled once; it knows no Asio, so pure modules may have it.
add_library(hoplock_json STATIC cmake/json_impl.cpp)
target_include_directories(hoplock_json SYSTEM PUBLIC ${Boost_INCLUDE_DIRS})

# Asio and Beast compiled once: a unit that includes Asio costs seconds, its function bodies need not.
add_library(hoplock_boost STATIC cmake/boost_impl.cpp)
target_compile_definitions(hoplock_boost PUBLIC
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_DISABLE_VISIBILITY)
target_include_directories(hoplock_boost SYSTEM PUBLIC ${Boost_INCLUDE_DIRS})
target_link_libraries(hoplock_boost PUBLIC hoplock_json OpenSSL::SSL Threads::Threads)

# The precompiled header that all Asio units share.
add_library(hoplock_asio_pch STATIC cmake/asio_pch.cpp)
target_link_libraries(hoplock_asio_pch PUBLIC hoplock_boost hoplock_flags)
target_precompile_headers(hoplock_asio_pch PRIVATE cmake/asio_pch.h)
