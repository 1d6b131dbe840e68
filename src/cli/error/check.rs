//! Advice on servers that cannot be examined.

use super::Advice;
use crate::check::{CheckError, Unreachable};

impl Advice for CheckError {
    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Unreachable(Unreachable::NoAddress { .. }) => {
                "where the name is not known here, say where it is: --resolve HOST:PORT:ADDR"
            }
            Self::Unreachable(Unreachable::NoAnswer { .. }) | Self::Silent { .. } => {
                "see whether the server runs, and whether a firewall stands between"
            }
            Self::NotTls(_) => "name the port where the server speaks https, as https://HOST:8443/",
            Self::RefusesAll { .. } => {
                "see the server's log: it may know no such host, or offer no suite of today"
            }
            Self::Forgery(_) => return None,
        };
        Some(advice.into())
    }
}
