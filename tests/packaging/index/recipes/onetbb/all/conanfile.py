"""Stands in for the public index's recipe: same name, version, component and target, the library that is installed."""

from conan import ConanFile
from conan.tools.gnu import PkgConfig


class InstalledTbb(ConanFile):
    name = "onetbb"
    package_type = "shared-library"
    settings = "os", "arch", "compiler", "build_type"

    def package_info(self):
        self.cpp_info.bindirs = self.cpp_info.includedirs = self.cpp_info.libdirs = []
        self.cpp_info.set_property("cmake_file_name", "TBB")
        self.cpp_info.set_property("cmake_config_version_compat", "AnyNewerVersion")
        tbb = self.cpp_info.components["libtbb"]
        tbb.set_property("cmake_target_name", "TBB::tbb")
        PkgConfig(self, "tbb").fill_cpp_info(tbb, is_system=False)
