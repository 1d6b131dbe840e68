//! The names of the files that a device or a server is given: a stem and an extension.

use std::path::{Path, PathBuf};

/// The endings of a device's files.
const EXTENSIONS: [&str; 5] = ["p12", "mobileconfig", "qr.png", "qr.svg", "crt"];
/// Those of files with a key in them.
pub(in crate::ca) const WITH_KEY: [&str; 4] = ["p12", "mobileconfig", "qr.png", "qr.svg"];

/// Every name that a file of a device may have.
pub(in crate::ca) fn names(stem: &Path) -> impl Iterator<Item = PathBuf> {
    EXTENSIONS
        .into_iter()
        .map(move |extension| with_extension(stem, extension))
}

/// The stem with an extension behind it.
pub(in crate::ca) fn with_extension(stem: &Path, extension: &str) -> PathBuf {
    // The stem may hold dots: `Path::with_extension` would cut it.
    let mut name = stem.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}
