"""Stands in for the public index's recipe: same name, version and target, the library that is installed."""

from conan import ConanFile
from conan.tools.gnu import PkgConfig


class InstalledLiburing(ConanFile):
    name = "liburing"
    package_type = "static-library"
    settings = "os", "arch", "compiler", "build_type"

    def package_info(self):
        self.cpp_info.bindirs = self.cpp_info.includedirs = self.cpp_info.libdirs = []
        PkgConfig(self, "liburing").fill_cpp_info(self.cpp_info, is_system=False)
