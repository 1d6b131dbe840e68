//! A connection that never waits for ever: everything on it ends by a deadline, however slowly the other side answers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::url::Url;
use crate::web::Resolve;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one exchange may take from the first octet to the last: a handshake, a request and its answer.
const EXCHANGE: Duration = Duration::from_secs(10);

/// A server: one address of it, for what is asked one after the other must be answered by the same.
#[derive(Debug, Clone)]
pub struct Server {
    /// What is checked.
    pub url: Url,
    /// Which address answered.
    pub address: SocketAddr,
}

/// Why a server cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// The name is not known.
    #[error("{host} has no address: {why}")]
    NoAddress {
        /// Which host.
        host: String,
        /// The system's words.
        why: io::Error,
    },
    /// Nobody answers there.
    #[error("{address} ({host}) cannot be reached: {why}")]
    NoAnswer {
        /// Which host.
        host: String,
        /// The address that was tried last.
        address: SocketAddr,
        /// The system's words.
        why: io::Error,
    },
}

impl Server {
    /// Finds the first address of a server that answers.
    ///
    /// # Errors
    /// Where none does.
    pub fn find(url: Url, resolve: &[Resolve]) -> Result<Self, Unreachable> {
        let host = url.host();
        let addresses: Vec<SocketAddr> = match Resolve::address_of(resolve, &host, url.port()) {
            Some(address) => vec![(address, url.port()).into()],
            None => {
                let no_address = |why| Unreachable::NoAddress {
                    host: host.clone(),
                    why,
                };
                let found = (host.as_str(), url.port())
                    .to_socket_addrs()
                    .map_err(no_address)?;
                found.collect()
            }
        };
        let mut outcome = Err(Unreachable::NoAddress {
            host: host.clone(),
            why: io::ErrorKind::NotFound.into(),
        });
        for address in addresses {
            let server = Self {
                url: url.clone(),
                address,
            };
            match server.connect() {
                Ok(_) => return Ok(server),
                Err(why) => {
                    let host = host.clone();
                    outcome = Err(Unreachable::NoAnswer { host, address, why });
                }
            }
        }
        outcome
    }

    /// A new connection.
    ///
    /// # Errors
    /// The system's.
    pub fn connect(&self) -> io::Result<Wire> {
        let stream = TcpStream::connect_timeout(&self.address, CONNECT)?;
        // Small messages that wait for their answers: nothing is to be collected.
        stream.set_nodelay(true)?;
        Ok(Wire {
            stream,
            until: Instant::now() + EXCHANGE,
        })
    }
}

/// A connection with a deadline.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    until: Instant,
}

impl Wire {
    /// Begins another exchange, with time of its own.
    pub fn again(&mut self) {
        self.until = Instant::now() + EXCHANGE;
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            Err(timed_out())
        } else {
            Ok(left)
        }
    }
}

fn timed_out() -> io::Error {
    let seconds = EXCHANGE.as_secs();
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {seconds} s"))
}

/// A timeout of the socket is said as what it is (the system says EAGAIN).
fn plain(error: io::Error) -> io::Error {
    let timeouts = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
    if timeouts.contains(&error.kind()) {
        timed_out()
    } else {
        error
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer).map_err(plain)
    }
}

impl Write for Wire {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(buffer).map_err(plain)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
