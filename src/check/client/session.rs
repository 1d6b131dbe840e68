//! A store of TLS sessions that lets a client resume a session under another name of the server than the one
//! under which it began.

use std::sync::atomic::{AtomicBool, Ordering};

use rustls::NamedGroup;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;

use super::ways::Name;

/// Sessions of one server, whatever name it was called by. The library keeps them apart by name; an attacker
/// does not.
#[derive(Debug)]
pub struct AnyNames {
    sessions: ClientSessionMemoryCache,
    has_any: AtomicBool,
}

impl AnyNames {
    /// An empty store.
    pub fn new() -> Self {
        Self {
            sessions: ClientSessionMemoryCache::new(8),
            has_any: AtomicBool::new(false),
        }
    }

    /// Whether there was ever a session in it.
    pub fn has_any(&self) -> bool {
        self.has_any.load(Ordering::Relaxed)
    }
}

fn one() -> ServerName<'static> {
    ServerName::try_from(Name::NOBODYS).expect("the name is one of DNS")
}

impl ClientSessionStore for AnyNames {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.sessions.set_kx_hint(one(), group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.sessions.kx_hint(&one())
    }

    fn set_tls12_session(&self, _: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.has_any.store(true, Ordering::Relaxed);
        self.sessions.set_tls12_session(one(), session);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.sessions.tls12_session(&one())
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.sessions.remove_tls12_session(&one());
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.has_any.store(true, Ordering::Relaxed);
        self.sessions.insert_tls13_ticket(one(), ticket);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.sessions.take_tls13_ticket(&one())
    }
}
