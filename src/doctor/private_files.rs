//! Looks at an encrypted key or secret of the home, and says what mends it.

use std::path::Path;

use super::ownership::{GIVE_BACK, is_denied};
use crate::home::{HomeError, private};
use crate::key::KeyError;

/// What is wrong with a private file, and what mends that: `restore` where it is gone or damaged, and not
/// where its mode or owner keeps it from being read.
pub(super) fn examine(
    path: &Path,
    examine: impl FnOnce(&str) -> Result<(), KeyError>,
    restore: impl FnOnce() -> String,
) -> Option<(String, String)> {
    match private(path) {
        Ok(pem) => {
            let why = examine(&pem).err()?;
            Some((format!("{} {why}", path.display()), restore()))
        }
        Err(HomeError::Exposed(exposed)) => Some((exposed.to_string(), exposed.remedy())),
        Err(error) if is_denied(&error) => Some((error.to_string(), GIVE_BACK.to_owned())),
        Err(error) => Some((error.to_string(), restore())),
    }
}
