# The commands that show something: demo, tools, bench, compare, doctor, format. Sourced by `dev`.

run_demo()
{
    deps_all
    configure release
    build_preset release example_hash_tree
    # The demonstration measures time and peak memory; these are its own needs.
    apt_install time findutils
    exec python3 "$root/benchmarks/hash_tree_demo.py" "$root/build/release/bin/hash_tree" "$@"
}

run_tools()
{
    deps_all
    configure release
    build_preset release example_grep_tree example_hash_tree example_log_analytics example_par_gzip
    # What the examples are held against.
    apt_install time findutils grep ripgrep pigz
    exec python3 "$root/benchmarks/tools_demo.py" "$root/build/release/bin" "$@"
}

run_bench()
{
    deps_all
    configure release -DBLITZIO_BUILD_BENCHMARKS=ON
    build_preset release
    local program found=no
    for program in "$root"/build/release/bin/bench_*; do
        [ -x "$program" ] || continue
        found=yes
        printf '\n== %s\n' "$(basename "$program")"
        "$program" "$@"
    done
    [ "$found" = yes ] || die "no micro benchmark was built"
}

# The comparison builds everything it measures by itself, in build/compare, all sides alike.
run_compare()
{
    deps_all
    case "$cxx" in
        clang++-*)
            # Link-time optimisation with Clang needs its own linker, and without it the twins would be ahead.
            have "ld.lld-${cxx##*-}" || apt_install "lld-${cxx##*-}"
            ;;
    esac
    CC="$cc" CXX="$cxx" exec python3 "$root/benchmarks/compare/run.py" "$@"
}

first_line() { { "$@" 2>/dev/null || true; } | awk 'NR == 1'; }

doctor_line() { printf '%-22s %s\n' "$1" "${2:-not there}"; }

doctor_library()
{
    local name="$1" package="$2" version
    version="$(cat "$prefix/.stamps/$name" 2>/dev/null || true)"
    if [ -n "$version" ]; then version="$version (.deps/prefix)"; else version="$(installed_version "$package" || true)"; fi
    doctor_line "$name" "$version"
}

run_doctor()
{
    local probe="$root/build/release/bin/deny_io_uring" disabled
    # shellcheck disable=SC1091
    doctor_line system "$(. /etc/os-release && printf '%s' "$PRETTY_NAME")"
    doctor_line kernel "$(uname -sr), $(uname -m)"
    doctor_line processors "$(nproc) of $(nproc --all)"
    if find_compiler; then
        doctor_line compiler "$cxx: $(first_line "$cxx" --version)"
    else
        doctor_line compiler "none that is supported (Clang >= 17 or GCC >= 13); ./dev deps installs clang-19"
    fi
    doctor_line cmake "$(first_line cmake --version)"
    doctor_line ninja "$(first_line ninja --version)"
    doctor_line ccache "$(first_line ccache --version)"
    doctor_library liburing liburing-dev
    doctor_library onetbb libtbb-dev
    doctor_library catch2 libcatch2-dev
    doctor_library benchmark libbenchmark-dev
    doctor_line openssl "$(first_line openssl version)"
    disabled="$(cat /proc/sys/kernel/io_uring_disabled 2>/dev/null || true)"
    case "$disabled" in
        0) doctor_line "io_uring, sysctl" "allowed" ;;
        1) doctor_line "io_uring, sysctl" "only for members of kernel.io_uring_group (io_uring_disabled = 1)" ;;
        2) doctor_line "io_uring, sysctl" "forbidden (io_uring_disabled = 2); blitzio runs on epoll" ;;
        *) doctor_line "io_uring, sysctl" "this kernel has no such setting" ;;
    esac
    if [ -x "$probe" ]; then
        doctor_line "io_uring, tried" "$("$probe" --probe || true)"
    else
        doctor_line "io_uring, tried" "not yet: build first (./dev test)"
    fi
    doctor_line "locked memory" "$(ulimit -l) KiB (each ring counts against it, except for root)"
    doctor_line "open files" "$(ulimit -Sn) soft, $(ulimit -Hn) hard"
    if [ -x "$root/build/release/bin/doctor" ]; then
        printf '\n'
        "$root/build/release/bin/doctor"
    fi
}

run_format()
{
    local check=no files
    case "${1:-}" in
        --check) check=yes ;;
        "") ;;
        *) die "dev format: unknown option '$1' (there is only --check)" ;;
    esac
    mkdir -p "$deps_dir"
    if ! have clang-format-19; then
        apt_usable || name_packages_and_stop
        apt_install clang-format-19
    fi
    cd "$root"
    mapfile -d '' files < <(find io sync net fs compute bridge benchmarks examples tests test_package \
        \( -name build -o -name target \) -prune -o \
        -type f \( -name '*.hpp' -o -name '*.cpp' -o -name '*.h' -o -name '*.c' \) -print0)
    [ "${#files[@]}" -gt 0 ] || die "no source file is there to format"
    if [ "$check" = yes ]; then
        printf '%s\0' "${files[@]}" | xargs -0 clang-format-19 --dry-run -Werror
    else
        printf '%s\0' "${files[@]}" | xargs -0 clang-format-19 -i
    fi
}

run_help()
{
    cat <<'TEXT'
./dev COMMAND          each command installs what it lacks first; a second run needs no network

  demo [PATH]          hash a real tree (default: the system's include, library and documentation folders) with
                       examples/hash_tree, check every line, and compare with find | xargs
  tools [...]          the example programs beside grep, ripgrep, pigz, sha256sum; --only grep|gzip|hash|log
  test [MODE] [...]    build and run the tests; ./dev test --help lists the modes
  coverage [...]       which lines and branches the tests reach, per file; ./dev coverage --help lists the options
  bench [ARGUMENTS]    the micro benchmarks; arguments go to Google Benchmark
  compare [--quick]    blitzio beside its twins in Tokio and Go and raw liburing
  doctor               what this machine offers and what is missing
  format [--check]     apply (or only check) the code style
  deps                 only install what lacks
  help                 this text

Everything but apt packages stays inside the checkout: .deps/ and build/. Compilers: $CC and $CXX when set, else the
best of Clang >= 17 and GCC >= 13 that is installed, else clang-19 from the packages.
TEXT
}
