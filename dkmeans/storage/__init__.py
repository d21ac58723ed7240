"""Object stores and local disks through fsspec: listing, reading ranges, atomic writes."""
