# `./dev deps`: every dependency of the build, from the system when new enough, otherwise pinned by version and
# SHA-256 and put into .deps/prefix. Sourced by `dev`; a second run finds its stamps and touches no network.

# The oldest system packages the build takes; below them the pinned versions that follow are used.
# oneTBB 2021.8 would do for the library, but Debian 12's build of it predates fixes the tests meet.
minimum_liburing=2.4
minimum_onetbb=2021.11
minimum_catch2=3.4
minimum_benchmark=1.7

liburing_version=2.15
liburing_pool=pool/main/libu/liburing/liburing_2.15.orig.tar.gz
liburing_sha256=efd299ff27cde40a45efc7dbb97ebe40a0c461921cb462f1d62611642bb4ee86
# What the current stable release carries: taken when the mirror no longer has the version above.
liburing_stable_version=2.9
liburing_stable_pool=pool/main/libu/liburing/liburing_2.9.orig.tar.gz
liburing_stable_sha256=57e9b36e4ac1e46b8e0351dfb1694dc59638fc25e384b4ba36d87b800b16db1a

tbb_wheel_version=2023.1.0
tbb_devel_sha256=627e3a3f5c7ff8a1bd85bc6159cfe98a295b4fd5dea399493aa50aeb2c08748b
tbb_runtime_sha256=64ad35241c736a595498f5343abec8eaaa203e9fe0dbdbf4b86d37c5a3ab1d9c
onetbb_source_version=2022.1.0
onetbb_source_pool=pool/main/o/onetbb/onetbb_2022.1.0.orig.tar.xz
onetbb_source_sha256=c220a5e4fe452f3a24f562212377dc796d90e8d4e9bfb3392524f18c8f48cd7f

catch2_version=3.7.1
catch2_deb_pool=pool/main/c/catch2/libcatch2-dev_3.7.1-0.4~bpo12+1_amd64.deb
catch2_deb_sha256=1dbb62ed9f177e1cf51e573903cc553241764bd3b6655f5a98889ad361d008dc
catch2_source_pool=pool/main/c/catch2/catch2_3.7.1.orig.tar.gz
catch2_source_sha256=c991b247a1a0d7bb9c39aa35faf0fe9e19764213f28ffba3109388e62ee0269c

stamp_is() { [ "$(cat "$prefix/.stamps/$1" 2>/dev/null)" = "$2" ]; }

set_stamp()
{
    mkdir -p "$prefix/.stamps"
    printf '%s' "$2" >"$prefix/.stamps/$1"
}

unpack()
{
    rm -rf "$2"
    mkdir -p "$2"
    tar -xf "$1" -C "$2" --strip-components=1
}

run_logged()
{
    local log="$1"
    shift
    "$@" >"$log" 2>&1 || { tail -n 30 "$log" >&2; die "failed: $* (whole output: $log)"; }
}

deps_tools()
{
    local wanted=(ninja-build pkg-config make ccache python3 libssl-dev xz-utils ca-certificates openssl)
    have cmake || wanted+=(cmake)
    # A tool that is on the PATH counts, wherever it came from.
    local package needed=()
    for package in "${wanted[@]}"; do
        case "$package" in
            ninja-build) have ninja || needed+=("$package") ;;
            xz-utils) have xz || needed+=("$package") ;;
            libssl-dev) [ -e /usr/include/openssl/evp.h ] || needed+=("$package") ;;
            ca-certificates) [ -e /etc/ssl/certs/ca-certificates.crt ] || needed+=("$package") ;;
            *) have "$package" || needed+=("$package") ;;
        esac
    done
    if ! find_compiler; then
        # Both Debian 12 and Ubuntu 24.04 carry this one.
        needed+=(clang-19)
    fi
    [ "${#needed[@]}" -eq 0 ] || apt_install "${needed[@]}"
    find_compiler || die "no supported compiler: Clang >= 17 or GCC >= 13 is needed"
    use_ccache
    local cmake_version
    cmake_version="$(cmake --version | awk 'NR == 1 { print $3 }')"
    dpkg --compare-versions "$cmake_version" ge 3.25 || die "cmake >= 3.25 is needed; this one is $cmake_version"
}

