//! How what was issued gets to whom it is for: bundles and their passphrases, in files of a directory that
//! may take them.

pub mod bundle_files;
pub mod output_dir;
pub mod passphrases;
pub mod path_policy;
