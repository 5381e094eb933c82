# `./dev test --packaging`: the installed package as its users meet it. Sourced by `dev`.
# Conan works offline: the only remote is the local recipe index of tests/packaging, whose recipes describe the
# libraries that are installed here.

conan_dir="$deps_dir/conan"

conan_ready()
{
    local pins="$root/tests/packaging/requirements.txt"
    local stamp
    stamp="$(python3 --version) $(sha256sum <"$pins")"
    [ "$(cat "$conan_dir/.stamp" 2>/dev/null)" != "$stamp" ] || return 0
    say "installing Conan into .deps"
    ensure_pip
    rm -rf "$conan_dir"
    # A target folder instead of a virtual environment: Debian ships the module for those separately.
    PIP_CACHE_DIR="$cache_dir/pip" run_logged "$deps_dir/conan-install.log" \
        python3 -m pip install --quiet --target "$conan_dir" --requirement "$pins"
    printf '%s' "$stamp" >"$conan_dir/.stamp"
}

conan() { PYTHONPATH="$conan_dir" CONAN_HOME="$deps_dir/conan-home" python3 -m conans.conan "$@"; }

conan_create()
{
    local log="$deps_dir/conan-create.log" compiler=clang
    case "$cxx" in *clang*) ;; *) compiler=gcc ;; esac
    conan_ready
    rm -rf "$deps_dir/conan-home"
    conan config home >/dev/null
    conan remote disable '*' >/dev/null 2>&1
    conan remote add local-index "$root/tests/packaging/index" --type=local-recipes-index >/dev/null 2>&1
    CC="$cc" CXX="$cxx" BLITZIO_CONAN_COMPILER="$compiler" \
        BLITZIO_CONAN_COMPILER_VERSION="$(compiler_major "$cxx")" \
        BLITZIO_CONAN_TEST_FOLDER="$root/build/conan-test" \
        PKG_CONFIG_PATH="$prefix/lib/pkgconfig:$prefix/share/pkgconfig" \
        LD_LIBRARY_PATH="$prefix/lib" \
        conan create "$root" -pr:a "$root/tests/packaging/profile.jinja" --build=missing "$@" >"$log" 2>&1 ||
        { tail -n 40 "$log" >&2; return 1; }
}

# consumer NAME SHARED: installs blitzio into a folder and builds the separate project against it.
consumer()
{
    local build="$root/build/package-$1" log="$deps_dir/package-$1.log"
    rm -rf "$build/installed" "$build/consumer"
    {
        cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS="$2" \
            -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_PREFIX_PATH="$prefix" -DBLITZIO_WERROR=ON \
            -DBLITZIO_BUILD_TESTS=OFF -DBLITZIO_BUILD_EXAMPLES=OFF &&
            cmake --build "$build" --parallel "$jobs" &&
            cmake --install "$build" --prefix "$build/installed" &&
            cmake -S "$root/tests/consumer" -B "$build/consumer" -G Ninja -DCMAKE_BUILD_TYPE=Release \
                -DCMAKE_CXX_COMPILER="$cxx" "-DCMAKE_PREFIX_PATH=$build/installed;$prefix" &&
            cmake --build "$build/consumer" --parallel "$jobs" &&
            "$build/consumer/consumer" &&
            "$build/consumer/consumer_of_all"
    } >"$log" 2>&1 || { tail -n 40 "$log" >&2; return 1; }
}

# Compilers that miscompile coroutines are refused with the reason, when one is at hand to try.
refused_compiler()
{
    local log="$deps_dir/refused.log"
    rm -rf "$root/build/refused"
    if cmake -S "$root" -B "$root/build/refused" -G Ninja -DCMAKE_C_COMPILER=gcc -DCMAKE_CXX_COMPILER=g++ \
        -DCMAKE_PREFIX_PATH="$prefix" >"$log" 2>&1; then
        say "g++ $(compiler_major g++) was accepted"
        return 1
    fi
    grep -q 'miscompiles' "$log" || { tail -n 20 "$log" >&2; return 1; }
}

test_packaging()
{
    local failed=0
    deps_all
    record "consumer project, static" consumer static OFF || failed=1
    record "consumer project, shared" consumer shared ON || failed=1
    record "conan create" conan_create || failed=1
    record "conan create, shared, without io_uring" \
        conan_create -o '&:shared=True' -o '&:with_io_uring=False' || failed=1
    if have g++ && [ "$(compiler_major g++)" -lt 13 ]; then
        record "GCC $(compiler_major g++) is refused with the reason" refused_compiler || failed=1
    fi
    return "$failed"
}
