# Configuring, building and testing one preset. Sourced by `dev` after common.sh and deps.sh.

# configure PRESET [cmake arguments...]: only when something changed, so that a second run starts at once.
configure()
{
    local preset="$1"
    shift
    local build="$root/build/$preset" wanted
    # A compiler nobody here has tried may warn of something new; that must not stop a newcomer.
    case "$cxx" in
        clang++-19 | g++-13 | g++-14) ;;
        *) set -- -DBLITZIO_WERROR=OFF "$@" ;;
    esac
    wanted="$cc $cxx ${CMAKE_CXX_COMPILER_LAUNCHER:-} $*"
    if [ -f "$build/build.ninja" ] && [ "$(cat "$build/.configured" 2>/dev/null)" = "$wanted" ] &&
        [ "$build/.configured" -nt "$root/CMakePresets.json" ]; then
        return 0
    fi
    # Afresh: a cache from another compiler or prefix would keep what it found there.
    cmake --fresh -S "$root" --preset "$preset" -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" "$@" \
        >"$deps_dir/configure-$preset.log" 2>&1 ||
        { cat "$deps_dir/configure-$preset.log" >&2; die "configuring the preset '$preset' failed"; }
    printf '%s' "$wanted" >"$build/.configured"
}

# build_preset PRESET [targets...]. With BLITZIO_KEEP_GOING every error is shown, not only the first.
build_preset()
{
    local preset="$1" arguments=()
    shift
    say "building $preset with $cxx"
    [ $# -eq 0 ] || arguments+=(--target "$@")
    [ -z "${BLITZIO_KEEP_GOING:-}" ] || arguments+=(-- -k 0)
    cmake --build "$root/build/$preset" --parallel "$jobs" "${arguments[@]}" >&2
}

# Adds one check that is not a ctest entry to the counts: record NAME COMMAND...
record()
{
    local name="$1"
    shift
    if "$@"; then
        say "passed: $name"
        [ -z "${BLITZIO_COUNTS:-}" ] || printf '1 0\n' >>"$BLITZIO_COUNTS"
    else
        say "FAILED: $name"
        [ -z "${BLITZIO_COUNTS:-}" ] || printf '0 1\n' >>"$BLITZIO_COUNTS"
        return 1
    fi
}

# run_ctest PRESET LABELS...: prints the failures, the counts last. $ctest_only, if set, chooses by name as well.
run_ctest()
{
    local preset="$1"
    shift
    local build="$root/build/$preset" labels
    labels="^($(IFS='|'; printf '%s' "$*"))$"
    rm -f "$build"/reports/*.xml
    mkdir -p "$build/reports"
    # The verdict comes from the reports: summarize.py sees crashes and failed cases alike.
    ctest --test-dir "$build" --output-on-failure --no-tests=error --parallel "$jobs" \
        -L "$labels" ${ctest_only:+-R "$ctest_only"} \
        --output-junit "$build/reports/ctest.xml" >&2 || true
    [ -f "$build/reports/ctest.xml" ] || die "no test ran in $build"
    python3 "$root/tests/tools/summarize.py" "$build" ${BLITZIO_COUNTS:+--append "$BLITZIO_COUNTS"}
}

test_help()
{
    cat <<'TEXT'
./dev test [MODE] [--quick] [--backend io_uring|epoll|denied|any]...
  MODE      --release (default)  optimised build, Clang
            --debug              unoptimised build
            --asan               AddressSanitizer and UndefinedBehaviorSanitizer
            --tsan               ThreadSanitizer, with a oneTBB built alike
            --gcc, --gcc13       unoptimised build with GCC 14 or 13 (in a chroot where the release has none)
            --headers            every public header compiles alone
            --packaging          install, consumer project (static and shared), conan create, all offline
  --quick   one backend only, the best this machine offers
  --backend these only: io_uring; epoll, asked for; denied, io_uring forbidden by a seccomp filter; any, the tests
            that do no I/O. May be given several times.
Without --quick or --backend every I/O test runs on all three. Closes with `N passed, N failed`.
TEXT
}

run_test()
{
    local mode=release quick=no backends=()
    while [ $# -gt 0 ]; do
        case "$1" in
            --release | --debug | --asan | --tsan | --gcc | --gcc13 | --headers | --packaging) mode="${1#--}" ;;
            --quick) quick=yes ;;
            --backend)
                case "${2:-}" in
                    io_uring | epoll | denied | any) backends+=("$2") ;;
                    *) die "--backend takes io_uring, epoll, denied or any, not '${2:-}'" ;;
                esac
                shift
                ;;
            --help | -h) test_help; return 0 ;;
            *) die "dev test: unknown option '$1'; ./dev test --help lists them" ;;
        esac
        shift
    done
    case "$mode" in
        gcc) test_gcc 14 "$quick" "${backends[@]}"; return ;;
        gcc13) test_gcc 13 "$quick" "${backends[@]}"; return ;;
        packaging) test_packaging; return ;;
        tsan) deps_tsan ;;
        *) deps_all ;;
    esac
    [ "$mode" != asan ] || sanitizer_compiler
    if [ "$mode" = headers ]; then
        configure release
        record "every public header compiles alone" build_preset release blitzio_header_checks
        return
    fi
    configure "$mode"
    build_preset "$mode"
    test_preset "$mode" "$quick" "${backends[@]}"
}

# test_preset PRESET QUICK [BACKEND...]
test_preset()
{
    local preset="$1" quick="$2"
    shift 2
    local backends=("$@") deny="$root/build/$preset/bin/deny_io_uring" reason=""
    [ "${#backends[@]}" -gt 0 ] || backends=(any io_uring epoll denied)
    [ "$quick" = no ] || [ $# -gt 0 ] || backends=(any io_uring)
    if ! reason="$("$deny" --probe)"; then
        # Containers often forbid io_uring; the tests that need it cannot run there, the others still must.
        say "$reason: the tests on io_uring are left out"
        backends=("${backends[@]/io_uring/}")
        [ "$quick" = no ] || backends=(any epoll)
    fi
    export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1:strict_string_checks=1:check_initialization_order=1}"
    export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"
    export TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=0:exitcode=66:second_deadlock_stack=1}"
    local chosen=() backend
    for backend in "${backends[@]}"; do
        [ -z "$backend" ] || chosen+=("$backend")
    done
    [ "${#chosen[@]}" -gt 0 ] || die "no backend is left to test"
    run_ctest "$preset" "${chosen[@]}"
}
