//! Requests for certificates, in every form in which they come over the network.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use axum::http::StatusCode;
use tokio::sync::oneshot;

use super::answer::Told;
use crate::key::{PublicKey, demand_threads};
use crate::x509::request::Request;

/// The key of a request for a certificate, whose holder has proved to have it.
///
/// # Errors
/// What whoever asks is told.
pub async fn requested_key(octets: Vec<u8>) -> Result<PublicKey, Told> {
    let read = among_signers(move || key_of(&octets)).await?;
    read.map_err(|why| Told::new(StatusCode::BAD_REQUEST, "request", why))
}

/// Has work done by the threads that sign. Who answers others meanwhile is not held up; and as it comes after
/// the batch that is being signed, these threads have work while that batch is written down.
pub async fn among_signers<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Told> {
    demand_threads().map_err(|_| Told::unavailable())?;
    let (way, done) = oneshot::channel();
    rayon::spawn_fifo(move || {
        // Nothing is done for who has hung up.
        if !way.is_closed() {
            // A panic would end the service there, and ends one connection here.
            let _ = way.send(catch_unwind(AssertUnwindSafe(work)));
        }
    });
    let done = done.await.map_err(|_| Told::unavailable())?;
    Ok(done.unwrap_or_else(|panic| resume_unwind(panic)))
}

/// The key of a request for a certificate, which is PEM, DER, or the base64 of DER with or without breaks.
/// Its holder has proved to have it.
///
/// # Errors
/// Why it is not taken, in one line.
pub(super) fn key_of(octets: &[u8]) -> Result<PublicKey, String> {
    match Request::parse(octets) {
        Ok(request) => Ok(request.public_key().clone()),
        Err(why) => Err(format!("the request for a certificate {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_whoever_brought_it_and_nobody_else() {
        let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
        let brought = runtime.spawn(among_signers(|| -> u8 { panic!("by a request") }));
        let other = runtime.spawn(among_signers(|| 7));
        assert!(runtime.block_on(brought).unwrap_err().is_panic());
        assert_eq!(runtime.block_on(other).unwrap().unwrap(), 7);
    }
}
