//! The application behind a server: it tells what it was told.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An application on loopback. It ends with the test's process.
pub struct Upstream {
    /// Its port.
    pub port: u16,
    served: Arc<AtomicUsize>,
}

impl Upstream {
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = Arc::new(AtomicUsize::new(0));
        let count = served.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let count = count.clone();
                std::thread::spawn(move || answer(stream, &count));
            }
        });
        Self { port, served }
    }

    /// How many requests it has had.
    pub fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }
}

/// Says every value of a header that an application could take for X-Client-Device: many frameworks do not tell `_` from `-`. And
/// what Connection names, which another proxy would take off, and whose request it is said to be.
fn answer(stream: TcpStream, served: &AtomicUsize) {
    let (mut devices, mut connection, mut forwarded) = (String::new(), String::new(), String::new());
    let mut asked = false;
    for line in BufReader::new(&stream).lines().map_while(Result::ok) {
        if line.is_empty() {
            break;
        }
        asked = true;
        let (name, value) = line.split_once(':').unwrap_or_default();
        if name.replace('_', "-").eq_ignore_ascii_case("x-client-device") {
            devices.push_str(&format!("[{}]", value.trim()));
        }
        if name.replace('_', "-").eq_ignore_ascii_case("x-forwarded-for") {
            forwarded.push_str(&format!("[{}]", value.trim()));
        }
        if name.eq_ignore_ascii_case("connection") {
            connection.push_str(&format!("[{}]", value.trim().to_ascii_lowercase()));
        }
    }
    if !asked {
        return;
    }
    served.fetch_add(1, Ordering::SeqCst);
    let body = format!("device={devices}\nconnection={connection}\nforwarded={forwarded}\n");
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = (&stream).write_all((head + &body).as_bytes());
}
