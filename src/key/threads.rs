//! The threads that scrypt and bulk work are spread over.

use std::error::Error;
use std::sync::OnceLock;

use rayon::ThreadPoolBuilder;

/// Makes sure that there are threads, before anything is spread over them: a system that starts no more is no
/// fault of the program, and the library panics there.
///
/// # Errors
/// The reason, where the system starts none.
pub fn demand_threads() -> Result<(), String> {
    static REFUSED: OnceLock<Option<String>> = OnceLock::new();
    let refused = REFUSED.get_or_init(|| {
        let error = ThreadPoolBuilder::new().build_global().err()?;
        // Where there are threads already, it is no error of the system.
        error.source().map(ToString::to_string)
    });
    refused.clone().map_or(Ok(()), Err)
}
