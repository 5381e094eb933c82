"""The comparison of blitzio with its peers: building, measuring, reporting. Single-threaded."""