deps_liburing()
{
    local version="$liburing_version" archive
    if stamp_is liburing "$version" || stamp_is liburing "$liburing_stable_version"; then return; fi
    if package_new_enough liburing-dev "$minimum_liburing"; then apt_install liburing-dev; return; fi
    archive="$(fetch_from_pool "$liburing_pool" "$liburing_sha256")" || {
        version="$liburing_stable_version"
        archive="$(fetch_from_pool "$liburing_stable_pool" "$liburing_stable_sha256")"
    } || die "liburing could not be downloaded from the Debian mirror of this machine"
    say "building liburing $version"
    local source="$deps_dir/src/liburing"
    unpack "$archive" "$source"
    (
        cd "$source"
        run_logged "$deps_dir/liburing.log" ./configure --prefix="$prefix" --use-libc --cc="$cc" --cxx="$cxx"
        run_logged "$deps_dir/liburing.log" make -j"$jobs" -C src
        run_logged "$deps_dir/liburing.log" make install
    )
    # The library is linked statically, so that a built program runs wherever it is copied.
    rm -f "$prefix"/lib/liburing*.so*
    rm -rf "$source"
    set_stamp liburing "$version"
}

deps_onetbb()
{
    if stamp_is onetbb "$tbb_wheel_version" || stamp_is onetbb "$onetbb_source_version"; then return; fi
    if package_new_enough libtbb-dev "$minimum_onetbb"; then apt_install libtbb-dev; return; fi
    local devel runtime data scratch="$deps_dir/src/wheel"
    # The wheels are for x86-64 only, and pip may not reach its index: the source is the other way.
    if [ "$(uname -m)" = x86_64 ] &&
        devel="$(fetch_wheel tbb-devel "$tbb_wheel_version" "$tbb_devel_sha256")" &&
        runtime="$(fetch_wheel tbb "$tbb_wheel_version" "$tbb_runtime_sha256")"; then
        say "unpacking oneTBB $tbb_wheel_version"
        # A wheel is a zip archive whose .data/data folder is laid over an install prefix.
        rm -rf "$scratch"
        mkdir -p "$scratch" "$prefix"
        python3 -m zipfile -e "$devel" "$scratch"
        python3 -m zipfile -e "$runtime" "$scratch"
        for data in "$scratch"/*.data/data; do cp -r "$data/." "$prefix/"; done
        rm -rf "$scratch"
        set_stamp onetbb "$tbb_wheel_version"
    else
        build_onetbb "$prefix" ""
        set_stamp onetbb "$onetbb_source_version"
    fi
}

# build_onetbb PREFIX SANITIZER: from Debian's source archive, with the compiler that find_compiler chose.
build_onetbb()
{
    local archive source="$deps_dir/src/onetbb"
    archive="$(fetch_from_pool "$onetbb_source_pool" "$onetbb_source_sha256")" ||
        die "oneTBB's source could not be downloaded from the Debian mirror of this machine"
    say "building oneTBB $onetbb_source_version ${2:+with -fsanitize=$2}"
    unpack "$archive" "$source"
    run_logged "$deps_dir/onetbb.log" cmake -S "$source" -B "$source/out" -G Ninja \
        -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
        -DTBB_TEST=OFF -DTBB_STRICT=OFF -DTBBMALLOC_BUILD=OFF -DTBB_SANITIZE="$2" -DCMAKE_INSTALL_LIBDIR=lib \
        -DCMAKE_INSTALL_PREFIX="$1"
    run_logged "$deps_dir/onetbb.log" cmake --build "$source/out" --parallel "$jobs"
    run_logged "$deps_dir/onetbb.log" cmake --install "$source/out"
    rm -rf "$source"
}

deps_catch2()
{
    if stamp_is catch2 "$catch2_version"; then return; fi
    # Debian names the package libcatch2-dev since version 3; Ubuntu 24.04 still calls it catch2.
    local package
    for package in catch2 libcatch2-dev; do
        if package_new_enough "$package" "$minimum_catch2"; then apt_install "$package"; return; fi
    done
    local archive
    if [ "$(uname -m)" = x86_64 ] && archive="$(fetch_from_pool "$catch2_deb_pool" "$catch2_deb_sha256")"; then
        say "unpacking Catch2 $catch2_version"
        local scratch="$deps_dir/src/catch2-deb"
        rm -rf "$scratch"
        mkdir -p "$scratch" "$prefix"
        dpkg-deb -x "$archive" "$scratch"
        cp -r "$scratch/usr/." "$prefix/"
        # Only the pkg-config files name the prefix they were built for.
        sed -i "s|^prefix=.*|prefix=$prefix|" "$prefix"/share/pkgconfig/catch2*.pc
        sed -i -E "s#=/usr/(lib|include)#=$prefix/\1#" "$prefix"/share/pkgconfig/catch2*.pc
        rm -rf "$scratch"
    else
        archive="$(fetch_from_pool "$catch2_source_pool" "$catch2_source_sha256")" ||
            die "Catch2 could not be downloaded from the Debian mirror of this machine"
        say "building Catch2 $catch2_version"
        local source="$deps_dir/src/catch2"
        unpack "$archive" "$source"
        run_logged "$deps_dir/catch2.log" cmake -S "$source" -B "$source/out" -G Ninja -DBUILD_TESTING=OFF \
            -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_BUILD_TYPE=Release \
            -DCMAKE_CXX_STANDARD=20 -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_INSTALL_PREFIX="$prefix"
        run_logged "$deps_dir/catch2.log" cmake --build "$source/out" --parallel "$jobs"
        run_logged "$deps_dir/catch2.log" cmake --install "$source/out"
        rm -rf "$source"
    fi
    set_stamp catch2 "$catch2_version"
}

deps_benchmark()
{
    package_new_enough libbenchmark-dev "$minimum_benchmark" ||
        die "Google Benchmark >= $minimum_benchmark is not in this release's packages (libbenchmark-dev)"
    apt_install libbenchmark-dev
}

# Wanted, not needed: without it parallel_sort sorts numbers with std::sort.
deps_pdqsort()
{
    if [ -e /usr/include/pdqsort.h ]; then return; fi
    if package_new_enough pdqsort-dev 0 && (apt_install pdqsort-dev); then return; fi
    say "pdqsort-dev is not to be had: parallel_sort will be slower"
}

# The lock lets two terminals run `./dev` at once without both building the same dependency.
deps_all()
{
    mkdir -p "$deps_dir" "$cache_dir"
    apt_usable || name_packages_and_stop
    exec 9>"$deps_dir/.lock"
    flock 9
    deps_tools
    deps_liburing
    deps_onetbb
    deps_catch2
    deps_benchmark
    deps_pdqsort
    exec 9>&-
}

# Chooses Clang, and installs its sanitizer libraries, which Debian packages apart from the compiler.
sanitizer_compiler()
{
    find_compiler clang || { apt_install clang-19; find_compiler clang; }
    local scratch="$deps_dir/sanitizer-probe"
    if ! printf 'int main() {}\n' | "$cxx" -x c++ -fsanitize=thread -o "$scratch" - 2>/dev/null; then
        apt_install "libclang-rt-$(compiler_major "$cxx")-dev"
    fi
    rm -f "$scratch"
}

# oneTBB built with ThreadSanitizer: the prebuilt one makes reports that are not races, and silencing those
# would hide real races in coroutines that run inside its frames.
deps_tsan()
{
    deps_all
    sanitizer_compiler
    tsan_prefix="$deps_dir/tsan-prefix"
    local stamp="$onetbb_source_version $cxx $("$cxx" -dumpversion)"
    if [ "$(cat "$tsan_prefix/.stamp" 2>/dev/null)" = "$stamp" ]; then return; fi
    rm -rf "$tsan_prefix"
    build_onetbb "$tsan_prefix" thread
    printf '%s' "$stamp" >"$tsan_prefix/.stamp"
}
