//! As much of an HTTP client as measuring needs: requests as they stand, answers that have a length, and
//! connections by as many threads that take the next request as soon as the last one is answered.

// Whoever measures uses a part of it.
#![allow(dead_code)]

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// An answer, read whole.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// Whether the server takes another request on this connection.
    pub stays_open: bool,
    /// The nonce for the next request, where the server gives one (RFC 8555 §6.5).
    pub nonce: Option<String>,
}

/// Sends a request, head and body, and reads the answer.
pub fn ask(stream: &mut (impl Read + Write), request: &[u8]) -> io::Result<Answer> {
    stream.write_all(request)?;
    stream.flush()?;
    let (mut octets, mut piece) = (Vec::with_capacity(4096), [0; 16 << 10]);
    loop {
        match stream.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => octets.extend_from_slice(&piece[..count]),
        }
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Response::new(&mut fields);
        let Ok(httparse::Status::Complete(length)) = head.parse(&octets) else {
            continue;
        };
        let field = |name: &str| {
            head.headers
                .iter()
                .find(|field| field.name.eq_ignore_ascii_case(name))
        };
        let body =
            field("content-length").and_then(|field| std::str::from_utf8(field.value).ok()?.parse().ok());
        let body: usize = body.ok_or(io::ErrorKind::InvalidData)?;
        if octets.len() >= length + body {
            let closes = field("connection").is_some_and(|field| field.value == b"close");
            return Ok(Answer {
                status: head.code.unwrap_or(0),
                stays_open: head.version == Some(1) && !closes,
                nonce: field("replay-nonce").map(|field| String::from_utf8_lossy(field.value).into_owned()),
                body: octets.split_off(length),
            });
        }
    }
}

/// Has so many requests made by so many threads. `worker` makes what a thread does for the request of a
/// number; printed is how fast that went, with what `more` adds, as one line of JSON.
pub fn measure<W: FnMut(usize)>(
    count: usize,
    threads: usize,
    worker: impl Fn() -> W + Sync,
    more: impl FnOnce() -> Vec<(&'static str, usize)>,
) {
    let next = AtomicUsize::new(0);
    let work = || {
        let (mut one, mut took) = (worker(), Vec::new());
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return took;
            }
            let sent = Instant::now();
            one(number);
            took.push(sent.elapsed());
        }
    };
    let begun = Instant::now();
    let mut took: Vec<Duration> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let seconds = begun.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let mut told = serde_json::json!({
        "per_second": (took.len() as f64 / seconds).round(),
        "p50_ms": at(0.5),
        "p99_ms": at(0.99),
    });
    for (name, number) in more() {
        told[name] = number.into();
    }
    println!("{told}");
}
