# The functions with which the modules, their tests, the examples and the benchmarks declare their targets.
# Sources are globbed, so that a new file needs no line here; a module without sources is header-only.

include_guard(GLOBAL)

# All modules declared so far, in order of declaration.
define_property(GLOBAL PROPERTY BLITZIO_MODULES BRIEF_DOCS "Modules" FULL_DOCS "Names of the blitzio modules")

macro(blitzio_find_liburing)
    find_package(liburing CONFIG QUIET)
    if(NOT TARGET liburing::liburing)
        find_package(liburing 2.4 MODULE REQUIRED)
    endif()
endmacro()

# blitzio_add_module(<name> [PUBLIC <libs>...] [PRIVATE <libs>...] [DEFINITIONS <definitions>...] [EXCLUDE <regex>...])
# Library blitzio_<name>, alias blitzio::<name>, from <name>/src/**/*.cpp without those matching EXCLUDE.
function(blitzio_add_module name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "PUBLIC;PRIVATE;DEFINITIONS;EXCLUDE")
    set(target blitzio_${name})
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/src/*.cpp")
    foreach(regex IN LISTS arg_EXCLUDE)
        list(FILTER sources EXCLUDE REGEX "${regex}")
    endforeach()

    if(sources)
        add_library(${target} ${sources})
        set(scope PUBLIC)
        target_link_libraries(${target} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
        target_compile_definitions(${target} PRIVATE ${arg_DEFINITIONS})
        target_include_directories(${target} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/src")
        set_target_properties(${target} PROPERTIES
            VERSION ${PROJECT_VERSION}
            SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
            POSITION_INDEPENDENT_CODE ON
            DEFINE_SYMBOL "")
        blitzio_own_flags(${target})
    else()
        add_library(${target} INTERFACE)
        set(scope INTERFACE)
        target_link_libraries(${target} INTERFACE ${arg_PUBLIC})
    endif()
    add_library(blitzio::${name} ALIAS ${target})
    target_compile_features(${target} ${scope} cxx_std_23)
    target_include_directories(${target} ${scope}
        "$<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>"
        "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
    set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
    set_property(GLOBAL APPEND PROPERTY BLITZIO_MODULES ${name})

    if(BLITZIO_INSTALL)
        install(TARGETS ${target} EXPORT blitzioTargets)
        if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/include")
            install(DIRECTORY include/ DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.hpp")
        endif()
    endif()
endfunction()

# blitzio::blitzio: every module at once.
function(blitzio_add_umbrella)
    get_property(modules GLOBAL PROPERTY BLITZIO_MODULES)
    add_library(blitzio_blitzio INTERFACE)
    add_library(blitzio::blitzio ALIAS blitzio_blitzio)
    list(TRANSFORM modules PREPEND "blitzio_")
    target_link_libraries(blitzio_blitzio INTERFACE ${modules})
    set_target_properties(blitzio_blitzio PROPERTIES EXPORT_NAME blitzio)
    if(BLITZIO_INSTALL)
        install(TARGETS blitzio_blitzio EXPORT blitzioTargets)
    endif()
endfunction()

# An executable of our own builds: the warnings, the sanitizer, C++23.
function(blitzio_add_program target)
    add_executable(${target} ${ARGN})
    target_compile_features(${target} PRIVATE cxx_std_23)
    blitzio_own_flags(${target})
endfunction()

# Registers one command with ctest under a name and label per backend. "denied" runs it under a seccomp filter that
# forbids io_uring, with the choice of the backend left to the program; "any" runs it once, as it is.
function(blitzio_register_test name backend)
    cmake_parse_arguments(PARSE_ARGV 2 arg "SERIAL" "TIMEOUT" "COMMAND")
    if(NOT arg_TIMEOUT)
        # For hangs: several times what the slowest suite takes unoptimised beside another one.
        set(arg_TIMEOUT 600)
    endif()
    set(command ${arg_COMMAND})
    set(environment "BLITZIO_TEST_BACKEND=${backend}")
    if(backend STREQUAL "denied")
        list(PREPEND command $<TARGET_FILE:deny_io_uring>)
    elseif(NOT backend STREQUAL "any")
        list(APPEND environment "BLITZIO_BACKEND=${backend}")
    endif()
    file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/reports")
    add_test(NAME ${name}.${backend} COMMAND ${command})
    set_tests_properties(${name}.${backend} PROPERTIES
        ENVIRONMENT "${environment}" LABELS ${backend} TIMEOUT ${arg_TIMEOUT} RUN_SERIAL ${arg_SERIAL})
endfunction()

# blitzio_add_tests(<name> [LINKS <libs>...] [BACKENDS io_uring epoll denied] [TIMEOUT <seconds>] [SERIAL])
# All of <name>/tests/**/*_test.cpp in one Catch2 executable blitzio_<name>_tests, with the module's src/ and tests/
# on its include path. Other .cpp files of tests/ are helpers and linked in too.
function(blitzio_add_tests name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "SERIAL" "TIMEOUT" "LINKS;BACKENDS")
    if(NOT BLITZIO_BUILD_TESTS)
        return()
    endif()
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/tests/*.cpp")
    if(NOT sources)
        return()
    endif()
    set(target blitzio_${name}_tests)
    blitzio_add_program(${target} ${sources} "${PROJECT_SOURCE_DIR}/tests/tools/assertion_race_listener.cpp")
    if(TARGET blitzio_${name})
        target_link_libraries(${target} PRIVATE blitzio::${name})
    endif()
    target_link_libraries(${target} PRIVATE ${arg_LINKS} Catch2::Catch2WithMain Threads::Threads)
    target_include_directories(${target} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/src" "${CMAKE_CURRENT_SOURCE_DIR}/tests")
    target_compile_definitions(${target} PRIVATE BLITZIO_WITH_IO_URING=$<BOOL:${BLITZIO_WITH_IO_URING}>)
    set(backends ${arg_BACKENDS})
    if(NOT backends)
        set(backends any)
    endif()
    if(arg_SERIAL)
        set(serial SERIAL)
    endif()
    if(arg_TIMEOUT)
        set(timeout TIMEOUT ${arg_TIMEOUT})
    endif()
    if(NOT BLITZIO_WITH_IO_URING)
        list(REMOVE_ITEM backends io_uring denied)
    endif()
    foreach(backend IN LISTS backends)
        set(report "${CMAKE_BINARY_DIR}/reports/${name}.${backend}.xml")
        blitzio_register_test(${name} ${backend} ${serial} ${timeout}
            COMMAND $<TARGET_FILE:${target}> --reporter console --reporter "JUnit::out=${report}")
    endforeach()
endfunction()

# blitzio_add_example(<name> [LINKS <libs>...]): the program <name> from examples/<name>.cpp.
function(blitzio_add_example name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LINKS")
    blitzio_add_program(example_${name} "${CMAKE_CURRENT_SOURCE_DIR}/${name}.cpp")
    target_link_libraries(example_${name} PRIVATE ${arg_LINKS})
    set_target_properties(example_${name} PROPERTIES OUTPUT_NAME ${name})
endfunction()

# blitzio_add_benchmark(<name> [LINKS <libs>...]): a Google Benchmark program bench_<name> from micro/<name>_bench.cpp.
function(blitzio_add_benchmark name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LINKS")
    blitzio_add_program(bench_${name} "${CMAKE_CURRENT_SOURCE_DIR}/micro/${name}_bench.cpp")
    target_link_libraries(bench_${name} PRIVATE ${arg_LINKS} benchmark::benchmark_main)
endfunction()

# Compiles every public header alone, warnings included: one object library, its sources one include each.
# Not part of `all`; the target is blitzio_header_checks.
function(blitzio_add_header_checks)
    get_property(modules GLOBAL PROPERTY BLITZIO_MODULES)
    set(units "")
    foreach(module IN LISTS modules)
        file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}/${module}/include"
            "${PROJECT_SOURCE_DIR}/${module}/include/*.hpp")
        foreach(header IN LISTS headers)
            string(REPLACE "/" "_" unit "${header}")
            set(path "${PROJECT_BINARY_DIR}/header_checks/${unit}.cpp")
            # Twice, so that a header without `#pragma once` shows.
            file(CONFIGURE OUTPUT "${path}" CONTENT "#include <@header@>\n#include <@header@>\n" @ONLY)
            list(APPEND units "${path}")
        endforeach()
    endforeach()
    if(NOT units)
        add_custom_target(blitzio_header_checks)
        return()
    endif()
    add_library(blitzio_header_checks OBJECT EXCLUDE_FROM_ALL ${units})
    target_link_libraries(blitzio_header_checks PRIVATE blitzio::blitzio)
    blitzio_own_flags(blitzio_header_checks)
    target_compile_options(blitzio_header_checks PRIVATE -O0)
endfunction()
