//! Advice on a service that cannot begin.

use super::Advice;
use crate::serve::ServeError;

impl Advice for ServeError {
    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::NoFace => "set `page`, `device` or `status` under [serve] in pki.toml, or give --page ADDR, --device ADDR or --status ADDR".into(),
            Self::NoHost => "set `host` under [serve]: it stands in every invite".into(),
            Self::NoPageCertificate => {
                "set `page_certificate` and `page_key` under [serve]: browsers must trust it, so it is a public CA's"
                    .into()
            }
            Self::NoOwnKey => {
                "set `host` or `device_host` under [serve] to a server of `pki server list`, and run `pki server issue` for it once"
                    .into()
            }
            Self::PageCertificate { .. } => {
                "it must be PEM: the certificate with those above it, and its key".into()
            }
            Self::Listen { .. } => {
                "another program may have it; a port below 1024 needs the capability CAP_NET_BIND_SERVICE".into()
            }
            Self::Runtime(_) => super::THREADS.into(),
            Self::Stopped => "start it again, and report what it said".into(),
            Self::Home(error) => return error.advice(),
        })
    }
}
