"""Files that are whole or absent, caches, mirrors of object storage, run folders."""
