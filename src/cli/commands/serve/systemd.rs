//! systemd: sockets that it has opened for the service, and the word that the service is ready.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{self, UnixDatagram};

use listenfd::ListenFd;

use crate::serve::ServeError;

/// The sockets that this process was started with, by the names that their units give them
/// (sd_listen_fds(3), `FileDescriptorName=`).
///
/// # Errors
/// Where one of them is no listening TCP socket, or has no name.
pub fn sockets() -> Result<BTreeMap<String, TcpListener>, ServeError> {
    let mut handed = ListenFd::from_env();
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').filter(|name| !name.is_empty());
    let mut sockets = BTreeMap::new();
    for place in 0..handed.len() {
        let name = names.next().unwrap_or("without a name").to_owned();
        let socket = handed.take_tcp_listener(place);
        let socket = socket.map_err(|why| ServeError::Socket { face: "service", why })?;
        if let Some(socket) = socket
            && sockets.insert(name.clone(), socket).is_some()
        {
            return Err(ServeError::ForeignSocket(name));
        }
    }
    Ok(sockets)
}

/// Tells systemd that the service is there (sd_notify(3)), where systemd asks for it.
///
/// # Errors
/// Where its socket cannot be written to.
pub fn ready() -> io::Result<()> {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else {
        return Ok(());
    };
    let address = notify_socket(socket.as_bytes())?;
    UnixDatagram::unbound()?.send_to_addr(b"READY=1", &address)?;
    Ok(())
}

/// An address of the file system, or, behind an `@`, an abstract one.
fn notify_socket(text: &[u8]) -> io::Result<net::SocketAddr> {
    match text.split_first() {
        #[cfg(target_os = "linux")]
        Some((b'@', name)) => {
            use std::os::linux::net::SocketAddrExt;
            net::SocketAddr::from_abstract_name(name)
        }
        Some(_) | None => net::SocketAddr::from_pathname(OsStr::from_bytes(text)),
    }
}
