"""Conan recipe of blitzio. The components are the CMake targets, and the package ships its own blitzioConfig.cmake,
so that a project using Conan and one using plain CMake see the same targets."""

import os

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import check_min_cppstd, can_run
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import collect_libs, copy
from conan.tools.scm import Version

required_conan_version = ">=2.0"

# Each module and the modules whose headers its own headers include.
MODULES = {
    "io": [],
    "sync": ["io"],
    "net": ["io", "sync"],
    "fs": ["io"],
    "compute": ["io"],
    "bridge": ["io", "sync", "compute"],
}


class BlitzioConan(ConanFile):
    name = "blitzio"
    version = "0.1.0"
    license = "Apache-2.0"
    author = "The blitzio authors"
    description = "Coroutine I/O runtime (io_uring, epoll) joined to a oneTBB compute pool"
    topics = ("coroutines", "asynchronous", "io_uring", "epoll", "tbb", "networking", "files")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "fPIC": [True, False], "with_io_uring": [True, False]}
    default_options = {"shared": False, "fPIC": True, "with_io_uring": True}
    exports_sources = (
        "CMakeLists.txt", "LICENSE", "README.md", "cmake/*", "tests/CMakeLists.txt", "tests/tools/*", "tests/model/*",
        *(f"{module}/CMakeLists.txt" for module in MODULES),
        *(f"{module}/{folder}/*" for module in MODULES for folder in ("include", "src", "tests")),
    )

    def config_options(self):
        if self.settings.os != "Linux":
            self.options.rm_safe("with_io_uring")

    def configure(self):
        if self.options.shared:
            self.options.rm_safe("fPIC")

    def layout(self):
        cmake_layout(self)

    @property
    def _with_io_uring(self):
        return bool(self.options.get_safe("with_io_uring"))

    @property
    def _with_tests(self):
        return not self.conf.get("tools.build:skip_test", default=False)

    def requirements(self):
        self.requires("onetbb/[>=2021.8 <2024]", transitive_headers=True, transitive_libs=True)
        if self._with_io_uring:
            self.requires("liburing/[>=2.4 <3]")

    def build_requirements(self):
        if self._with_tests:
            self.test_requires("catch2/[>=3.4 <4]")

    def validate(self):
        check_min_cppstd(self, 23)
        minimum = {"gcc": "13", "clang": "17", "apple-clang": "16"}.get(str(self.settings.compiler))
        if minimum and Version(self.settings.compiler.version) < minimum:
            raise ConanInvalidConfiguration(
                f"blitzio needs {self.settings.compiler} {minimum} or later: earlier ones miscompile or lack what "
                "its coroutines use"
            )
        if self.settings.os != "Linux":
            raise ConanInvalidConfiguration("blitzio runs on Linux so far")

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["BLITZIO_WITH_IO_URING"] = self._with_io_uring
        toolchain.cache_variables["BLITZIO_BUILD_TESTS"] = self._with_tests
        toolchain.cache_variables["BLITZIO_BUILD_EXAMPLES"] = False
        toolchain.cache_variables["BLITZIO_BUILD_BENCHMARKS"] = False
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()
        if self._with_tests and can_run(self):
            cmake.ctest(cli_args=["--output-on-failure"])

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        CMake(self).install()

    def package_info(self):
        # No generated configuration: find_package(blitzio) meets the one that this package installs.
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = [os.path.join("lib", "cmake", "blitzio")]
        built = collect_libs(self)
        for module, requires in MODULES.items():
            component = self.cpp_info.components[module]
            component.set_property("cmake_target_name", f"blitzio::{module}")
            component.set_property("pkg_config_name", f"blitzio_{module}")
            component.builddirs = [os.path.join("lib", "cmake", "blitzio")]
            # A module without sources is headers only.
            component.libs = [library for library in built if library == f"blitzio_{module}"]
            component.requires = list(requires)
        self.cpp_info.components["io"].system_libs = ["pthread"]
        if self._with_io_uring:
            self.cpp_info.components["io"].requires.append("liburing::liburing")
        self.cpp_info.components["compute"].requires.append("onetbb::libtbb")
        # Everything at once, as blitzio::blitzio in CMake.
        everything = self.cpp_info.components["blitzio"]
        everything.set_property("cmake_target_name", "blitzio::blitzio")
        everything.libs = []
        everything.requires = list(MODULES)
