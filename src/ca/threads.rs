//! Starts the threads that work is spread over.

use std::error::Error;
use std::sync::OnceLock;

use rayon::ThreadPoolBuilder;

use super::CaError;
use crate::key::SoftwareKey;

/// Makes sure that there are threads, before anything is spread over them: a system that starts no more is no
/// fault of the program.
///
/// # Errors
/// Where the system starts none.
pub(super) fn demand_threads() -> Result<(), CaError> {
    static REFUSED: OnceLock<Option<String>> = OnceLock::new();
    let refused = REFUSED.get_or_init(|| {
        let error = ThreadPoolBuilder::new().build_global().err()?;
        // Where there are threads already, it is no error of the system.
        error.source().map(ToString::to_string)
    });
    match refused {
        Some(why) => Err(CaError::NoThreads(why.clone())),
        None => Ok(()),
    }
}

/// Begins to get ready for signing, beside whatever comes first: it takes about as long as a home is opened.
/// A system that starts no threads is told of where they are needed.
pub fn get_ready_to_sign() {
    if demand_threads().is_ok() {
        rayon::spawn(SoftwareKey::prepare);
    }
}
