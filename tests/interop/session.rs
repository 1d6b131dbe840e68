//! A phone that keeps its TLS session: `openssl s_client` with a file for the session.

use std::path::{Path, PathBuf};

use crate::support::{Bundle, HOST, Home, Server};

/// What `s_client` saw.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    /// The HTTP status; none where the handshake was refused.
    pub status: Option<u16>,
    /// Whether the session was an earlier one.
    pub reused: bool,
}

/// A client of one protocol version, with a device's key.
pub struct Client<'a> {
    home: &'a Home,
    server: &'a Server,
    version: &'static str,
    parts: [PathBuf; 3],
}

impl<'a> Client<'a> {
    /// A client that opens `bundle`. `version`: `-tls1_2` or `-tls1_3`.
    pub fn new(home: &'a Home, server: &'a Server, bundle: &Bundle, version: &'static str) -> Self {
        Self {
            home,
            server,
            version,
            parts: home.opened(bundle),
        }
    }

    /// Connects with a full handshake, gets `/`, and keeps the session in the file `session`.
    pub fn begin(&self, session: &Path) -> Seen {
        self.get("/", &["-sess_out", session.to_str().unwrap()])
    }

    /// Connects with the session that an earlier connection kept, and gets `path`.
    pub fn resume(&self, session: &Path, path: &str) -> Seen {
        self.get(path, &["-sess_in", session.to_str().unwrap()])
    }

    fn get(&self, path: &str, more: &[&str]) -> Seen {
        let address = format!("127.0.0.1:{}", self.server.port);
        let [leaf, chain, key] = self.parts.each_ref().map(|part| part.to_str().unwrap());
        // Without a bound of its own a client waits for ever for a server that says nothing.
        let mut arguments = vec![
            "30",
            "openssl",
            "s_client",
            "-connect",
            &address,
            "-servername",
            HOST,
            self.version,
        ];
        arguments.extend(["-CAfile", "server.crt", "-verify_return_error", "-ign_eof"]);
        arguments.extend(["-cert", leaf, "-cert_chain", chain, "-key", key]);
        arguments.extend(more);
        let request = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
        let said = self.home.foreign_given("timeout", &arguments, request.as_bytes());
        assert_ne!(said.code, Some(124), "no answer: {said}");
        let status = said
            .stdout
            .split("HTTP/1.1 ")
            .nth(1)
            .map(|rest| rest[..3].parse().unwrap());
        let [new, reused] = ["New, TLSv1", "Reused, TLSv1"].map(|word| said.stdout.contains(word));
        assert!(
            new != reused || status.is_none(),
            "neither a new session nor an old one: {said}"
        );
        Seen { status, reused }
    }
}
