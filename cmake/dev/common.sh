# Shared by `dev` and the scripts of this folder: messages, root rights, apt, pinned downloads, the compiler.
# Sourced by bash with $root set to the checkout; runs nothing by itself.

deps_dir="$root/.deps"
prefix="$deps_dir/prefix"
# Downloads and built dependencies are kept here. CI points it outside the checkout so that a clone starts warm.
cache_dir="${BLITZIO_CACHE_DIR:-$deps_dir/cache}"
jobs="${BLITZIO_JOBS:-$(nproc 2>/dev/null || echo 2)}"

say() { printf '%s\n' "dev: $*" >&2; }

die()
{
    printf '%s\n' "dev: $*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# The packages a newcomer installs by hand where apt is not there to do it.
name_packages_and_stop()
{
    cat >&2 <<'TEXT'
dev: this machine is neither Debian 12 or later nor a current Ubuntu (or apt may not be used here).
dev: install these with your package manager, then run the command again:
       a C++23 compiler: Clang >= 17 (19 recommended) or GCC >= 13 (14 recommended)
       cmake >= 3.25, ninja, pkg-config, python3; ccache is optional
       liburing >= 2.4, oneTBB >= 2021.8, Catch2 >= 3.4, Google Benchmark >= 1.7, OpenSSL >= 3.0
         (with their headers and CMake or pkg-config files)
dev: and build with:
       cmake -B build -G Ninja && cmake --build build && ctest --test-dir build
TEXT
    exit 1
}

apt_usable() { have apt-get && have dpkg-query && [ -r /etc/os-release ]; }

can_be_root() { [ "$(id -u)" = 0 ] || { have sudo && sudo -n true 2>/dev/null; }; }

as_root()
{
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

package_installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

installed_version() { dpkg-query -W -f='${Version}' "$1" 2>/dev/null; }

# The package lists are refreshed once per run, and only when something has to be installed.
apt_refreshed=no
apt_refresh()
{
    [ "$apt_refreshed" = no ] || return 0
    apt_refreshed=yes
    can_be_root || return 0
    as_root apt-get -qq update >&2 || say "apt-get update failed; going on with the package lists at hand"
}

# The name is compared again: apt takes an unknown name for a pattern, and "g++-14" would match clang-14's packages.
candidate_version()
{
    local found
    found="$(apt-cache policy "$1" 2>/dev/null |
        awk -v name="$1:" '/^[^ ]/ { here = ($0 == name) } here && $1 == "Candidate:" { print $2 }')"
    if [ "$found" != "(none)" ]; then printf '%s' "$found"; fi
}

# package_new_enough NAME MINIMUM: installed, or installable, in a version that is not older.
package_new_enough()
{
    local version
    version="$(installed_version "$1")"
    if ! package_installed "$1"; then
        apt_refresh
        version="$(candidate_version "$1")"
    fi
    [ -n "$version" ] && dpkg --compare-versions "$version" ge "$2"
}

# Installs what lacks of the named packages; silent when all are there.
apt_install()
{
    local lacking=() package
    for package in "$@"; do
        package_installed "$package" || lacking+=("$package")
    done
    [ "${#lacking[@]}" -gt 0 ] || return 0
    if ! can_be_root; then
        die "these packages are needed and this user may not install them: ${lacking[*]}
     run: sudo apt-get install ${lacking[*]}"
    fi
    apt_refresh
    for package in "${lacking[@]}"; do
        [ -n "$(candidate_version "$package")" ] || die "this release has no package $package"
    done
    say "installing ${lacking[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -y --no-install-recommends install "${lacking[@]}" >"$deps_dir/apt.log" 2>&1 ||
        { tail -n 20 "$deps_dir/apt.log" >&2; die "apt-get could not install: ${lacking[*]}"; }
}

checksum_is() { [ -f "$1" ] && [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$2" ]; }

# The Debian mirror this machine is set up to use; no address is written down in this repository.
debian_mirror()
{
    apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 2>/dev/null |
        awk 'NR == 1'
}

# fetch_from_pool PATH SHA256: prints the file's place in the cache, or fails when the mirror lacks it.
fetch_from_pool()
{
    local target mirror
    target="$cache_dir/downloads/$(basename "$1")"
    if checksum_is "$target" "$2"; then printf '%s' "$target"; return 0; fi
    [ -x /usr/lib/apt/apt-helper ] || return 1
    mirror="$(debian_mirror)"
    if [ -z "$mirror" ]; then apt_refresh; mirror="$(debian_mirror)"; fi
    [ -n "$mirror" ] || return 1
    mkdir -p "$cache_dir/downloads"
    /usr/lib/apt/apt-helper -o APT::Sandbox::User=root download-file "$mirror/$1" "$target.part" "SHA256:$2" \
        >"$deps_dir/download.log" 2>&1 || { rm -f "$target.part"; return 1; }
    checksum_is "$target.part" "$2" || { rm -f "$target.part"; return 1; }
    mv "$target.part" "$target"
    printf '%s' "$target"
}

# The python that can fetch wheels; Debian keeps pip in a package of its own.
ensure_pip()
{
    python3 -m pip --version >/dev/null 2>&1 || apt_install python3-pip
}

# fetch_wheel NAME VERSION SHA256: prints the wheel's place in the cache.
fetch_wheel()
{
    local folder="$cache_dir/downloads/wheels" file
    for file in "$folder/${1//-/_}-$2"-*.whl; do
        if checksum_is "$file" "$3"; then printf '%s' "$file"; return 0; fi
    done
    ensure_pip >&2
    mkdir -p "$folder"
    printf '%s==%s --hash=sha256:%s\n' "$1" "$2" "$3" >"$folder/requirements.txt"
    python3 -m pip download --quiet --retries 1 --no-deps --only-binary=:all: --require-hashes \
        --dest "$folder" --requirement "$folder/requirements.txt" >"$deps_dir/download.log" 2>&1 || return 1
    for file in "$folder/${1//-/_}-$2"-*.whl; do
        if checksum_is "$file" "$3"; then printf '%s' "$file"; return 0; fi
    done
    return 1
}

# Major version of a compiler, 0 when it does not run.
compiler_major()
{
    local version
    version="$("$1" -dumpversion 2>/dev/null)" || version=0
    printf '%s' "${version%%.*}"
}

# Sets cc and cxx: $CC/$CXX when given, else the newest supported Clang, else a GCC >= 13.
# Sanitizer builds ask for Clang only: GCC does not keep tail calls under a sanitizer.
find_compiler()
{
    local only="${1:-any}" version
    if [ -n "${CXX:-}" ]; then cxx="$CXX"; cc="${CC:-cc}"; return 0; fi
    for version in 19 20 21 22 18 17; do
        if have "clang++-$version" && have "clang-$version"; then
            cc="clang-$version"; cxx="clang++-$version"; return 0
        fi
    done
    if have clang++ && [ "$(compiler_major clang++)" -ge 17 ]; then cc=clang; cxx=clang++; return 0; fi
    [ "$only" != clang ] || return 1
    for version in 14 15 16 13; do
        if have "g++-$version" && have "gcc-$version"; then cc="gcc-$version"; cxx="g++-$version"; return 0; fi
    done
    if have g++ && [ "$(compiler_major g++)" -ge 13 ]; then cc=gcc; cxx=g++; return 0; fi
    return 1
}

# Compilers run through ccache when it is there; its files stay inside the checkout unless CCACHE_DIR says else.
use_ccache()
{
    if [ -z "${CMAKE_CXX_COMPILER_LAUNCHER:-}" ] && have ccache; then
        export CMAKE_C_COMPILER_LAUNCHER=ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache
    fi
    export CCACHE_DIR="${CCACHE_DIR:-$deps_dir/ccache}"
}
