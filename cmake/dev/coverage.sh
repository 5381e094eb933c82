# `./dev coverage`: which lines and branches the tests reach. Sourced by `dev` after build.sh.

coverage_help()
{
    cat <<'TEXT'
./dev coverage [--module NAME]... [--backend io_uring|epoll|denied|any]... [--modules-only] [--report]
  --module        only this module: its own tests run, its own files are shown. Without it the tests of all modules
                  run (not the model tests), and a line counts for whichever test reached it.
  --backend       as with ./dev test; without it all of them
  --modules-only  a table with one line per module
  --report        show the figures of the last run again, without a run
Builds into build/coverage with Clang. Prints a table of lines and branches per file; build/coverage/summary.json has
the same for programs, build/coverage/uncovered.txt every line that no test reached, and every condition that always
went the same way (marked with ?). Fails when a test fails, or when a module is below its floor in
tests/tools/coverage_floor.json.
TEXT
}

# llvm-cov and llvm-profdata read only what the Clang of their own version wrote.
coverage_tools()
{
    sanitizer_compiler
    coverage_version="$(compiler_major "$cxx")"
    if ! have "llvm-cov-$coverage_version" || ! have "llvm-profdata-$coverage_version"; then
        apt_install "llvm-$coverage_version"
    fi
}

run_coverage()
{
    local modules=() backends=() show=() targets=() report=no build="$root/build/coverage" failed=0 module
    while [ $# -gt 0 ]; do
        case "$1" in
            --module)
                [ -d "$root/${2:-.}/tests" ] && [ -f "$root/${2:-.}/CMakeLists.txt" ] ||
                    die "--module takes a module that has tests, not '${2:-}'"
                modules+=("$2")
                shift
                ;;
            --backend)
                case "${2:-}" in
                    io_uring | epoll | denied | any) backends+=("$2") ;;
                    *) die "--backend takes io_uring, epoll, denied or any, not '${2:-}'" ;;
                esac
                shift
                ;;
            --modules-only) show+=(--modules-only) ;;
            --report) report=yes ;;
            --help | -h) coverage_help; return 0 ;;
            *) die "dev coverage: unknown option '$1'; ./dev coverage --help lists them" ;;
        esac
        shift
    done
    deps_all
    coverage_tools
    for module in "${modules[@]}"; do show+=(--module "$module"); done
    if [ "${#modules[@]}" = 0 ]; then
        for module in "$root"/*/tests; do
            module="$(basename "$(dirname "$module")")"
            [ ! -d "$root/$module/include" ] || modules+=("$module")
        done
    fi
    if [ "$report" = no ]; then
        configure coverage
        # The reports find the programs by their place; one of a module that is gone must not be there.
        rm -rf "$build/profiles" "$build"/bin/blitzio_*_tests
        for module in "${modules[@]}"; do targets+=("blitzio_${module}_tests"); done
        build_preset coverage deny_io_uring "${targets[@]}"
        coverage_tests "${backends[@]}" || failed=1
    fi
    python3 "$root/tests/tools/coverage.py" "$build" --llvm "$coverage_version" \
        --floor "$root/tests/tools/coverage_floor.json" "${show[@]}" || failed=1
    return "$failed"
}

# Uses $modules of run_coverage.
coverage_tests()
{
    local ctest_only
    ctest_only="^($(IFS='|'; printf '%s' "${modules[*]}"))\\."
    # %m%c: one file per program, mapped and shared while it runs, so that a child that aborts has counted, too.
    LLVM_PROFILE_FILE="$root/build/coverage/profiles/%m%c.profraw" test_preset coverage no "$@"
}
