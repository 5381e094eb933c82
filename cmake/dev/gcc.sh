# `./dev test --gcc` and `--gcc13`: that compiler from the system's packages, else from a Debian 13 chroot, because
# installing Debian 13's compiler into Debian 12 would replace the machine's libc. Sourced by `dev`.

# What the chroot gets; its own, newer versions of the dependencies are tested on the way.
gcc_packages=(g++-13 g++-14 cmake ninja-build pkg-config python3 ccache libtbb-dev liburing-dev catch2 libbenchmark-dev
    libssl-dev openssl)

# Exit code 77 says "not possible here" to .ci/run; it is neither a pass nor a failure.
gcc_chroot_possible()
{
    if ! can_be_root || ! as_root unshare --mount true 2>/dev/null; then
        say "this GCC is not in this release's packages, and a chroot with it needs root rights and mounts"
        exit 77
    fi
}

gcc_chroot_make()
{
    gcc_root="$cache_dir/gcc-root"
    local stamp="trixie ${gcc_packages[*]}"
    [ "$(cat "$gcc_root/.stamp" 2>/dev/null)" != "$stamp" ] || return 0
    apt_install debootstrap
    local mirror
    mirror="$(debian_mirror)"
    [ -n "$mirror" ] || die "no Debian mirror is set up on this machine to take GCC from"
    say "making a Debian 13 chroot with GCC 13 and 14"
    as_root rm -rf "$gcc_root"
    mkdir -p "$gcc_root"
    run_logged "$deps_dir/gcc-root.log" as_root debootstrap --variant=minbase trixie "$gcc_root" "$mirror"
    run_logged "$deps_dir/gcc-root.log" as_root chroot "$gcc_root" env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -y --no-install-recommends install "${gcc_packages[@]}"
    as_root rm -rf "$gcc_root"/var/cache/apt/archives/*.deb "$gcc_root/var/lib/apt/lists"
    printf '%s' "$stamp" | as_root tee "$gcc_root/.stamp" >/dev/null
}

# gcc_chroot_test VERSION [options...]: runs this same test again inside the chroot. The mounts live in a namespace of
# their own and end with it.
gcc_chroot_test()
{
    local version="$1" ccache_dir="$CCACHE_DIR" counts="${BLITZIO_COUNTS:-}"
    shift
    mkdir -p "$ccache_dir"
    as_root mkdir -p "$gcc_root/ccache" "$gcc_root/counts"
    as_root env G="$gcc_root" R="$root" C="$ccache_dir" N="$(dirname "${counts:-/nowhere/x}")" unshare --mount bash -c '
        set -e
        mount --make-rprivate /
        mount -t proc proc "$G/proc"
        mount --rbind /dev "$G/dev"
        mount -t tmpfs tmp "$G/tmp"
        mkdir -p "$G$R"
        mount --bind "$R" "$G$R"
        mount --bind "$C" "$G/ccache"
        [ ! -d "$N" ] || mount --bind "$N" "$G/counts"
        exec chroot "$G" "$@"
    ' chroot-test env -i HOME=/tmp PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin LC_ALL=C.UTF-8 \
        CCACHE_DIR=/ccache ${CCACHE_MAXSIZE:+CCACHE_MAXSIZE="$CCACHE_MAXSIZE"} \
        BLITZIO_JOBS="$jobs" BLITZIO_KEEP_GOING="${BLITZIO_KEEP_GOING:-}" ${counts:+BLITZIO_COUNTS="/counts/$(basename "$counts")"} \
        BLITZIO_INSIDE_CHROOT=1 bash "$root/dev" test "--gcc${version#14}" "$@"
}

# test_gcc VERSION QUICK [BACKEND...]
test_gcc()
{
    local version="$1" quick="$2" again=() backend
    shift 2
    [ "$quick" = no ] || again+=(--quick)
    for backend in "$@"; do again+=(--backend "$backend"); done
    if [ -z "${BLITZIO_INSIDE_CHROOT:-}" ]; then
        mkdir -p "$deps_dir" "$cache_dir"
        deps_all
        if ! have "g++-$version"; then
            apt_refresh
            if [ -n "$(candidate_version "g++-$version")" ]; then
                apt_install "g++-$version"
            else
                gcc_chroot_possible
                gcc_chroot_make
                gcc_chroot_test "$version" "${again[@]}"
                return
            fi
        fi
    fi
    cc="gcc-$version"
    cxx="g++-$version"
    # In the chroot GCC 14 takes the chroot's own, newer dependencies. GCC 13 cannot link those, GCC 14 built them; it
    # takes the ones made outside.
    local where=()
    if [ -n "${BLITZIO_INSIDE_CHROOT:-}" ] && [ "$version" = 14 ]; then where=(-DCMAKE_PREFIX_PATH=); fi
    configure "gcc${version#14}" "${where[@]}"
    build_preset "gcc${version#14}"
    test_preset "gcc${version#14}" "$quick" "$@"
}
