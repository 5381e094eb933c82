"""Stands in for the public index's recipe: same name, version, components and targets, the library that is installed."""

from conan import ConanFile
from conan.tools.gnu import PkgConfig


class InstalledCatch2(ConanFile):
    name = "catch2"
    package_type = "static-library"
    settings = "os", "arch", "compiler", "build_type"

    def package_info(self):
        self.cpp_info.bindirs = self.cpp_info.includedirs = self.cpp_info.libdirs = []
        self.cpp_info.set_property("cmake_file_name", "Catch2")
        library = self.cpp_info.components["_catch2"]
        library.set_property("cmake_target_name", "Catch2::Catch2")
        PkgConfig(self, "catch2").fill_cpp_info(library, is_system=False)
        with_main = self.cpp_info.components["catch2_with_main"]
        with_main.set_property("cmake_target_name", "Catch2::Catch2WithMain")
        with_main.requires = ["_catch2"]
        PkgConfig(self, "catch2-with-main").fill_cpp_info(with_main, is_system=False)
