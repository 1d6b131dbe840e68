//! A TCP connection with a deadline, so that nothing waits for ever: every operation on it ends in time,
//! however slowly the other side answers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::url::Url;
use crate::https::Resolve;
use crate::model::fault::{Fault, Kind};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one exchange may take from the first octet to the last: a handshake, a request and its answer.
const EXCHANGE: Duration = Duration::from_secs(10);
/// How long the name service may take.
const LOOKUP: Duration = Duration::from_secs(10);
/// How long a server may be away that is restarted to read a publication, as Envoy is.
pub const RESTART: Duration = Duration::from_secs(5);
/// The pause before such a server is looked for again.
const PAUSE: Duration = Duration::from_millis(20);

/// A server at one of its addresses: requests that follow each other must be answered by the same address.
#[derive(Debug, Clone)]
pub struct Server {
    /// The URL that is checked.
    pub url: Url,
    /// The address that answered.
    pub address: SocketAddr,
    /// The time when all requests end, whatever was not asked.
    pub until: Instant,
    /// The time since which nobody listens there, as any of the clients has found.
    away: Arc<Mutex<Option<Instant>>>,
}

/// The reason for which a server cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// The name is not known.
    #[error("{host} has no address: {why}")]
    NoAddress {
        /// The host of the URL.
        host: String,
        /// The system's error.
        why: io::Error,
    },
    /// No server answers at the address.
    #[error("{address} ({host}) cannot be reached: {why}")]
    NoAnswer {
        /// The host of the URL.
        host: String,
        /// The address that was tried last.
        address: SocketAddr,
        /// The system's error.
        why: io::Error,
    },
}

impl Fault for Unreachable {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        match self {
            Self::NoAddress { .. } => (Kind::Elsewhere, "no-address"),
            Self::NoAnswer { .. } => (Kind::Elsewhere, "unreachable"),
        }
    }
}

impl Server {
    /// Finds the first address of a server that answers. Nothing is asked of it after `until`.
    ///
    /// # Errors
    /// Where none does.
    pub fn find(url: Url, resolve: &[Resolve], until: Instant) -> Result<Self, Unreachable> {
        let host = url.host();
        let addresses: Vec<SocketAddr> = match Resolve::address_of(resolve, &host, url.port()) {
            Some(address) => vec![(address, url.port()).into()],
            None => {
                let no_address = |why| Unreachable::NoAddress {
                    host: host.clone(),
                    why,
                };
                look_up(host.clone(), url.port()).map_err(no_address)?
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
                until,
                away: Arc::default(),
            };
            match server.knock() {
                Ok(_) => return Ok(server),
                Err(why) => {
                    let host = host.clone();
                    outcome = Err(Unreachable::NoAnswer { host, address, why });
                }
            }
        }
        outcome
    }

    /// A new connection. Where nobody listens any more, the server is waited for as long as a restart may
    /// take: that it is away says nothing of whom it lets in.
    ///
    /// # Errors
    /// The system's.
    pub fn connect(&self) -> io::Result<Wire> {
        loop {
            match self.knock() {
                Err(error)
                    if error.kind() == io::ErrorKind::ConnectionRefused && self.away_for() < RESTART =>
                {
                    thread::sleep(PAUSE);
                }
                Err(error) => return Err(error),
                Ok(wire) => {
                    *self.away.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    return Ok(wire);
                }
            }
        }
    }

    /// How long nobody has listened there, as far as the clients have found.
    fn away_for(&self) -> Duration {
        let mut since = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        since.get_or_insert_with(Instant::now).elapsed()
    }

    fn knock(&self) -> io::Result<Wire> {
        let left = left(self.until).ok_or(Late::TimeIsUp)?;
        let stream = TcpStream::connect_timeout(&self.address, CONNECT.min(left))?;
        // Small messages that wait for their answers: nothing is to be collected.
        stream.set_nodelay(true)?;
        Ok(Wire {
            stream,
            until: (Instant::now() + EXCHANGE).min(self.until),
            last: self.until,
        })
    }

    /// Whether nothing more is asked of it.
    pub fn is_over(&self) -> bool {
        left(self.until).is_none()
    }
}

/// Asks the name service, which has no deadline of its own.
fn look_up(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    let (found, answer) = mpsc::channel();
    thread::Builder::new().spawn(move || {
        let addresses = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
        // Nobody may be waiting for it any more.
        let _ = found.send(addresses);
    })?;
    answer.recv_timeout(LOOKUP).unwrap_or_else(|_| {
        let seconds = LOOKUP.as_secs();
        let why = format!("the name service does not answer within {seconds} s");
        Err(io::Error::new(io::ErrorKind::TimedOut, why))
    })
}

/// The reason for which a server is not waited for any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Late {
    /// One exchange took too long.
    #[error("no answer within {} s", EXCHANGE.as_secs())]
    NoAnswer,
    /// All exchanges together took too long.
    #[error("not asked: the time for this server is up")]
    TimeIsUp,
}

impl From<Late> for io::Error {
    fn from(late: Late) -> Self {
        Self::new(io::ErrorKind::TimedOut, late)
    }
}

/// What is left until then, if anything.
fn left(until: Instant) -> Option<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    (!left.is_zero()).then_some(left)
}

/// A connection with a deadline.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    until: Instant,
    /// When there is no time for any other exchange.
    last: Instant,
}

impl Wire {
    /// Begins another exchange, with time of its own.
    pub fn again(&mut self) {
        self.until = (Instant::now() + EXCHANGE).min(self.last);
    }

    /// Begins another exchange, which may not take longer than this.
    pub fn again_within(&mut self, longest: Duration) {
        self.until = (Instant::now() + longest).min(self.last);
    }

    fn left(&self) -> io::Result<Duration> {
        Ok(left(self.until).ok_or_else(|| self.late())?)
    }

    fn late(&self) -> Late {
        if left(self.last).is_none() {
            Late::TimeIsUp
        } else {
            Late::NoAnswer
        }
    }

    /// A timeout of the socket is said as what it is (the system says EAGAIN).
    fn plain(&self, error: io::Error) -> io::Error {
        let timeouts = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
        if timeouts.contains(&error.kind()) {
            self.late().into()
        } else {
            error
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer).map_err(|error| self.plain(error))
    }
}

impl Write for Wire {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(buffer).map_err(|error| self.plain(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn found(listener: &TcpListener) -> Server {
        let address = listener.local_addr().unwrap();
        let url = format!("https://{address}/").parse().unwrap();
        Server::find(url, &[], Instant::now() + Duration::from_mins(1)).unwrap()
    }

    #[test]
    fn a_server_that_is_restarted_is_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = found(&listener);
        drop(listener);
        let restarted = thread::scope(|scope| {
            let listening = scope.spawn(|| {
                thread::sleep(Duration::from_millis(200));
                TcpListener::bind(server.address).unwrap()
            });
            server.connect().unwrap();
            listening.join().unwrap()
        });
        drop(restarted);
        assert_eq!(
            *server.away.lock().unwrap(),
            None,
            "each absence has its own time"
        );
    }

    #[test]
    fn a_server_that_is_gone_is_waited_for_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = found(&listener);
        drop(listener);
        *server.away.lock().unwrap() = Instant::now().checked_sub(RESTART);
        let asked = Instant::now();
        let error = server.connect().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(asked.elapsed() < RESTART, "{:?}", asked.elapsed());
    }
}
