# The compiler's part of the build: which ones are refused, the warnings and the sanitizers of our own builds.

# Refuses compilers that miscompile or cannot compile the coroutines of this library, and says which and why.
function(blitzio_check_compiler)
    set(version "${CMAKE_CXX_COMPILER_VERSION}")
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND version VERSION_LESS 13)
        message(FATAL_ERROR
            "blitzio needs GCC 13 or later; this is GCC ${version}. GCC 12 miscompiles coroutines: it destroys "
            "aggregate temporaries of a co_await expression twice and skips calls in switch (co_await ...). "
            "Use GCC >= 13 or Clang >= 17, for example -DCMAKE_CXX_COMPILER=clang++-19.")
    elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND version VERSION_LESS 17)
        message(FATAL_ERROR
            "blitzio needs Clang 17 or later; this is Clang ${version}. Earlier ones lack parts of C++23 that the "
            "library uses (std::expected over libstdc++ among them). Use Clang >= 17 or GCC >= 13.")
    elseif(CMAKE_CXX_COMPILER_ID STREQUAL "AppleClang" AND version VERSION_LESS 16)
        message(FATAL_ERROR
            "blitzio needs Apple Clang 16 or later (Clang 17's front end); this is ${version}.")
    endif()
    if(NOT BLITZIO_SANITIZE MATCHES "^(address|thread|)$")
        message(FATAL_ERROR "BLITZIO_SANITIZE is '${BLITZIO_SANITIZE}'; it may be address, thread or empty.")
    endif()
    if(BLITZIO_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        message(WARNING "GCC keeps no tail calls under a sanitizer; the sanitizer builds are made for Clang.")
    endif()
    if(BLITZIO_COVERAGE AND NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
        message(FATAL_ERROR "BLITZIO_COVERAGE counts with Clang's instrumentation; this is ${CMAKE_CXX_COMPILER_ID}.")
    endif()
endfunction()

# Flags of this build only: nothing here reaches the users of an installed blitzio.
function(blitzio_own_flags target)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wswitch)
    if(BLITZIO_WERROR)
        target_compile_options(${target} PRIVATE -Werror)
    endif()
    if(BLITZIO_SANITIZE STREQUAL "address")
        set(flags -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
    elseif(BLITZIO_SANITIZE STREQUAL "thread")
        set(flags -fsanitize=thread -fno-omit-frame-pointer)
    endif()
    if(BLITZIO_SANITIZE)
        target_compile_options(${target} PRIVATE ${flags} -g)
        target_link_options(${target} PRIVATE ${flags})
    endif()
    if(BLITZIO_COVERAGE)
        # Atomic, since what one branch did not do is counted by subtraction. Relocated, since only counters that live
        # in the mapped profile outlast a process that ends by abort.
        target_compile_options(${target} PRIVATE -fprofile-instr-generate -fcoverage-mapping
            -fprofile-update=atomic "SHELL:-mllvm -runtime-counter-relocation")
        target_link_options(${target} PRIVATE -fprofile-instr-generate)
    endif()
endfunction()
