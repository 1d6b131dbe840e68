//! Advice on a service that cannot begin.

use std::io;

use super::Advice;
use crate::serve::ServeError;

impl Advice for ServeError {
    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::NoFace => "set `page`, `device`, `status` or `acme` under [serve] in pki.toml, or give --page ADDR, --device ADDR, --status ADDR or --acme ADDR".into(),
            Self::NoHost => "set `host` under [serve]: it stands in every invite".into(),
            Self::NoPageCertificate => {
                "set `page_certificate` and `page_key` under [serve]: browsers must trust it, so it is a public CA's"
                    .into()
            }
            Self::NoDeviceHost => "set `device_host` under [serve] to a server of the home: `pki server list` shows them, `pki server add HOST` takes one in".into(),
            Self::NoAcmeHost => "set `host` under [serve] to a server of the home: `pki server list` shows them, `pki server add HOST` takes one in".into(),
            Self::AcmeWithoutKey => "leave --no-issue out, or give another face as well".into(),
            Self::TwoHosts(..) => "leave `acme_host` out, or give it the host of `device_host`, with another port; or run two services, each with the faces of one name".into(),
            Self::NoServersCa { host, is_known: true } => {
                format!("run `pki server issue {host} --out DIR` once: it founds that CA, and the service renews by itself then")
            }
            Self::NoServersCa { host, is_known: false } => {
                format!("run `pki server add {host}`, then `pki server issue {host} --out DIR` once: it founds that CA, and the service renews by itself then")
            }
            Self::ForeignSocket(_) => "say `FileDescriptorName=page`, `device`, `status` or `acme` in its .socket unit".into(),
            Self::Socket { .. } => "it must be a listening stream socket of TCP".into(),
            Self::PageCertificate { .. } => {
                "it must be PEM: the certificate with those above it, and its key".into()
            }
            Self::Listen { why, .. } if why.kind() == io::ErrorKind::AddrInUse => {
                "another program has it: `ss -ltnp` shows which".into()
            }
            Self::Listen { why, .. } if why.kind() == io::ErrorKind::AddrNotAvailable => {
                "this machine has no such address: 0.0.0.0 or [::] is all that it has".into()
            }
            Self::Listen { .. } => "a port below 1024 needs the capability CAP_NET_BIND_SERVICE".into(),
            Self::Runtime(_) => super::THREADS.into(),
            Self::Stopped => "start it again, and report what it said".into(),
            Self::Home(error) => return error.advice(),
        })
    }
}
