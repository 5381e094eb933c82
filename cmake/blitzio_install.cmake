# The installed package: targets, the configuration for find_package(blitzio), the licence.
# Plain CMake users and Conan users get these same files, hence the same target names.

include(CMakePackageConfigHelpers)

set(blitzio_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/blitzio")

# A static blitzio leaves liburing to be linked by the program that uses it.
set(BLITZIO_NEEDS_LIBURING OFF)
if(BLITZIO_WITH_IO_URING AND NOT BUILD_SHARED_LIBS)
    set(BLITZIO_NEEDS_LIBURING ON)
endif()

configure_package_config_file(cmake/blitzioConfig.cmake.in "${PROJECT_BINARY_DIR}/blitzioConfig.cmake"
    INSTALL_DESTINATION "${blitzio_package_dir}")
# Before 1.0 every minor version may change the interface.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/blitzioConfigVersion.cmake" COMPATIBILITY SameMinorVersion)

install(EXPORT blitzioTargets NAMESPACE blitzio:: DESTINATION "${blitzio_package_dir}")
install(FILES
    "${PROJECT_BINARY_DIR}/blitzioConfig.cmake"
    "${PROJECT_BINARY_DIR}/blitzioConfigVersion.cmake"
    "${PROJECT_SOURCE_DIR}/cmake/Findliburing.cmake"
    DESTINATION "${blitzio_package_dir}")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/blitzio" OPTIONAL)
